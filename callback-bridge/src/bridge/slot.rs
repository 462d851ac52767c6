//! A place for one request and its reply, used again and again.
//!
//! # Who owns what
//!
//! A slot that nobody uses is [`Vacant`]. To ask makes two of it: the caller's half, [`Asked`], and
//! a [`Ticket`] that travels to a server, which exchanges it for the request and what it then owes,
//! [`Owed`]. Each half may go at any time: the caller at its deadline or when it is cancelled, the
//! server when it panics, the ticket with the queue that it lies in.
//!
//! ```text
//!            ticket taken            reply                      the caller's again
//!   QUEUED ---------------> TAKEN -------------> REPLIED
//!     | |                    | |  owed dropped
//!     | |  ticket dropped    | '---------------> UNANSWERED
//!     | '------------------> | ----------------> REFUSED        with the request in it
//!     |                      |
//!     | caller leaves        | caller leaves
//!     v                      v
//!   WITHDRAWN              ABANDONED                             freed with the last half
//! ```
//!
//! Whoever moves the state owns what it moved for. Both ends leave QUEUED and TAKEN by an exchange,
//! so one of them does: a request is taken or comes back, and a reply comes or stays with the
//! server. None is lost, and none is there twice.
//!
//! The last three states on the right are the caller's, who empties the slot and keeps it for the
//! next request. The server's half touches only the waker after that, which may then wake a later
//! caller for nothing. So a caller looks at the state whenever it is woken.
//!
//! # Rejected
//!
//! - The slot in the caller's frame: the caller could not leave before the server has answered.
//! - A slot that the server gives back after the caller has left: it would have to know where to.
//!   Time limits that end calls are rare, and the next call makes another slot.
//!
//! # Safety
//!
//! The cells belong to whoever the state says. A half exists once.
#![expect(unsafe_code, reason = "cells that a state guards")]

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, UnsafeCell, mutated};
use std::sync::Arc;

const QUEUED: u32 = 0;
const TAKEN: u32 = 1;
const REPLIED: u32 = 2;
const UNANSWERED: u32 = 3;
const REFUSED: u32 = 4;
const WITHDRAWN: u32 = 5;
const ABANDONED: u32 = 6;

/// What a caller sleeps on.
pub(crate) trait Wakes {
    /// Ends its sleep, or the next one.
    fn wake(&self);
}

struct Slot<Q, A, W> {
    state: AtomicU32,
    request: UnsafeCell<Option<Q>>,
    reply: UnsafeCell<Option<A>>,
    /// The next vacant slot, while this one is on a list of those.
    next: UnsafeCell<Option<Vacant<Q, A, W>>>,
    caller: W,
}

// SAFETY: each cell has one user at a time, who hands it on by the state.
unsafe impl<Q: Send, A: Send, W: Send> Send for Slot<Q, A, W> {}
// SAFETY: as above; the waker is used by both halves.
unsafe impl<Q: Send, A: Send, W: Sync> Sync for Slot<Q, A, W> {}

/// A slot that nobody else uses, unless to wake.
pub(crate) struct Vacant<Q, A, W>(Arc<Slot<Q, A, W>>);

/// The caller's half of a request.
pub(crate) struct Asked<Q, A, W>(Arc<Slot<Q, A, W>>);

/// A request on its way to a server. Dropped, it refuses the request.
pub(crate) struct Ticket<Q, A, W: Wakes>(Arc<Slot<Q, A, W>>);

/// What a server owes that has taken a request. Dropped, it says that no reply will come. None
/// after a reply: the slot may be another request's by then.
pub(crate) struct Owed<Q, A, W: Wakes>(Option<Arc<Slot<Q, A, W>>>);

/// What a caller has when it leaves.
pub(crate) enum Left<Q, A, W> {
    /// No server has taken the request. The slot is there if the ticket is gone.
    Back(Q, Option<Vacant<Q, A, W>>),
    Replied(A, Vacant<Q, A, W>),
    /// A server took the request and dropped what it owed.
    Unanswered(Vacant<Q, A, W>),
    /// A server has the request.
    Taken,
}

impl<Q, A, W> Slot<Q, A, W> {
    /// Takes out of a cell.
    ///
    /// # Safety
    ///
    /// The cell is the caller's.
    unsafe fn empty<T>(cell: &UnsafeCell<Option<T>>) -> Option<T> {
        cell.with_mut(|cell| {
            // SAFETY: as the caller says.
            unsafe { (*cell).take() }
        })
    }

    /// Puts into a cell.
    ///
    /// # Safety
    ///
    /// The cell is the caller's. It is empty, so nothing is dropped.
    unsafe fn fill<T>(cell: &UnsafeCell<Option<T>>, value: Option<T>) {
        cell.with_mut(|cell| {
            // SAFETY: as the caller says.
            unsafe { *cell = value }
        });
    }
}

impl<Q, A, W: Wakes> Slot<Q, A, W> {
    /// Ends the server's half. False if the caller has left.
    fn end(&self, state: u32) -> bool {
        let order = if mutated("slot.end_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[slot.over]: partner is the load in `leave`.
        let ended = self.state.compare_exchange(TAKEN, state, order, Ordering::Relaxed).is_ok();
        if ended && !mutated("slot.no_wake") {
            self.caller.wake();
        }
        ended
    }
}

impl<Q, A, W> Vacant<Q, A, W> {
    /// Makes one. Allocates.
    pub(crate) fn new(caller: W) -> Self {
        Self(Arc::new(Slot {
            state: AtomicU32::new(REFUSED),
            request: UnsafeCell::new(None),
            reply: UnsafeCell::new(None),
            next: UnsafeCell::new(None),
            caller,
        }))
    }

    /// Puts this one in front of a list.
    pub(crate) fn link(self, list: &mut Option<Self>) {
        // SAFETY: vacant, so all cells are this value's; on no list, so this one is empty.
        unsafe { Slot::<Q, A, W>::fill(&self.0.next, list.take()) };
        *list = Some(self);
    }

    /// Takes the first one off a list.
    pub(crate) fn unlink(list: &mut Option<Self>) -> Option<Self> {
        let first = list.take()?;
        // SAFETY: vacant, so all cells are this value's.
        *list = unsafe { Slot::<Q, A, W>::empty(&first.0.next) };
        Some(first)
    }
}

impl<Q, A, W: Wakes> Vacant<Q, A, W> {
    /// Makes a request.
    pub(crate) fn ask(self, request: Q) -> (Asked<Q, A, W>, Ticket<Q, A, W>) {
        // SAFETY: vacant, so all cells are this value's, and empty.
        unsafe { Slot::<Q, A, W>::fill(&self.0.request, Some(request)) };
        // Relaxed: the ticket takes it along.
        self.0.state.store(QUEUED, Ordering::Relaxed);
        (Asked(self.0.clone()), Ticket(self.0))
    }
}

impl<Q, A, W> Asked<Q, A, W> {
    /// What the caller sleeps on until the request [is over](Self::is_over).
    pub(crate) fn caller(&self) -> &W {
        &self.0.caller
    }

    /// True if the server's half has done what it does.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.0.state.load(Ordering::Relaxed), QUEUED | TAKEN)
    }

    /// Leaves, whatever the state, with what there is.
    pub(crate) fn leave(self) -> Left<Q, A, W> {
        let Self(slot) = self;
        loop {
            // ORDERING[slot.over]: partners are the exchanges of the server's half: the reply, and
            // that it has emptied the request's cell.
            match slot.state.load(Ordering::Acquire) {
                QUEUED if move_on(&slot.state, QUEUED, WITHDRAWN) => {
                    // SAFETY: withdrawn, so no server takes it.
                    let request = unsafe { Slot::<Q, A, W>::empty(&slot.request) };
                    return Left::Back(request.expect("it was not taken"), None);
                }
                TAKEN if move_on(&slot.state, TAKEN, ABANDONED) => return Left::Taken,
                REPLIED => {
                    // SAFETY: the server's half is over.
                    let reply = unsafe { Slot::<Q, A, W>::empty(&slot.reply) };
                    return Left::Replied(reply.expect("a reply"), Vacant(slot));
                }
                UNANSWERED => return Left::Unanswered(Vacant(slot)),
                REFUSED => {
                    // SAFETY: as above.
                    let request = unsafe { Slot::<Q, A, W>::empty(&slot.request) };
                    return Left::Back(request.expect("it was not taken"), Some(Vacant(slot)));
                }
                // The server was faster.
                _ => {}
            }
        }
    }
}

/// Moves the state, if it is still `from`. Relaxed: whoever moves it has no news for the other end.
#[inline]
fn move_on(state: &AtomicU32, from: u32, to: u32) -> bool {
    if mutated("slot.move_by_store") {
        let there = state.load(Ordering::Relaxed) == from;
        if there {
            state.store(to, Ordering::Relaxed);
        }
        return there;
    }
    state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

impl<Q, A, W: Wakes> Ticket<Q, A, W> {
    /// Takes the request. None if the caller has withdrawn it.
    pub(crate) fn take(self) -> Option<(Q, Owed<Q, A, W>)> {
        if !move_on(&self.0.state, QUEUED, TAKEN) {
            return None;
        }
        let owed = Owed(Some(self.0.clone()));
        // SAFETY: taken, so the caller does not touch it; the ticket came with what was in it.
        let request = unsafe { Slot::<Q, A, W>::empty(&self.0.request) };
        Some((request.expect("it was not withdrawn"), owed))
    }
}

impl<Q, A, W: Wakes> Drop for Ticket<Q, A, W> {
    fn drop(&mut self) {
        // Else it was taken, or withdrawn.
        if move_on(&self.0.state, QUEUED, REFUSED) {
            self.0.caller.wake();
        }
    }
}

impl<Q, A, W: Wakes> Owed<Q, A, W> {
    /// True if the caller waits for the reply, at this moment.
    pub(crate) fn is_awaited(&self) -> bool {
        let state = self.0.as_ref().map(|slot| slot.state.load(Ordering::Relaxed));
        state == Some(TAKEN)
    }

    /// Replies. The reply comes back if the caller has left.
    pub(crate) fn reply(mut self, reply: A) -> Result<(), A> {
        let Some(slot) = self.0.take() else { return Err(reply) };
        if mutated("slot.end_twice") {
            self.0 = Some(slot.clone());
        }
        // SAFETY: taken: the cell is the server's until the state moves on.
        unsafe { Slot::<Q, A, W>::fill(&slot.reply, Some(reply)) };
        if slot.end(REPLIED) {
            return Ok(());
        }
        // SAFETY: the caller has left.
        let reply = unsafe { Slot::<Q, A, W>::empty(&slot.reply) };
        Err(reply.expect("it was put there"))
    }
}

impl<Q, A, W: Wakes> Drop for Owed<Q, A, W> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.end(UNANSWERED);
        }
    }
}
