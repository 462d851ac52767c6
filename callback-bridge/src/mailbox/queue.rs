//! The items of a mailbox: a bounded queue that a signal handler may post to.
//!
//! # The protocol
//!
//! There are as many slots as items fit. A slot is on the free list, with a poster, on the posted
//! list, or with the receiver. A poster takes a free slot, fills it, and puts it on the posted
//! list, by one exchange each. The receiver takes the whole posted list at once, turns it around,
//! and so has the items in the order in which they were posted. It gives each slot back when it has
//! emptied it.
//!
//! A thread that stands still in the middle of a post has one slot, which is on no list. So it
//! holds up nobody: neither another poster, which may be a handler that has interrupted it, nor the
//! receiver. An exchange fails only if another one has succeeded.
//!
//! # The words
//!
//! `free` has the number of the first free slot and a tag, as the list of extra Ms has
//! (`extra/list.rs`): a poster reads the next number from a slot before its exchange. Each slot
//! that is given back moves the tag, so the exchange fails if the slot was away meanwhile. The tag
//! has 40 bits; a poster would have to stand still while 2^40 items pass.
//!
//! `posted` needs no tag. A poster writes into a slot that it has alone, and the receiver takes all
//! or nothing.
//!
//! `posted` also says whether the receiver is about to sleep: in an empty list it puts
//! [`AWAITED`]. The poster whose exchange replaces that wakes the receiver. It is one word, so no
//! item comes unnoticed between the receiver's last look and its sleep, and no fence is needed.
//!
//! # Rejected
//!
//! - *A ring with a number in each slot*: an item behind one whose poster was interrupted is not
//!   received until that poster goes on.
//! - *A swap of the head, as in a linked queue without a bound*: it needs memory for each item, and
//!   has the same gap.
//!
//! # Safety
//!
//! A slot's value is used by whoever has the slot: the poster that took it off the free list, until
//! it is on the posted list, and the receiver, until it is on the free list. There is one receiver
//! at a time: its functions are unsafe to call.
#![expect(unsafe_code, reason = "slots that belong to the thread that took them off a list")]

use gosched_runtime_sys::sync::primitive::{AtomicU32, AtomicU64, Ordering, UnsafeCell, mutated};
use std::mem::MaybeUninit;

/// The number that stands for no slot. Slots are numbered from 1.
const NONE: u32 = 0;

/// In `posted`: the list is empty, and the receiver is about to sleep.
const AWAITED: u32 = u32::MAX;

/// How many bits of `free` are a slot's number.
const NUMBER_BITS: u32 = 24;

/// The greatest number, and so the greatest capacity.
pub(crate) const MOST: usize = (1 << NUMBER_BITS) - 1;

/// The number in `free`.
#[inline]
fn first(free: u64) -> u32 {
    (free & MOST as u64) as u32
}

/// `free` after its first slot was taken. The tag stays.
#[inline]
fn with_taken(free: u64, next: u32) -> u64 {
    (free & !(MOST as u64)) | u64::from(next)
}

/// `free` after a slot was given back: its tag has moved.
#[inline]
fn with_given(free: u64, slot: u32) -> u64 {
    let step = if mutated("mail.tag_stays") { 0 } else { 1 << NUMBER_BITS };
    (free & !(MOST as u64)).wrapping_add(step) | u64::from(slot)
}

/// A place for one item.
struct Slot<T> {
    /// The number behind this slot on its list. A late poster may read it at any time, and does not
    /// use what it read.
    next: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// The items of a mailbox.
pub(crate) struct Queue<T> {
    slots: Box<[Slot<T>]>,
    free: AtomicU64,
    posted: AtomicU32,
    /// The receiver's own list, oldest first. It alone reads and writes this.
    received: AtomicU32,
}

// SAFETY: items go from thread to thread, and no two threads have a reference to the same one.
unsafe impl<T: Send> Send for Queue<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Queue<T> {}

/// What a post has found.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a receiver that sleeps is to be woken"]
pub(crate) enum Posted {
    /// The receiver looks again by itself.
    Unawaited,
    /// The receiver sleeps, or is about to. This caller wakes it, and no other.
    Awaited,
}

impl<T> Queue<T> {
    /// Returns an empty queue for `capacity` items, 1 to [`MOST`]. Allocates.
    pub(crate) fn new(capacity: usize) -> Self {
        let slot = |number| Slot {
            next: AtomicU32::new(if number < capacity { number as u32 + 1 } else { NONE }),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        Self {
            slots: (1..=capacity).map(slot).collect(),
            free: AtomicU64::new(1),
            posted: AtomicU32::new(NONE),
            received: AtomicU32::new(NONE),
        }
    }

    /// Returns how many items fit.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Posts an item, or gives it back if none fits. Async-signal-safe and lock-free.
    #[inline]
    pub(crate) fn post(&self, item: T) -> Result<Posted, T> {
        let Some(number) = self.take_free() else { return Err(item) };
        self.slot(number).value.with_mut(|value| {
            // SAFETY: the slot was free, and is this call's.
            unsafe { (*value).write(item) };
        });
        Ok(self.put_posted(number))
    }

    /// Takes a slot off the free list.
    fn take_free(&self) -> Option<u32> {
        let order = if mutated("mail.take_free_relaxed") {
            Ordering::Relaxed
        } else {
            // ORDERING[mail.free]: partner is the exchange in `give_back`; the receiver has moved
            // the item out of the slot. Later values of the word carry that along.
            Ordering::Acquire
        };
        let mut free = self.free.load(order);
        loop {
            let number = first(free);
            if number == NONE {
                return None;
            }
            let next = self.slot(number).next.load(Ordering::Relaxed);
            let taken = with_taken(free, next);
            // A success is Relaxed: the same value was acquired before.
            match self.free.compare_exchange_weak(free, taken, Ordering::Relaxed, order) {
                Ok(_) => return Some(number),
                Err(changed) => free = changed,
            }
        }
    }

    /// Puts a filled slot on the posted list.
    fn put_posted(&self, number: u32) -> Posted {
        // ORDERING[mail.posted]: partner is the swap in `take_posted`: the item, and the links of
        // the list. Exchanges of other posters carry earlier ones along.
        let order =
            if mutated("mail.put_posted_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        let slot = self.slot(number);
        let mut posted = self.posted.load(Ordering::Relaxed);
        loop {
            let awaited = posted == AWAITED;
            slot.next.store(if awaited { NONE } else { posted }, Ordering::Relaxed);
            match self.posted.compare_exchange_weak(posted, number, order, Ordering::Relaxed) {
                Ok(_) if awaited => return Posted::Awaited,
                Ok(_) => return Posted::Unawaited,
                Err(changed) => posted = changed,
            }
        }
    }

    /// Takes the oldest item. None if there is none; then the receiver is not awaited either.
    ///
    /// # Safety
    ///
    /// No other thread receives, and none is between two calls without its writes being visible
    /// here.
    #[inline]
    pub(crate) unsafe fn receive(&self) -> Option<T> {
        let number = match self.received.load(Ordering::Relaxed) {
            NONE => self.take_posted()?,
            number => number,
        };
        let slot = self.slot(number);
        self.received.store(slot.next.load(Ordering::Relaxed), Ordering::Relaxed);
        let item = slot.value.with_mut(|value| {
            // SAFETY: the slot is the receiver's.
            let value = unsafe { &*value };
            // SAFETY: filled before it was posted. The receiver moves the item out once, because
            // the slot has left its list.
            unsafe { value.assume_init_read() }
        });
        self.give_back(number);
        Some(item)
    }

    /// Takes the posted list, turned around. Returns its first slot, the oldest one.
    fn take_posted(&self) -> Option<u32> {
        // A look without a write first: an empty queue is polled more often than a full one.
        if self.posted.load(Ordering::Relaxed) == NONE {
            return None;
        }
        let order =
            if mutated("mail.receive_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        // ORDERING[mail.posted]: partner is the exchange in `put_posted`.
        let mut newest = self.posted.swap(NONE, order);
        if newest == AWAITED {
            return None;
        }
        let mut oldest = NONE;
        while newest != NONE {
            let behind = self.slot(newest).next.load(Ordering::Relaxed);
            self.slot(newest).next.store(oldest, Ordering::Relaxed);
            oldest = newest;
            newest = behind;
        }
        Some(oldest).filter(|&oldest| oldest != NONE)
    }

    /// Gives an emptied slot back.
    fn give_back(&self, number: u32) {
        // ORDERING[mail.free]: partner is the load in `take_free`.
        let order =
            if mutated("mail.give_back_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        let slot = self.slot(number);
        let mut free = self.free.load(Ordering::Relaxed);
        loop {
            slot.next.store(first(free), Ordering::Relaxed);
            let given = with_given(free, number);
            match self.free.compare_exchange_weak(free, given, order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => free = changed,
            }
        }
    }

    /// Says that the receiver is about to sleep. False if there is an item. Afterwards the next
    /// poster is told to wake it, unless [`receive`](Self::receive) comes first.
    ///
    /// # Safety
    ///
    /// As [`receive`](Self::receive), which has returned none.
    pub(crate) unsafe fn await_post(&self) -> bool {
        if mutated("mail.await_by_store") {
            self.posted.store(AWAITED, Ordering::Relaxed);
            return true;
        }
        // Relaxed: nothing is handed to the poster, and `receive` acquires what that hands over.
        match self.posted.compare_exchange(NONE, AWAITED, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => true,
            Err(posted) => posted == AWAITED,
        }
    }

    fn slot(&self, number: u32) -> &Slot<T> {
        &self.slots[number as usize - 1]
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the queue.
        while let Some(item) = unsafe { self.receive() } {
            drop(item);
        }
    }
}
