//! How the number of Ps changes.
//!
//! The number of a P does not matter here: if there are more Ps than asked for, the first P that is
//! offered is retired. The owner of a P that sees `excess() > 0` ([`Dispatch::excess`]) offers it.
//! Under the lock the P is retired, or given back: others may have been faster, or more Ps may be
//! asked for again. So exactly the excess is retired. Of several concurrent `set_procs`, the last
//! one wins.
//!
//! # Invariants, whenever the lock is free
//!
//! - `live` Ps are idle, with an M, or on their way to one. The others that were ever made are
//!   retired.
//! - If there are more Ps than asked for and one is idle, the thread that made it idle next looks
//!   for an excess.
//!
//! # Rejected
//!
//! - Retiring the Ps with the highest numbers: a hog that has one of these would keep it, while
//!   others lie idle.
//! - Asking the owner of a P to give it up: every M reads a word of this structure in each round
//!   anyway.

use std::ops::Deref;

use gosched_runtime_sys::sync::primitive::{Ordering::Relaxed, mutated};

use super::state::State;
use super::{Dispatch, Remote};
use crate::ds::idle::Idle;

/// Where one more P comes from.
pub(crate) enum Grown<P> {
    /// From the retired Ps.
    Revived(Box<P>),
    /// The caller makes the P with this number. It is counted already.
    Make(usize),
    /// There are as many Ps as asked for.
    Enough,
}

impl<P, S: Clone + Deref<Target = Remote<P>>> Dispatch<P, S> {
    /// Returns how many Ps are asked for.
    #[inline]
    pub(crate) fn procs(&self) -> usize {
        self.procs.load(Relaxed)
    }

    /// Returns how many Ps there are beyond that. A hint.
    #[inline]
    pub(crate) fn excess(&self) -> usize {
        self.excess.load(Relaxed)
    }

    /// Makes room for `ps` Ps. Called before they are asked for; see
    /// [`make_room`](Self::make_room).
    pub(crate) fn make_room_for_ps(&self, ps: usize) {
        let mut room = [Vec::new(), Vec::new()];
        loop {
            let mut state = self.state.lock();
            let wanted = ps.max(state.made);
            let has_room = state.has_room_for_ps(wanted, &mut room);
            drop(state);
            if has_room {
                return;
            }
            room = [Vec::with_capacity(wanted), Vec::with_capacity(wanted)];
        }
    }

    /// Sets how many Ps are asked for. The caller then retires the idle Ps that are too many, and
    /// makes those that are missing.
    pub(crate) fn set_procs(&self, procs: usize) {
        let mut state = self.state.lock();
        state.target = procs;
        self.publish_ps(&state);
    }

    /// Takes an idle P, if there are more Ps than asked for. The caller [retires](Self::retire_p)
    /// it.
    pub(crate) fn take_excess(&self, idle: &Idle) -> Option<Box<P>> {
        let mut state = self.state.lock();
        if state.live <= state.target {
            return None;
        }
        let p = state.idle.pop()?;
        if !mutated("resize.idle_uncounted") {
            idle.sub_idle_p(1);
        }
        Some(p)
    }

    /// Retires `p`, which the caller has emptied. Gives it back if there are no longer too many.
    pub(crate) fn retire_p(&self, p: Box<P>) -> Result<(), Box<P>> {
        let mut state = self.state.lock();
        if state.live <= state.target && !mutated("resize.retires_regardless") {
            return Err(p);
        }
        state.live -= 1;
        state.retired.push(p);
        self.publish_ps(&state);
        Ok(())
    }

    /// Adds one P, if more are asked for than there are. The caller puts it among the idle Ps.
    pub(crate) fn grow(&self) -> Grown<P> {
        let mut state = self.state.lock();
        if state.live >= state.target {
            return Grown::Enough;
        }
        if !mutated("resize.grown_uncounted") {
            state.live += 1;
        }
        self.publish_ps(&state);
        if let Some(p) = state.retired.pop() {
            return Grown::Revived(p);
        }
        state.made += 1;
        Grown::Make(state.made - 1)
    }

    fn publish_ps(&self, state: &State<P, S>) {
        self.procs.store(state.target, Relaxed);
        self.excess.store(state.live.saturating_sub(state.target), Relaxed);
    }
}
