//! Packets that are made around their closures, which are written last.
//!
//! # Safety
//!
//! Places are projections inside of the allocation that is being filled.
#![expect(unsafe_code, reason = "projects to places inside of an allocation")]

use std::ptr::NonNull;

use super::{OnEnd, Packet};
use crate::ds::pair_arc::{PairArc, Unfilled};
use crate::wait::waiter::Unpark;

impl<F, T, K: Unpark, A: OnEnd> Packet<F, T, K, A> {
    /// Makes a packet for two owners, whose closure is yet to be written to
    /// [`closure_of`](Self::closure_of). For [`filled_pair!`].
    #[inline]
    pub(crate) fn unfilled(after: A) -> Unfilled<Self> {
        PairArc::unfilled(|packet| Self::init_but_closure(packet, after))
    }

    /// Returns the place of the closure in a packet that is being made.
    #[inline]
    pub(crate) fn closure_of(packet: &Unfilled<Self>) -> NonNull<F> {
        // SAFETY: a projection inside of the allocation.
        let slot = unsafe { &raw mut (*packet.place()).slot };
        NonNull::new(slot.cast()).expect("it is not null")
    }
}

/// Makes the packet of a goroutine that runs `$f` for its two owners. A macro, so that the closure
/// moves from the parameter of the calling function to the heap, without another function's frame.
///
/// The calling module expects `unsafe_code`.
macro_rules! filled_pair {
    ($f:expr, $after:expr) => {{
        let unfilled = $crate::join::Packet::unfilled($after);
        // SAFETY: the place is in memory that was just allocated, and nothing lies there.
        unsafe { std::ptr::write($crate::join::Packet::closure_of(&unfilled).as_ptr(), $f) };
        // SAFETY: the closure was the last thing that was missing.
        unsafe { unfilled.filled() }
    }};
}
pub(crate) use filled_pair;
