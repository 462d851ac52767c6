//! How an M without a P sleeps, and what ends its sleep.

use std::mem;
use std::ops::Deref;

use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{
    Ordering::{Acquire, SeqCst},
    fence, mutated,
};

use super::remote::{HAS_P, HAS_P_SEARCHING, IN_LINE};
use super::{Dispatch, NextP, Remote, Slept, WaitedForP};
use crate::ds::idle::Idle;

impl<P, S: Clone + Deref<Target = Remote<P>>> Dispatch<P, S> {
    /// An M without a P and without work sleeps until it gets a P. `takes_any`: for whatever work
    /// there is, and not only for what `has_inbox` sees in its inbox. `sleep` sleeps on the note;
    /// what it says is done if nobody was faster.
    pub(crate) fn sleep(
        &self,
        remote: &S,
        idle: &Idle,
        takes_any: bool,
        has_inbox: impl Fn() -> bool,
        sleep: impl Fn(&Note) -> Slept,
    ) -> WaitedForP<P> {
        let mut state = self.state.lock();
        if takes_any && mem::take(&mut state.look_again) {
            return WaitedForP::Retry;
        }
        state.fall_asleep(remote.clone(), takes_any);
        self.publish(&state);
        drop(state);
        if !mutated("dispatch.sleep_without_fence") {
            // ORDERING[dispatch.sleep]: after Sleep, before Check; pairs with the fence in
            // `kick`.
            fence(SeqCst);
        }
        if has_inbox() && self.wake_up(remote) {
            return WaitedForP::Retry;
        }
        self.wait(remote, idle, sleep)
    }

    /// Whether all of the runtime's Ms, of which there are `ms`, sleep: nobody runs a G, at this
    /// moment.
    pub(crate) fn all_asleep(&self, ms: usize) -> bool {
        let state = self.state.lock();
        state.sleepers() == ms && state.line_len() == 0
    }

    /// Has an M that sleeps look until when it is to sleep. False: none does.
    pub(crate) fn wake_a_sleeper(&self) -> bool {
        let remote = self.state.lock().last_asleep().cloned();
        if let Some(remote) = &remote {
            remote.note.wake();
        }
        remote.is_some()
    }

    /// A new M, before its thread is made, counts as one that sleeps and runs anything: from here
    /// on it may be handed a P. Its thread begins with [`wait_enlisted`](Self::wait_enlisted).
    pub(crate) fn enlist(&self, remote: &S) {
        let mut state = self.state.lock();
        state.fall_asleep(remote.clone(), true);
        self.publish(&state);
    }

    /// The first sleep of an enlisted M.
    pub(crate) fn wait_enlisted(
        &self,
        remote: &S,
        idle: &Idle,
        sleep: impl Fn(&Note) -> Slept,
    ) -> WaitedForP<P> {
        self.wait(remote, idle, sleep)
    }

    /// The thread of an enlisted M could not be made. The P that it was handed meanwhile, if it
    /// was.
    pub(crate) fn cancel_enlist(&self, remote: &S) -> Option<Box<P>> {
        if self.wake_up(remote) || mutated("dispatch.cancel_enlist_loses_p") {
            return None;
        }
        remote.take_next_p().map(|given| given.p)
    }

    /// No M could be made for work that is published. True: nobody sleeps who could run it, and
    /// whoever would is sent back to look again; else the caller had better wake one.
    pub(crate) fn ask_next_sleeper_to_look(&self) -> bool {
        let mut state = self.state.lock();
        let nobody = !state.somebody_sleeps();
        state.look_again |= nobody && !mutated("dispatch.look_again_forgotten");
        nobody
    }

    /// Takes the own word back from `ASLEEP`; false if somebody was faster.
    fn wake_up(&self, remote: &S) -> bool {
        let mut state = self.state.lock();
        let found = state.take_asleep(remote).is_some();
        if found {
            remote.without_p();
            self.publish(&state);
        }
        found
    }

    pub(super) fn wait(
        &self,
        remote: &S,
        idle: &Idle,
        sleep: impl Fn(&Note) -> Slept,
    ) -> WaitedForP<P> {
        loop {
            // ORDERING[dispatch.status]: what the giver did before is seen by this M.
            match remote.status.load(Acquire) {
                status @ (HAS_P | HAS_P_SEARCHING) => {
                    let p = remote.next_p.lock().take().expect("a P was handed over with the word");
                    return WaitedForP::Got(NextP { p, searching: status == HAS_P_SEARCHING });
                }
                IN_LINE => {
                    if let Some(p) = self.take_turn(remote, idle) {
                        return WaitedForP::Got(NextP { p, searching: false });
                    }
                    remote.note.sleep();
                }
                _ => {
                    let closed =
                        self.state.lock().closed && !mutated("dispatch.sleep_ignores_close");
                    if closed && self.wake_up(remote) {
                        return WaitedForP::Closed;
                    }
                    let slept = sleep(&remote.note);
                    if slept != Slept::Woken
                        && (self.wake_up(remote) || mutated("dispatch.expires_unseen"))
                    {
                        return if slept == Slept::Look {
                            WaitedForP::Retry
                        } else {
                            WaitedForP::Expired
                        };
                    }
                }
            }
        }
    }

    /// Ends the idle Ms, now and from now on. Ms that have Gs are not idle.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let asleep = state.asleep();
        drop(state);
        // Who comes from here on sees that it is closed. Those before are woken from the list and
        // stay in it until they take themselves out, which moves others to the front only.
        for at in (0..asleep).rev().filter(|_| !mutated("dispatch.close_wakes_nobody")) {
            let remote = self.state.lock().sleeper(at).cloned();
            if let Some(remote) = remote {
                remote.note.wake();
            }
        }
    }
}
