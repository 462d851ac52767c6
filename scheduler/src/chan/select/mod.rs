//! Waiting for several channels at once: [`select!`](crate::select!) and
//! [`select_biased!`](crate::select_biased!) for cases known when the program is written,
//! [`Select`] for a number of cases known when it runs.

mod dynamic;
pub(crate) mod engine;
mod future;
mod macros;
#[cfg(all(test, gosched_loom))]
pub(crate) mod model;
mod observe;
pub(crate) mod polled;
mod ready;
pub mod support;

pub use dynamic::{Select, SelectTimeoutError, SelectedOperation, TrySelectError};
pub use future::SelectFuture;
pub use ready::{ReadyTimeoutError, TryReadyError};

use crate::proc::draw::draw;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::{give_turn, preempt_point};
use engine::{Order, Wait};

/// Does one of the cases. As every operation, it gives a turn before it waits, or after it has
/// failed.
#[inline]
fn one_of(
    entries: &mut [engine::Entry<'_, Target>],
    wait_mode: Wait,
    order: Order,
) -> Option<usize> {
    let tries = matches!(wait_mode, Wait::No);
    if !tries {
        preempt_point();
    }
    let chosen = engine::select(entries, wait_mode, order, Parking::begin);
    if tries && chosen.is_none() {
        give_turn();
    }
    chosen
}

/// Each case that is ready has the same chance.
const RANDOM: Order = Order::Random(random_below);

/// A number below `n`, for the choice among cases that are ready.
#[inline]
fn random_below(n: usize) -> usize {
    let here = 0_u8;
    // The mixing of SplitMix64; the stack tells threads and runs of the program apart.
    let seed = draw().wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut mixed = seed ^ (&raw const here).addr().rotate_left(17) as u64;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    (((mixed >> 32) * n as u64) >> 32) as usize
}
