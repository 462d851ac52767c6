//! Numbers for chance, another one each time.
//!
//! Each M counts for itself: a counter that every core writes in turn would be dearer than the rest
//! of a select. Threads without an M share one, and may draw the same number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::gmp::current;

/// Returns the next number of the calling thread's M.
#[inline]
pub(crate) fn draw() -> u64 {
    static ELSEWHERE: AtomicU64 = AtomicU64::new(0);
    current::with(|cx| cx.map(|cx| cx.m.draw())).unwrap_or_else(|| {
        let draw = ELSEWHERE.load(Relaxed);
        ELSEWHERE.store(draw.wrapping_add(1), Relaxed);
        draw
    })
}
