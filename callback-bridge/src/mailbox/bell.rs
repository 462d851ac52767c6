//! The bell: by it a poster that must not wait, allocate or lock wakes a goroutine.
//!
//! To wake a goroutine takes locks, and perhaps a new thread, none of which a signal handler or a
//! real-time thread may have to do with. So a thread of ours does it. The poster puts the
//! mailbox's ringer on a list and wakes that thread, which is one system call, `futex`, and none
//! if the thread is awake.
//!
//! # The protocol
//!
//! A ringer is on the list once, or not at all; `queued` says which, and whoever sets it puts the
//! ringer there. The thread takes the whole list. Of each ringer it reads what comes next, then
//! clears `queued`, and then wakes the receiver. From the second step on the ringer may be put on
//! the list again. A poster that finds `queued` set leaves it at that: the thread has yet to clear
//! it, by an exchange that sees the poster's, so it wakes the receiver after that post.
//!
//! A poster may stand still between the two steps of its ring. Then others that ring for the same
//! mailbox rely on it, and its receiver sleeps until it goes on. A handler that has interrupted the
//! poster is over by then.
//!
//! # Safety
//!
//! A ringer on the list is owned by it: the count of its `Arc` was raised. `next` belongs to
//! whoever set `queued`, and then to the thread that took the list.
#![expect(unsafe_code, reason = "a list that owns counted pointers")]

use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{AtomicBool, AtomicPtr, Ordering, mutated};
use std::ptr;
use std::sync::Arc;

/// What a bell wakes.
pub(crate) trait Hears {
    /// Wakes it, or has its next sleep end at once. May run code of the user's, a waker.
    fn hear(&self);
}

/// What one mailbox rings by.
#[derive(Debug)]
pub(crate) struct Ringer<W> {
    queued: AtomicBool,
    next: AtomicPtr<Ringer<W>>,
    pub(crate) receiver: W,
}

impl<W> Ringer<W> {
    /// Returns one that is on no list. Allocates.
    pub(crate) fn new(receiver: W) -> Arc<Self> {
        Arc::new(Self {
            queued: AtomicBool::new(false),
            next: AtomicPtr::new(ptr::null_mut()),
            receiver,
        })
    }
}

/// The list of those that have rung, and the note that its thread sleeps on.
#[derive(Debug)]
pub(crate) struct Bell<W> {
    rung: AtomicPtr<Ringer<W>>,
    note: Note,
}

impl<W: Hears> Bell<W> {
    /// Returns a silent bell.
    pub(crate) fn new() -> Self {
        Self { rung: AtomicPtr::new(ptr::null_mut()), note: Note::new() }
    }

    /// Rings. Async-signal-safe and lock-free.
    pub(crate) fn ring(&self, ringer: &Arc<Ringer<W>>) {
        // ORDERING[bell.queued]: partner is the swap in `answer`, in both directions: if this sees
        // the clear, what was read of `next` there came before; if not, that swap sees this one.
        if ringer.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let listed = Arc::into_raw(ringer.clone()).cast_mut();
        let mut first = self.rung.load(Ordering::Relaxed);
        loop {
            ringer.next.store(first, Ordering::Relaxed);
            // ORDERING[bell.rung]: partner is the swap in `answer`: the link, and the post before.
            match self.rung.compare_exchange_weak(
                first,
                listed,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(changed) => first = changed,
            }
        }
        if !mutated("bell.no_wake") {
            self.wake();
        }
    }

    /// Ends the thread's sleep.
    pub(crate) fn wake(&self) {
        self.note.wake();
    }

    /// Sleeps until somebody has rung since the last sleep. For one thread.
    pub(crate) fn sleep(&self) {
        self.note.sleep();
    }

    /// Wakes the receivers of all that have rung.
    pub(crate) fn answer(&self) {
        // ORDERING[bell.rung]: partner is the exchange in `ring`.
        let mut rung = self.rung.swap(ptr::null_mut(), Ordering::Acquire);
        while !rung.is_null() {
            // SAFETY: on the list, which owns it; the swap took the list.
            let ringer = unsafe { Arc::from_raw(rung.cast_const()) };
            let next = ringer.next.load(Ordering::Relaxed);
            if mutated("bell.hear_first") {
                ringer.receiver.hear();
            }
            // ORDERING[bell.queued]: partner is the swap in `ring`.
            ringer.queued.swap(false, Ordering::AcqRel);
            if !mutated("bell.hear_first") {
                ringer.receiver.hear();
            }
            rung = next;
        }
    }
}
