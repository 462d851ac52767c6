//! How the number of Ps changes.
//!
//! A P is not numbered for this purpose: when fewer are asked for than there are, whichever comes
//! by first is retired. Who has one in hand, and finds that there are too many
//! ([`Dispatch::excess`]), offers it; under the lock it is taken, or, if others were faster or more
//! are asked for again, given back. So as many go as have to, and a number that is changed by
//! several at a time ends up as the last one said.
//!
//! # Invariants, whenever the lock is free
//!
//! - `live` Ps are idle, with an M, or on their way; the others that were ever made are retired.
//! - If there are more than asked for and one of them is idle, whoever made it so looks for it
//!   next.
//!
//! # Rejected
//!
//! Retiring the Ps with the highest numbers: a hog that has one of these would keep it, while
//! others lie idle. Asking who has a P to let it go: they look at a word of this structure in every
//! round as it is.

use std::ops::Deref;

use gosched_runtime_sys::sync::primitive::{Ordering::Relaxed, mutated};

use super::state::State;
use super::{Dispatch, Remote};
use crate::ds::idle::Idle;

/// Where one P more comes from.
pub(crate) enum Grown<P> {
    /// It was retired.
    Revived(Box<P>),
    /// The caller makes it; it is the one with this number, and counts already.
    Make(usize),
    /// There are as many as asked for.
    Enough,
}

impl<P, S: Clone + Deref<Target = Remote<P>>> Dispatch<P, S> {
    /// How many Ps are asked for.
    #[inline]
    pub(crate) fn procs(&self) -> usize {
        self.procs.load(Relaxed)
    }

    /// How many there are beyond that; a hint.
    #[inline]
    pub(crate) fn excess(&self) -> usize {
        self.excess.load(Relaxed)
    }

    /// Makes room for `ps` Ps, before they are asked for; see [`make_room`](Self::make_room).
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

    /// From here on `procs` Ps are asked for. The caller takes those that are idle and too many,
    /// and makes those that are missing.
    pub(crate) fn set_procs(&self, procs: usize) {
        let mut state = self.state.lock();
        state.target = procs;
        self.publish_ps(&state);
    }

    /// An idle P, if there are too many: to be [retired](Self::retire_p).
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

    /// Retires `p`, which the caller has emptied, unless there are no longer too many.
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

    /// One P more, if more are asked for than there are. The caller puts it among the idle ones.
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
