//! What lies under a channel's lock: the buffer, those who wait, and the steps that both ends take.
//!
//! # Invariants
//!
//! At every point where the lock is free, not counting nodes of selects that were served elsewhere:
//!
//! 1. Somebody is in `receivers` only if the buffer is empty, nobody else waits to send, and
//!    nothing is disconnected. So a sender that finds a receiver waiting hands the value over
//!    directly: nothing older is overtaken.
//! 2. Somebody waits to send only if the buffer is full (without a buffer: always) and nothing is
//!    disconnected. A receiver that frees a slot moves the value of the longest waiting sender in,
//!    and lets that sender go. So values come out in the order in which the sends began to wait,
//!    and a `try_send` cannot overtake a waiting one.
//! 3. The buffer never holds more than the capacity. Its blocks are allocated and freed outside the
//!    lock: under it, neither pushing nor taking does.
//! 4. `disconnected` is set once. It means: one side is gone, or the channel was closed. Which one,
//!    the caller need not know: each takes it for the other side's. The last receiver takes the
//!    buffered values with it; the last sender and the closer leave them.
//! 5. A channel with a clock ([`Clock`]) has no senders. Closed, it gives no more values. A value
//!    that is due is put into the buffer by who looks for one; who waits in `receivers` comes by
//!    itself at that moment, so 1 does not hold for such a value.
//! 6. Futures that wait to receive are in `futures`, apart from who is served directly, and are let
//!    go one for each value that nobody took at once: one put into the buffer, or one whose sender
//!    began to wait. A future that was let go tries again; one that is dropped before it could lets
//!    the next one go, if there still is a value. Goroutines and threads that wait come before
//!    futures that do.
//! 7. If a future has waited for too long, the next value is reserved for it
//!    ([`reserved`](crate::wait::reserved)). A receiver that would begin to wait goes to
//!    `held_back` for as long, and looks again after that. So those in `receivers` are served, and
//!    then the future is. Nobody in `receivers` depends on a future's being polled, and whoever is
//!    in `held_back` has a time at which it looks.
//! 8. Those in `observers` wait for what they will not do. One of them is told when a value was put
//!    into the buffer, when the first slot became free, and when a party begins to wait that the
//!    other side can serve; it tells the others ([`observers`](crate::wait::observers)). All are
//!    told when the channel is disconnected, and when its clock is set.
//!
//! Nothing of the user's runs under the lock: values are moved, never dropped, cloned, compared or
//! printed; who was let go is woken after it.
//!
//! A value lies in the buffer or in a [`Place`] of the party that sends or receives it; a node
//! carries the address of the place. So nothing is copied but from one of these to another.
//!
//! # Safety
//!
//! A node's place stays as [`PlaceRef`] wants it: in the frame that waits, in a pinned future, or
//! with a case of a select.
//!
//! Rejected: one list for all receivers. With a future at its head a value would lie in the buffer
//! until that future is polled, and a goroutine behind it would wait for somebody else's executor,
//! or for ever if the future was forgotten.

#![expect(unsafe_code, reason = "moves values between the places of waiters")]

use gosched_runtime_sys::clock::to_instant;
use gosched_runtime_sys::sync::primitive::mutated;
use std::mem;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::blocks::{Block, Row};
use super::buffer::Buffer;
use super::clock::Clock;
use super::place::{Place, PlaceRef};
use crate::wait::observers::Observers;
use crate::wait::owed::Owed;
use crate::wait::reserved::{Ask, Futures};
use crate::wait::waiter::{Mark, Unpark, WaitList, Wakeup};

/// The state of a channel of values `T`. `K` is what wakes a goroutine or thread that waits.
pub(crate) struct State<T, K: Unpark> {
    buffer: Buffer<T>,
    /// None: as many as memory holds.
    capacity: Option<usize>,
    /// Each has its value in a place of its own.
    senders: WaitList<PlaceRef<T>, K>,
    /// Each has a place for its value.
    receivers: WaitList<PlaceRef<T>, K>,
    /// Receivers that keep back while a future has its turn, each until that is over at longest.
    held_back: WaitList<PlaceRef<T>, K>,
    /// Futures that receive.
    futures: Futures<(), K>,
    /// Selects that wait until one of these could send or receive.
    observers: Observers<K>,
    /// What the values come from, if nobody sends them.
    clock: Option<Clock<T>>,
    disconnected: bool,
}

/// What came of [`State::put`].
pub(crate) enum Put {
    /// The value is with a receiver or in the buffer, and the place empty.
    Done,
    /// There is no room.
    Full,
    /// There is room that has not been allocated yet, see [`State::adopt`].
    Grow,
    Disconnected,
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    Empty,
    Disconnected,
}

impl<T, K: Unpark> State<T, K> {
    pub(super) fn new(capacity: Option<usize>) -> Self {
        Self {
            buffer: Buffer::with_capacity(capacity.unwrap_or(0)),
            capacity,
            senders: WaitList::new(),
            receivers: WaitList::new(),
            held_back: WaitList::new(),
            futures: Futures::new(),
            observers: Observers::new(),
            clock: None,
            disconnected: false,
        }
    }

    /// Of a channel that holds the last value that the clock gave.
    pub(super) fn of_clock(clock: Clock<T>) -> Self {
        Self { clock: Some(clock), ..Self::new(Some(1)) }
    }

    /// Takes from the clock what is due.
    #[inline]
    fn strike(&mut self) {
        if let Some(clock) = &mut self.clock
            && !self.disconnected
        {
            clock.strike(Instant::now(), &mut self.buffer);
        }
    }

    /// When the clock gives the next value.
    #[inline]
    pub(super) fn due(&self) -> Option<Instant> {
        self.clock.as_ref().and_then(Clock::next)
    }

    /// Sets the clock, if there is one. First: whether a value would have come, or was there; it is
    /// gone. Second: whether the next one comes sooner now than those who wait expect.
    pub(super) fn set_clock(
        &mut self,
        next: Option<Instant>,
        period: Option<Duration>,
    ) -> (bool, bool) {
        let Some(clock) = &mut self.clock else { return (false, false) };
        let before = clock.next();
        let came = clock.set(next, period, &mut self.buffer);
        (came, next.is_some_and(|next| before.is_none_or(|before| next < before)))
    }

    #[inline(always)]
    pub(super) fn senders(&mut self) -> &mut WaitList<PlaceRef<T>, K> {
        &mut self.senders
    }

    #[inline(always)]
    pub(super) fn receivers(&mut self) -> &mut WaitList<PlaceRef<T>, K> {
        &mut self.receivers
    }

    pub(super) fn held_back(&mut self) -> &mut WaitList<PlaceRef<T>, K> {
        &mut self.held_back
    }

    pub(super) fn futures(&mut self) -> &mut Futures<(), K> {
        &mut self.futures
    }

    pub(super) fn observers(&mut self) -> &mut Observers<K> {
        &mut self.observers
    }

    pub(super) fn observing(&mut self) -> &mut WaitList<Mark, K> {
        self.observers.list()
    }

    /// True if somebody is to be told of what becomes ready.
    #[inline(always)]
    pub(super) fn is_observed(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Takes an observer off, to be woken: something was put where it is to be had, or a party has
    /// begun to wait.
    #[inline(always)]
    pub(super) fn tell(&mut self) -> Option<Wakeup<K>> {
        if self.is_observed() { self.observers.tell() } else { None }
    }

    pub(super) fn polling(&mut self) -> &mut WaitList<Ask<()>, K> {
        self.futures.list()
    }

    /// True if a value may be taken by whoever comes: none is reserved.
    #[inline(always)]
    pub(super) fn is_open(&mut self) -> bool {
        !self.futures.is_reserved() || self.futures.reserved(false).is_none()
    }

    /// Returns until when a receiver that is about to park keeps back, if it has to: the first
    /// future has waited for too long.
    #[inline(always)]
    pub(super) fn keeps_back(&mut self) -> Option<Instant> {
        if self.futures.is_idle() { None } else { self.reserves() }
    }

    #[cold]
    fn reserves(&mut self) -> Option<Instant> {
        // Who waits for the clock comes by itself at its time, as the future does.
        if self.clock.is_some() || self.disconnected {
            return None;
        }
        let was_reserved = self.futures.is_reserved();
        let nobody_parks = self.nobody_parks();
        match self.futures.reserved(nobody_parks) {
            Some(until) => to_instant(until),
            // It has lapsed since the caller looked for a value: the caller looks again at once.
            None if was_reserved && !mutated("chan.lapses_unseen") => Some(Instant::now()),
            None => None,
        }
    }

    fn nobody_parks(&self) -> bool {
        self.receivers.is_empty() && self.held_back.is_empty()
    }

    /// Moves the value to a receiver that keeps back, if nothing older is there: its sender does
    /// not wait for a future.
    #[cold]
    pub(super) fn put_held_back(&mut self, value: &mut Place<T>, owed: &mut Owed<K>) -> bool {
        if !self.can_put_held_back() {
            return false;
        }
        let Some(receiver) = self.held_back.pop() else { return false };
        let ((), wakeup) = receiver.exchange(|place| {
            let place = place.expect("a waiting receiver has a place");
            // SAFETY: the receiver waits, and this has popped it.
            value.move_to(unsafe { place.get() });
        });
        owed.wake(Some(wakeup));
        true
    }

    fn can_put_held_back(&mut self) -> bool {
        self.buffer.is_empty() && self.senders.is_empty() && self.held_back.has_waiter()
    }

    pub(super) fn len(&mut self) -> usize {
        self.strike();
        self.buffer.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.buffer.len() >= capacity)
    }

    /// Moves the value to a waiting receiver or into the buffer.
    #[inline(always)]
    pub(super) fn put(&mut self, value: &mut Place<T>, owed: &mut Owed<K>) -> Put {
        if self.disconnected {
            return Put::Disconnected;
        }
        if let Some(receiver) = self.receivers.pop() {
            let ((), wakeup) = receiver.exchange(|place| {
                let place = place.expect("a waiting receiver has a place");
                // SAFETY: the receiver waits, and this has popped it.
                value.move_to(unsafe { place.get() });
            });
            owed.wake(Some(wakeup));
            self.futures.parked_was_served();
            return Put::Done;
        }
        if self.is_full() {
            return Put::Full;
        }
        if !self.buffer.has_room() {
            return Put::Grow;
        }
        self.buffer.push(value);
        owed.call(self.let_poll());
        owed.wake(self.tell());
        Put::Done
    }

    /// Moves the oldest value into an empty place, from the buffer or from a waiting sender. False:
    /// there is none, see [`nothing`](Self::nothing).
    #[inline(always)]
    pub(super) fn take(&mut self, into: &mut Place<T>, owed: &mut Owed<K>) -> bool {
        self.strike();
        let was_full = self.is_full();
        let sender = if was_full { self.senders.pop() } else { None };
        let from_buffer = self.buffer.pop(into);
        let Some(sender) = sender else {
            if was_full && from_buffer {
                owed.wake(self.tell());
            }
            return from_buffer;
        };
        let ((), wakeup) = sender.exchange(|place| {
            let place = place.expect("a waiting sender has a place");
            // SAFETY: the sender waits, and this has popped it.
            let offered = unsafe { place.get() };
            if from_buffer {
                self.buffer.push(offered);
            } else {
                offered.move_to(into);
            }
        });
        owed.wake(Some(wakeup));
        if from_buffer {
            owed.call(self.let_poll());
        }
        true
    }

    /// Why there is no value, when [`take`](Self::take) found none.
    #[inline(always)]
    pub(super) fn nothing(&self) -> Nothing {
        if self.disconnected { Nothing::Disconnected } else { Nothing::Empty }
    }

    /// Whether [`put`](Self::put) would not say [`Put::Full`].
    pub(super) fn can_put(&mut self) -> bool {
        self.disconnected
            || !self.is_full()
            || self.receivers.has_waiter()
            || self.can_put_held_back()
    }

    /// Whether [`take`](Self::take) would not say [`Nothing::Empty`].
    pub(super) fn can_take(&mut self) -> bool {
        self.disconnected || (self.is_open() && self.has_value())
    }

    pub(super) fn has_value(&mut self) -> bool {
        self.strike();
        !self.buffer.is_empty() || self.senders.has_waiter()
    }

    /// Lets the longest waiting future try again.
    #[inline(always)]
    pub(super) fn let_poll(&mut self) -> Option<Waker> {
        if self.futures.is_empty() { None } else { self.let_one_poll() }
    }

    #[cold]
    fn let_one_poll(&mut self) -> Option<Waker> {
        if self.clock.is_none() {
            let nobody_parks = self.nobody_parks();
            let _begins = self.futures.reserved(nobody_parks);
        }
        match self.futures.wake().or_else(|| self.futures.wake_beside())? {
            Wakeup::Polls(waker) => Some(waker),
            Wakeup::Parked(_) => unreachable!("futures wait here, and nobody else"),
        }
    }

    /// The same, if there is a value that it could find.
    pub(super) fn pass_on(&mut self) -> Option<Waker> {
        if self.has_value() { self.let_poll() } else { None }
    }

    /// Returns how many values the buffer's next block is to hold, when [`put`](Self::put) said
    /// [`Put::Grow`].
    pub(super) fn wanted(&mut self) -> usize {
        self.buffer.next_block()
    }

    /// Adds a block to the buffer, which was allocated without the lock. Returns what is to be
    /// freed without it.
    pub(super) fn adopt(&mut self, block: Box<Block<T>>) -> Option<Box<Block<T>>> {
        self.buffer.adopt(block)
    }

    /// True if [`take`](Self::take) has left memory that is to be freed; see
    /// [`Channel::tidy`](super::raw::Channel::tidy).
    #[inline(always)]
    pub(super) fn has_retired(&self) -> bool {
        self.buffer.has_retired()
    }

    /// Returns that memory.
    pub(super) fn take_retired(&mut self) -> Row<T> {
        self.buffer.take_retired()
    }

    pub(super) fn is_disconnected(&self) -> bool {
        self.disconnected
    }

    pub(super) fn disconnect(&mut self) {
        self.disconnected = true;
        self.futures.end();
    }

    /// The values that nobody will receive, to be dropped without the lock.
    pub(super) fn unreceived(&mut self) -> Buffer<T> {
        mem::replace(&mut self.buffer, Buffer::with_capacity(0))
    }
}
