//! The line: Ms that own ready Gs and have no P.

use std::ops::Deref;

use gosched_runtime_sys::sync::primitive::mutated;

use super::remote::HAS_P;
use super::state::{State, Why};
use super::{Dispatch, Remote, Takes, WaitedForP, until_woken};
use crate::ds::idle::Idle;
use crate::policy;

impl<P, S: Clone + Deref<Target = Remote<P>>> Dispatch<P, S> {
    /// Takes a P that no M has. It goes to the line's head if that was passed over for too long;
    /// else it lies idle, and the head is woken.
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

    /// Restores the third invariant after the line or the idle Ps changed. Returns the M that the
    /// caller wakes once the lock is free.
    pub(super) fn line_changed(&self, state: &mut State<P, S>) -> Option<S> {
        self.publish(state);
        if state.idle.is_empty() || mutated("dispatch.release_without_wake") {
            return None;
        }
        let head = state.head().filter(|head| !head.woken)?;
        head.woken = true;
        Some(head.remote.clone())
    }

    /// Hands the P of an M with ready work to the line's head, and puts that M at the end of the
    /// line. Gives the P back if the line is empty.
    pub(crate) fn give_way(
        &self,
        p: Box<P>,
        remote: &S,
        now: u64,
        takes: Takes,
    ) -> Result<(), Box<P>> {
        let mut state = self.state.lock();
        let Some(head) = state.pop_line() else { return Err(p) };
        head.hand(p, HAS_P);
        state.stand_in_line(remote.clone(), now, Why::LetsPass, takes);
        let next = self.line_changed(&mut state);
        drop(state);
        for remote in [head].into_iter().chain(next) {
            remote.note.wake();
        }
        Ok(())
    }

    /// Takes an idle P for an M that owns ready Gs and has no P. If none is idle, puts the M into
    /// the line, where it [waits](Self::wait_for_turn).
    ///
    /// `why` says where it stands there, and `takes` what the M runs besides its own.
    pub(crate) fn join_line(
        &self,
        remote: &S,
        idle: &Idle,
        now: u64,
        why: Why,
        takes: Takes,
    ) -> Option<Box<P>> {
        let mut state = self.state.lock();
        if let Some(p) = state.idle.pop() {
            idle.sub_idle_p(1);
            remote.with_p();
            return Some(p);
        }
        state.stand_in_line(remote.clone(), now, why, takes);
        self.publish(&state);
        None
    }

    /// Waits until the M, which stands in the line, gets a P.
    pub(crate) fn wait_for_turn(&self, remote: &S, idle: &Idle) -> Box<P> {
        // An M in the line is not the timekeeper: all Ps are with Ms that are awake.
        match self.wait(remote, idle, until_woken) {
            WaitedForP::Got(given) => given.p,
            WaitedForP::Retry | WaitedForP::Expired | WaitedForP::Closed => {
                unreachable!("a runtime does not end while an M owns ready goroutines")
            }
        }
    }

    /// Takes an idle P for an M that stands in the line. Called when the M was woken or is about to
    /// sleep.
    ///
    /// The M's place in the line does not matter: the head was woken for the P, but the first M to
    /// come gets it. The next release wakes the head again.
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
