//! A thread's words: what they are, wherever they lie.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize};

/// A thread's words. Without a destructor.
pub(super) struct Words {
    pub(super) current: AtomicPtr<()>,
    pub(super) bound: AtomicPtr<()>,
    pub(super) attached: AtomicPtr<()>,
    pub(super) calling: AtomicPtr<()>,
    pub(super) no_wait: AtomicPtr<()>,
    pub(super) exiting: AtomicBool,
    /// Whether the thread's handlers find these words.
    pub(super) shown: AtomicBool,
    /// Whether this library made the thread.
    pub(super) own: AtomicBool,
    pub(super) stack_low: AtomicUsize,
    pub(super) stack_guard: AtomicUsize,
    /// Zero while the bounds are not known; stored last.
    pub(super) stack_high: AtomicUsize,
    /// Zero before somebody asks.
    pub(super) number: AtomicU64,
}

impl Words {
    /// Returns those of a thread of which nothing is known, or only that it is `exiting`.
    pub(super) const fn new(exiting: bool) -> Self {
        Self {
            current: AtomicPtr::new(null_mut()),
            bound: AtomicPtr::new(null_mut()),
            attached: AtomicPtr::new(null_mut()),
            calling: AtomicPtr::new(null_mut()),
            no_wait: AtomicPtr::new(null_mut()),
            exiting: AtomicBool::new(exiting),
            shown: AtomicBool::new(false),
            own: AtomicBool::new(false),
            stack_low: AtomicUsize::new(0),
            stack_guard: AtomicUsize::new(0),
            stack_high: AtomicUsize::new(0),
            number: AtomicU64::new(0),
        }
    }
}
