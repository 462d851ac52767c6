//! Sending and receiving as futures, for tasks of any executor.
//!
//! # Safety
//!
//! A future's node is linked by `poll` alone, which has it pinned, into a list of the channel that
//! the future borrows, or has a receiver of, and taken off by its drop at the latest. A future that
//! is forgotten stays where it is, as pinning asks.

#![expect(unsafe_code, reason = "links the node of a pinned future")]

use gosched_runtime_sys::clock::to_instant;
use gosched_runtime_sys::sync::lock::MutexGuard;
use gosched_runtime_sys::sync::primitive::mutated;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use super::error::{RecvError, SendError};
use super::place::{Place, PlaceRef};
use super::raw::Channel;
use super::results;
use super::state::{Nothing, Put, State};
use crate::proc::target::Target;
use crate::proc::yield_now::poll_turn;
use crate::wait::alarm::FutureAlarm;
use crate::wait::owed::{Owed, Panics, locked};
use crate::wait::polled::{PolledNode, Standing};
use crate::wait::reserved::Ask;
use crate::wait::waiter::Unpark;
use crate::wait::wake::wake_all;

/// The future of [`Receiver::recv_async`](super::Receiver::recv_async).
#[must_use = "a future does nothing unless it is polled"]
pub struct RecvFuture<'a, T>(Recv<&'a Channel<T, Target>>);

// As its node.
impl<T> std::panic::UnwindSafe for RecvFuture<'_, T> {}

impl<'a, T> RecvFuture<'a, T> {
    pub(super) fn new(channel: &'a Channel<T, Target>) -> Self {
        Self(Recv::new(channel))
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: pinned with `self`.
        unsafe { self.as_ref().get_ref().0.poll(cx) }
    }
}

/// What receives as a future: it borrows the channel, or has a receiver of its own.
pub(super) struct Recv<C: OfChannel> {
    receiving: Receiving<C>,
    /// For a value that is due at a certain time.
    alarm: FutureAlarm,
}

impl<C: OfChannel> Recv<C> {
    pub(super) fn new(channel: C) -> Self {
        Self { receiving: Receiving::new(channel), alarm: FutureAlarm::new() }
    }

    /// # Safety
    ///
    /// `self` is pinned.
    pub(super) unsafe fn poll(&self, cx: &Context<'_>) -> Poll<Result<C::Value, RecvError>> {
        ready!(poll_turn(cx));
        // Wakers are the user's: cloned before the lock is taken, dropped and called when it is
        // free.
        let waker = cx.waker().clone();
        // SAFETY: this function's contract.
        let (polled, due) = unsafe { self.receiving.poll(waker) };
        if let Some(due) = due {
            // If the clock is set to a sooner time meanwhile, the node is woken for it.
            self.alarm.set(due, cx);
        }
        polled
    }
}

/// What leads to a channel, always to the same one.
pub(crate) trait OfChannel {
    /// What is sent through it.
    type Value;
    /// What wakes those that park.
    type Target: Unpark;

    fn channel(&self) -> &Channel<Self::Value, Self::Target>;
}

impl<T, K: Unpark> OfChannel for &Channel<T, K> {
    type Value = T;
    type Target = K;

    fn channel(&self) -> &Channel<T, K> {
        self
    }
}

/// What is in a future that receives, for whatever wakes the goroutines of its channel.
pub(crate) struct Receiving<C: OfChannel> {
    node: PolledNode<Ask<()>, C::Target>,
    channel: C,
}

impl<C: OfChannel> Receiving<C> {
    pub(crate) fn new(channel: C) -> Self {
        Self { node: PolledNode::new(None), channel }
    }

    /// Receives, or waits with this waker; then with the time at which a value is due, if it is
    /// known.
    ///
    /// # Safety
    ///
    /// `self` is pinned.
    pub(crate) unsafe fn poll(
        &self,
        waker: Waker,
    ) -> (Poll<Result<C::Value, RecvError>>, Option<Instant>) {
        let channel = self.channel.channel();
        let (mut state, mut owed) = (channel.state.lock(), Owed::nothing());
        let mut place = Place::Empty;
        let reserved = state.futures().reserved(false);
        let has_turn = state.futures().is_for(&self.node);
        let is_open = reserved.is_none() || has_turn;
        let found = is_open && state.take(&mut place, &mut owed);
        if !found && state.nothing() == Nothing::Empty {
            // SAFETY: pinned; the list is under this lock, and `drop` leaves it.
            owed.drop_waker(unsafe { state.futures().wait(&self.node, (), waker) });
            let over = reserved.filter(|_| !has_turn).and_then(to_instant);
            let due = state.due().into_iter().chain(over).min();
            let turn_over = has_turn && !state.futures().is_reserved();
            drop(state);
            owed.pay();
            if turn_over {
                channel.end_turn().go_on();
            }
            return (Poll::Pending, due);
        }
        // SAFETY: it waits in this list, if at all.
        let (_, had, before) = unsafe { state.futures().leave(&self.node) };
        owed.drop_waker(before);
        owed.drop_waker(Some(waker));
        let retired = state.has_retired();
        drop(state);
        if retired {
            channel.tidy();
        }
        owed.pay_for_value();
        if had {
            channel.end_turn().give_up();
        }
        (Poll::Ready(results::received_or_gone(&mut place)), None)
    }
}

impl<C: OfChannel> Drop for Receiving<C> {
    fn drop(&mut self) {
        let mut owed = Owed::<C::Target>::nothing();
        let channel = self.channel.channel();
        let mut state = channel.state.lock();
        // SAFETY: it waits in this list, if at all.
        let (standing, had, waker) = unsafe { state.futures().leave(&self.node) };
        owed.drop_waker(waker);
        if standing == Standing::Woken && !had && !mutated("polled.keeps_wake_up") {
            owed.call(state.pass_on());
        }
        drop(state);
        if had {
            // Before the waker goes, whose drop may unwind.
            let panics = channel.end_turn();
            owed.pay();
            panics.go_on();
        } else {
            owed.pay();
        }
    }
}

impl<T, K: Unpark> Channel<T, K> {
    /// A future's turn is over: has those that kept back look again, and the next future, if there
    /// is a value.
    #[cold]
    pub(super) fn end_turn(&self) -> Panics {
        let panics = wake_all(&self.state, self.state.lock(), State::held_back);
        let mut panics = panics.and(wake_all(&self.state, self.state.lock(), State::observing));
        let next = self.state.lock().pass_on();
        panics.catch(|| next.into_iter().for_each(Waker::wake));
        panics
    }

    /// Gets `value` to a receiver that keeps back, if there is nothing older. False: there is none.
    pub(super) fn offer_held_back(
        mut state: MutexGuard<'_, State<T, K>>,
        value: &mut Place<T>,
    ) -> bool {
        let mut owed = Owed::nothing();
        let done = state.put_held_back(value, &mut owed);
        drop(state);
        owed.pay();
        done
    }
}

/// The future of [`Sender::send_async`](super::Sender::send_async).
#[must_use = "a future does nothing unless it is polled"]
pub struct SendFuture<'a, T> {
    sending: Sending<&'a Channel<T, Target>>,
}

// As its node, in which the value lies.
impl<T: std::panic::UnwindSafe> std::panic::UnwindSafe for SendFuture<'_, T> {}

impl<'a, T> SendFuture<'a, T> {
    pub(super) fn new(channel: &'a Channel<T, Target>, value: T) -> Self {
        Self { sending: Sending::new(channel, value) }
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    /// # Panics
    ///
    /// If it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_ref().get_ref();
        ready!(poll_turn(cx));
        // SAFETY: pinned with the future.
        unsafe { this.sending.poll(cx.waker().clone()) }
    }
}

/// What is in a [`SendFuture`], for whatever wakes the goroutines of its channel.
pub(crate) struct Sending<C: OfChannel> {
    node: PolledNode<PlaceRef<C::Value>, C::Target>,
    /// Whoever takes the value has the channel's lock; so does the future whenever it looks, until
    /// the node is off its list.
    value: UnsafeCell<Place<C::Value>>,
    ended: Cell<bool>,
    channel: C,
}

// SAFETY: the node leads to a value of the future itself, which is pinned while it does.
unsafe impl<C: OfChannel + Send> Send for Sending<C>
where
    C::Value: Send,
    C::Target: Send,
{
}

impl<C: OfChannel> Sending<C> {
    pub(crate) fn new(channel: C, value: C::Value) -> Self {
        let value = UnsafeCell::new(Place::Full(value));
        Self { channel, node: PolledNode::new(None), value, ended: Cell::new(false) }
    }

    /// One that has ended before it began, for [`start`](Self::start).
    #[cfg(feature = "futures-sink")]
    pub(super) fn nothing(channel: C) -> Self {
        let value = UnsafeCell::new(Place::Empty);
        Self { channel, node: PolledNode::new(None), value, ended: Cell::new(true) }
    }

    /// True if it has ended, and may [`start`](Self::start) anew.
    #[cfg(feature = "futures-sink")]
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Begins anew with another value, after it has ended.
    #[cfg(feature = "futures-sink")]
    pub(super) fn start(&self, value: C::Value) {
        assert!(self.ended.replace(false), "the value before is sent first");
        // SAFETY: it has ended, so nobody else reaches the value, which was taken out.
        unsafe { *self.value.get() = Place::Full(value) };
    }

    /// Sends, or waits with this waker, which is the user's: it is called and dropped when the lock
    /// is free.
    ///
    /// # Safety
    ///
    /// `self` is pinned.
    pub(crate) unsafe fn poll(&self, waker: Waker) -> Poll<Result<(), SendError<C::Value>>> {
        let channel = self.channel.channel();
        loop {
            let (mut state, mut owed) = (channel.state.lock(), Owed::nothing());
            match self.node.standing() {
                Standing::Waits => {
                    // SAFETY: pinned, and in this list.
                    owed.drop_waker(unsafe { self.node.wait(state.senders(), waker) });
                    drop(state);
                    owed.pay();
                    return Poll::Pending;
                }
                Standing::Woken => {
                    // SAFETY: it is on no list any more.
                    let _idle = unsafe { self.node.leave(state.senders()) };
                    self.ended.set(true);
                    owed.drop_waker(Some(waker));
                    drop(state);
                    owed.pay_for_value();
                    // SAFETY: the node is on no list, so nobody else reaches the value.
                    return Poll::Ready(results::sent(unsafe { &mut *self.value.get() }));
                }
                Standing::Idle => {}
            }
            assert!(!self.ended.get(), "a send that has ended is not polled again");
            // SAFETY: as above.
            let value = unsafe { &mut *self.value.get() };
            match state.put(value, &mut owed) {
                Put::Done => {
                    self.ended.set(true);
                    owed.drop_waker(Some(waker));
                    drop(state);
                    owed.pay();
                    return Poll::Ready(Ok(()));
                }
                Put::Disconnected => {
                    self.ended.set(true);
                    owed.drop_waker(Some(waker));
                    drop(state);
                    owed.pay_for_value();
                    return Poll::Ready(results::sent(value));
                }
                Put::Full => {
                    self.node.offer(PlaceRef::new(value));
                    // SAFETY: pinned; the list is under this lock, and `drop` leaves it.
                    owed.drop_waker(unsafe { self.node.wait(state.senders(), waker) });
                    // Without a buffer the value is to be had as soon as its sender waits.
                    if !mutated("polled.sends_in_silence") {
                        owed.call(state.let_poll());
                    }
                    owed.wake(state.tell());
                    drop(state);
                    owed.pay();
                    return Poll::Pending;
                }
                Put::Grow => {
                    let wanted = state.wanted();
                    drop(state);
                    channel.grow(wanted);
                }
            }
        }
    }
}

impl<C: OfChannel> Drop for Sending<C> {
    fn drop(&mut self) {
        // The value goes after the waker, with the node.
        locked(&self.channel.channel().state, |state, owed: &mut Owed<C::Target>| {
            // SAFETY: it waits in this list, if at all.
            let (_, waker) = unsafe { self.node.leave(state.senders()) };
            owed.drop_waker(waker);
        });
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvFuture { .. }")
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendFuture { .. }")
    }
}
