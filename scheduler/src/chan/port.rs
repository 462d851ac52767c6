//! What a case of a select has of its channel.
//!
//! # Safety
//!
//! A state pointer comes from [`Port::state`]. Who reads it holds that channel's lock.
#![expect(unsafe_code, reason = "channels' states travel without their type")]

use std::cell::Cell;
use std::ptr::{self, NonNull};

use gosched_runtime_sys::sync::lock::MutexGuard;

use super::raw::Channel;
use super::state::State;
use crate::wait::observers::Observer;
use crate::wait::waiter::{Unpark, Wakeup};

/// The channel of a case and, while the select looks, its lock.
pub(super) struct Port<'a, T, K: Unpark> {
    pub(super) channel: &'a Channel<T, K>,
    pub(super) guard: Cell<Option<MutexGuard<'a, State<T, K>>>>,
    pub(super) wakeup: Cell<[Option<Wakeup<K>>; 2]>,
    /// The case has left memory that is to be freed without the lock.
    pub(super) retired: Cell<bool>,
}

impl<'a, T, K: Unpark> Port<'a, T, K> {
    pub(super) fn new(channel: &'a Channel<T, K>) -> Self {
        let (guard, wakeup) = (Cell::new(None), Cell::new([None, None]));
        Self { channel, guard, wakeup, retired: Cell::new(false) }
    }

    pub(super) fn address(&self) -> *const () {
        ptr::from_ref(self.channel).cast()
    }

    pub(super) fn lock(&self) {
        self.guard.set(Some(self.channel.state.lock()));
    }

    /// Takes an observer's node off, if nobody has. If it was told, returns whom to tell next.
    pub(super) fn stop_observing(&self, node: &Observer<K>) -> Option<Wakeup<K>> {
        let mut state = self.channel.state.lock();
        // SAFETY: if it waits, then in this list, which is under this lock.
        unsafe { node.leave(state.observing()) };
        state.observers().pass_on(node)
    }

    pub(super) fn state(&self) -> NonNull<()> {
        let mut guard = self.guard.take().expect("the case keeps the lock");
        let state = NonNull::from(&mut *guard);
        self.guard.set(Some(guard));
        state.cast()
    }
}

/// The state behind a pointer.
///
/// # Safety
///
/// It is a `State<T, K>`, under a lock that the caller holds, and nobody else uses it in the
/// meantime.
pub(super) unsafe fn typed<'s, T, K: Unpark>(state: NonNull<()>) -> &'s mut State<T, K> {
    // SAFETY: this function's contract.
    unsafe { state.cast().as_mut() }
}
