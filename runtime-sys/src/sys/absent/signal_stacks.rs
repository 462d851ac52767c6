//! Signal stacks, on a system without signals: none is needed, so what is there always serves.
//!
//! # Safety
//!
//! Nothing is registered, so nothing can be taken off too late.
#![expect(unsafe_code, reason = "the contracts of those that register something")]

use std::io;
use std::ops::Range;
use std::ptr::null_mut;

/// Zero.
pub fn required_size() -> usize {
    0
}

/// True: no size is needed.
pub fn large_enough(_size: usize) -> bool {
    true
}

/// What is registered for a thread: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Null.
    pub base: *mut u8,
    /// Zero.
    pub size: usize,
    /// False.
    pub enabled: bool,
    /// False.
    pub executing: bool,
}

impl Registered {
    const NONE: Self = Self { base: null_mut(), size: 0, enabled: false, executing: false };

    /// True: nothing more is needed.
    pub fn serves(&self) -> bool {
        true
    }

    /// Returns the empty range.
    pub fn range(&self) -> Range<usize> {
        0..0
    }
}

/// Returns what is registered: nothing.
pub fn registered() -> Registered {
    Registered::NONE
}

/// The outcome of [`SignalStack::remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a stack that was not ours to remove stays registered"]
pub enum Removal {
    /// Our stack is off, and free again.
    Done,
    /// Another stack is registered. Never here.
    NotOurs,
}

/// A signal stack of ours, without memory.
#[derive(Debug)]
pub struct SignalStack(());

impl SignalStack {
    /// Returns one.
    pub fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Returns the empty range.
    pub fn range(&self) -> Range<usize> {
        0..0
    }

    /// Returns the empty range.
    pub fn guard(&self) -> Range<usize> {
        0..0
    }

    /// Registers nothing, and returns that there was nothing before.
    pub fn install(&self) -> io::Result<Registered> {
        Ok(Registered::NONE)
    }

    /// As [`install`](Self::install).
    ///
    /// # Safety
    ///
    /// None.
    pub unsafe fn install_again(&self) -> io::Result<Registered> {
        Ok(Registered::NONE)
    }

    /// False.
    pub fn is_taken(&self) -> bool {
        false
    }

    /// Takes nothing off.
    ///
    /// # Safety
    ///
    /// None.
    pub unsafe fn remove(&self, _before: Option<&Registered>) -> Removal {
        Removal::Done
    }

    /// Takes nothing off.
    ///
    /// # Safety
    ///
    /// None.
    pub unsafe fn remove_at_thread_end(&self) -> Removal {
        Removal::Done
    }
}
