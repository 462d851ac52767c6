//! A word that a thread can sleep on.
//!
//! It is the only way a thread blocks in the protocols above. Protocol code names it as
//! [`crate::sync::primitive::Futex`]; in a model that is loom's stand-in.

use crate::sys;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

/// A word, and the kernel's queue of threads that sleep on its address.
#[derive(Debug)]
#[repr(transparent)]
pub struct Futex {
    /// The word that is waited on.
    pub word: AtomicU32,
}

impl Futex {
    /// Returns a futex whose word is `value`.
    pub const fn new(value: u32) -> Self {
        Self { word: AtomicU32::new(value) }
    }

    /// Sleeps while the word is `expected`; may return early.
    pub fn wait(&self, expected: u32) {
        sys::futex_wait(&self.word, expected, None);
    }

    /// Sleeps while the word is `expected`, at longest until `deadline`; may return early. False if
    /// the deadline passed.
    #[must_use]
    pub fn wait_until(&self, expected: u32, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        !left.is_zero() && sys::futex_wait(&self.word, expected, Some(left))
    }

    /// Wakes one sleeper.
    ///
    /// The kernel takes the address as a name and does not read the memory there. So a thread that
    /// sees a store made before this call may end the word's life at once.
    pub fn wake(&self) {
        sys::futex_wake(self.word.as_ptr());
    }

    /// Wakes all sleepers. Here, too, the address is a name.
    pub fn wake_all(&self) {
        sys::futex_wake_all(self.word.as_ptr());
    }
}
