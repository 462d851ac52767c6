//! How an M without a P sleeps, and what ends its sleep.

use std::mem;
use std::ops::Deref;

use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{
    Ordering::{Acquire, SeqCst},
    fence, mutated,
};

use super::remote::{HAS_P, HAS_P_SEARCHING, IN_LINE};
use super::{Dispatch, NextP, Remote, Slept, Takes, WaitedForP};
use crate::ds::idle::Idle;

impl<P, S: Clone + Deref<Target = Remote<P>>> Dispatch<P, S> {
    /// Sleeps until the M gets a P, or has another reason to look. Called by an M without a P and
    /// without work.
    ///
    /// `takes` says what the M may be woken for. `has_inbox` looks into its inbox. `sleep` sleeps
    /// on the note. Its result decides how the wait ends, unless a waker was faster.
    pub(crate) fn sleep(
        &self,
        remote: &S,
        idle: &Idle,
        takes: Takes,
        has_inbox: impl Fn() -> bool,
        sleep: impl Fn(&Note) -> Slept,
    ) -> WaitedForP<P> {
        let mut state = self.state.lock();
        if takes != Takes::Inbox && mem::take(&mut state.look_again) {
            return WaitedForP::Retry;
        }
        state.fall_asleep(remote.clone(), takes);
        self.publish(&state);
        drop(state);
        if !mutated("dispatch.sleep_without_fence") {
            // ORDERING[dispatch.sleep]: after Sleep, before Check; pairs with the fence in `kick`.
            fence(SeqCst);
        }
        if has_inbox() && self.wake_up(remote) {
            return WaitedForP::Retry;
        }
        self.wait(remote, idle, sleep)
    }

    /// Returns how many Ms sleep, and how often an M fell asleep so far; `None` if an M stands in
    /// the line.
    pub(crate) fn asleep(&self) -> Option<(usize, u64)> {
        let state = self.state.lock();
        (state.line_len() == 0).then(|| (state.asleep(), state.fell_asleep))
    }

    /// Wakes a sleeping M without a P, so that it computes anew until when it sleeps. False if no M
    /// sleeps.
    pub(crate) fn wake_a_sleeper(&self) -> bool {
        let remote = self.state.lock().last_asleep().cloned();
        if let Some(remote) = &remote {
            remote.note.wake();
        }
        remote.is_some()
    }

    /// Puts a new M among the sleepers that accept any work, before its thread is made.
    ///
    /// From here on a waker may hand it a P. The M's thread begins with
    /// [`wait_enlisted`](Self::wait_enlisted).
    pub(crate) fn enlist(&self, remote: &S) {
        let mut state = self.state.lock();
        state.fall_asleep(remote.clone(), Takes::Vacant);
        self.publish(&state);
    }

    /// Sleeps as [`sleep`](Self::sleep) does: the first sleep of an enlisted M.
    pub(crate) fn wait_enlisted(
        &self,
        remote: &S,
        idle: &Idle,
        sleep: impl Fn(&Note) -> Slept,
    ) -> WaitedForP<P> {
        self.wait(remote, idle, sleep)
    }

    /// Undoes [`enlist`](Self::enlist): the M's thread could not be made. Others may have handed it
    /// a P meanwhile, which is returned, or have put it into the line, which it leaves.
    pub(crate) fn cancel_enlist(&self, remote: &S) -> Option<NextP<P>> {
        let mut state = self.state.lock();
        let mut left = state.take_asleep(remote).is_some();
        if let Some((at, _)) = state.place(remote)
            && !mutated("dispatch.cancel_enlist_stays_in_line")
        {
            left = state.leave_line(at).is_some();
        }
        if left {
            remote.without_p();
        }
        let next = self.line_changed(&mut state);
        drop(state);
        if let Some(next) = next {
            next.note.wake();
        }
        if left || mutated("dispatch.cancel_enlist_loses_p") {
            return None;
        }
        remote.take_next_p()
    }

    /// Makes the next M that would sleep look again, unless an M sleeps that accepts any work.
    /// Called when no M could be made for published work.
    ///
    /// False if an M sleeps: the caller wakes it instead.
    pub(crate) fn ask_next_sleeper_to_look(&self) -> bool {
        let mut state = self.state.lock();
        let nobody = !state.somebody_sleeps();
        state.look_again |= nobody && !mutated("dispatch.look_again_forgotten");
        nobody
    }

    /// Takes the M's own status back from `ASLEEP`. False if a waker was faster.
    fn wake_up(&self, remote: &S) -> bool {
        let mut state = self.state.lock();
        let found = state.take_asleep(remote).is_some();
        if found {
            remote.without_p();
            self.publish(&state);
        }
        found
    }

    /// Waits until the M has a P, or its sleep has ended otherwise.
    pub(super) fn wait(
        &self,
        remote: &S,
        idle: &Idle,
        sleep: impl Fn(&Note) -> Slept,
    ) -> WaitedForP<P> {
        loop {
            // ORDERING[dispatch.status]: pairs with the stores in `hand`: this M sees all that the
            // giver did before.
            match remote.status.load(Acquire) {
                status @ (HAS_P | HAS_P_SEARCHING) => {
                    let p = remote.next_p.lock().take().expect("a P comes with the status");
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

    /// Ends the idle Ms, now and from now on. An M that has Gs is not idle.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let asleep = state.asleep();
        drop(state);
        // An M that falls asleep from here on sees `closed`. The Ms that slept before are woken by
        // walking the list. They stay in it until they remove themselves, which moves others to the
        // front only.
        for at in (0..asleep).rev().filter(|_| !mutated("dispatch.close_wakes_nobody")) {
            let remote = self.state.lock().sleeper(at).cloned();
            if let Some(remote) = remote {
                remote.note.wake();
            }
        }
    }
}
