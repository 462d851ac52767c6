//! The line: Ms that own ready Gs and have no P.

use std::ops::Deref;

use gosched_runtime_sys::sync::primitive::mutated;

use super::remote::HAS_P;
use super::state::State;
use super::{Dispatch, Remote, WaitedForP, until_woken};
use crate::ds::idle::Idle;
use crate::policy;

impl<P, S: Clone + Deref<Target = Remote<P>>> Dispatch<P, S> {
    /// A P that nobody has: to the line's head if it was passed over for long, else it lies idle
    /// and the head is woken.
    pub(crate) fn put_back(&self, p: Box<P>, idle: &Idle, now: u64) {
        let mut state = self.state.lock();
        let overdue = state.head().is_some_and(|head| policy::passed_over(head.since, now));
        let passed_over = if overdue { state.pop_line() } else { None };
        if let Some(head) = &passed_over {
            head.hand(p, HAS_P);
        } else {
            state.idle.push(p);
            let _the_caller_looks_anyway = idle.add_idle_p(1);
        }
        let head = self.line_changed(&mut state);
        drop(state);
        for remote in passed_over.into_iter().chain(head) {
            remote.note.wake();
        }
    }

    /// Restores the third invariant after the line or the idle Ps changed: who is to be woken once
    /// the lock is free.
    pub(super) fn line_changed(&self, state: &mut State<P, S>) -> Option<S> {
        self.publish(state);
        if state.idle.is_empty() || mutated("dispatch.release_without_wake") {
            return None;
        }
        let head = state.head().filter(|head| !head.woken)?;
        head.woken = true;
        Some(head.remote.clone())
    }

    /// An M with ready work gives its P to the line's head and stands behind. Gives the P back if
    /// nobody waits.
    pub(crate) fn give_way(&self, p: Box<P>, remote: &S, now: u64) -> Result<(), Box<P>> {
        let mut state = self.state.lock();
        let Some(head) = state.pop_line() else { return Err(p) };
        head.hand(p, HAS_P);
        state.stand_in_line(remote.clone(), now, false);
        let next = self.line_changed(&mut state);
        drop(state);
        for remote in [head].into_iter().chain(next) {
            remote.note.wake();
        }
        Ok(())
    }

    /// An M without a P that owns ready Gs takes an idle P, or stands in the line, where it
    /// [waits](Self::wait_for_turn). A home M that `returns` from a G that kept it too long comes
    /// before the others.
    pub(crate) fn join_line(
        &self,
        remote: &S,
        idle: &Idle,
        now: u64,
        returns: bool,
    ) -> Option<Box<P>> {
        let mut state = self.state.lock();
        if let Some(p) = state.idle.pop() {
            idle.sub_idle_p(1);
            remote.with_p();
            return Some(p);
        }
        state.stand_in_line(remote.clone(), now, returns);
        self.publish(&state);
        None
    }

    /// Waits for the turn of an M that stands in the line.
    pub(crate) fn wait_for_turn(&self, remote: &S, idle: &Idle) -> Box<P> {
        // Who stands in the line keeps no time: all Ps are with Ms that are awake.
        match self.wait(remote, idle, until_woken) {
            WaitedForP::Got(given) => given.p,
            WaitedForP::Retry | WaitedForP::Expired | WaitedForP::Closed => {
                unreachable!("a runtime does not end while an M owns ready goroutines")
            }
        }
    }

    /// An M in the line was woken, or is about to sleep: an idle P is its, wherever in the line it
    /// stands (the head was woken for it, but who comes first has it; who is left is woken by the
    /// next release).
    pub(super) fn take_turn(&self, remote: &S, idle: &Idle) -> Option<Box<P>> {
        let mut state = self.state.lock();
        let has_idle = !state.idle.is_empty();
        let (at, place) = state.place(remote)?;
        if !has_idle {
            place.woken = mutated("dispatch.passed_over_unnoticed");
            return None;
        }
        let p = state.idle.pop()?;
        idle.sub_idle_p(1);
        let _own = state.leave_line(at);
        let next = self.line_changed(&mut state).filter(|_| !mutated("dispatch.turn_wakes_nobody"));
        drop(state);
        remote.with_p();
        if let Some(next) = next {
            next.note.wake();
        }
        Some(p)
    }
}
