//! One case of a select: receiving from a channel or sending into it, without the type of its
//! values.
//!
//! A select holds the locks of all its channels at once while it looks, so a case keeps its
//! channel's guard in itself between [`lock`](Case::lock) and [`unlock`](Case::unlock). Cases of
//! the same channel share one guard, which the first of them keeps; so the state is passed to the
//! others as a pointer.
//!
//! # Safety
//!
//! A state pointer comes from [`Case::state`] of a case whose channel has the same address, and
//! that channel's lock is held; two channels that exist at the same time have two addresses, so it
//! is the state of this very channel. Nodes are linked and left under that lock.

#![expect(unsafe_code, reason = "channels' states travel without their type")]

use std::cell::Cell;
use std::ptr::NonNull;
use std::time::Instant;

use super::error::{RecvError, SendError};
use super::place::{CasePlace, Place, PlaceRef};
use super::port::{Port, typed};
use super::raw::Channel;
use super::results;
use super::state::{Nothing, Put, State};
use crate::wait::case_node::CaseNode;
use crate::wait::owed::Owed;
use crate::wait::race::Race;
use crate::wait::waiter::{Unpark, WaitList, Wakeup};

/// Which way a case's values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Recv,
    Send,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// The case has its outcome.
    Done,
    /// Whoever stood at the other side was served elsewhere meanwhile.
    Lost,
    /// The buffer must be grown first, without the lock.
    Grow,
}

/// A case, as the select sees it.
///
/// # Safety
///
/// `channel` is the address of the channel, which exists as long as the case. `state` is the state
/// in it. Only [`RecvCase`] has the way `Recv`, and only [`SendCase`] the other.
pub(super) unsafe trait Case<K: Unpark> {
    /// What tells channels apart, and orders their locks.
    fn channel(&self) -> *const ();

    fn direction(&self) -> Direction;

    /// Returns a case of the same channel that goes the same way, without a value. Reads nothing
    /// that the lock guards, nor what another thread could change.
    fn empty<'c>(&self) -> Box<dyn Case<K> + 'c>
    where
        Self: 'c;

    /// Takes the channel's lock and keeps it.
    fn lock(&self);

    /// Gives it back, if this case keeps it.
    fn unlock(&self);

    /// The state under the lock that this case keeps. Valid until the lock is given back, or this
    /// is called again.
    fn state(&self) -> NonNull<()>;

    /// Whether an attempt would not have to wait.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`.
    unsafe fn is_ready(&self, state: NonNull<()>) -> bool;

    /// Sends or receives.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`.
    unsafe fn attempt(&self, state: NonNull<()>) -> Tried;

    /// Begins to wait as the `number`th of the race. Returns when to look again.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`. Case and race stay in place until
    /// [`withdraw`](Self::withdraw) was called, or [`is_served`](Self::is_served) said yes.
    unsafe fn wait(
        &self,
        state: NonNull<()>,
        target: K,
        race: &Race,
        number: usize,
    ) -> Option<Instant>;

    /// Whether a waker won the race for it and is through with it.
    fn is_served(&self) -> bool;

    /// Takes the outcome out of a served node. False: there is none, and the select looks again.
    #[must_use]
    fn take_outcome(&self) -> bool;

    /// Waits until no waker is at work on the channel.
    fn wait_for_waker(&self);

    /// Ends a wait that was not served. Takes the lock.
    fn withdraw(&self);

    /// Whom it let go, to be woken without the lock. Frees what the channel needs no more.
    fn wakeup(&self) -> [Option<Wakeup<K>>; 2];

    /// Gives the channel's buffer more room. Without the lock.
    fn grow(&self);

    /// Drops an outcome that nobody asked for.
    fn discard(&self);
}

/// A case that receives.
pub(super) struct RecvCase<'a, T, K: Unpark> {
    port: Port<'a, T, K>,
    node: CaseNode<PlaceRef<T>, K>,
    /// Where what is received goes. Empty until the case is chosen.
    place: CasePlace<'a, T>,
    chosen: Cell<bool>,
    /// True if it keeps back for a future.
    held_back: Cell<bool>,
}

impl<'a, T, K: Unpark> RecvCase<'a, T, K> {
    /// Receives into an empty place of its own.
    pub(super) fn new(channel: &'a Channel<T, K>) -> Self {
        Self::with(channel, CasePlace::own(Place::boxed()))
    }

    /// Receives into an empty place.
    pub(super) fn into_place(channel: &'a Channel<T, K>, place: &'a mut Place<T>) -> Self {
        Self::with(channel, CasePlace::borrowed(place))
    }

    fn with(channel: &'a Channel<T, K>, place: CasePlace<'a, T>) -> Self {
        let (port, node) = (Port::new(channel), CaseNode::new(None));
        Self { port, node, place, chosen: Cell::new(false), held_back: Cell::new(false) }
    }

    fn list<'s>(&self, state: &'s mut State<T, K>) -> &'s mut WaitList<PlaceRef<T>, K> {
        if self.held_back.get() { state.held_back() } else { state.receivers() }
    }

    /// True if this case was chosen.
    pub(super) fn is_chosen(&self) -> bool {
        self.chosen.get()
    }

    /// What was received, if this case was chosen.
    pub(super) fn outcome(&self) -> Option<Result<T, RecvError>> {
        // SAFETY: a case that was chosen waits no more.
        self.chosen.take().then(|| results::received_or_gone(unsafe { self.place.get() }))
    }
}

// SAFETY: the channel is borrowed for as long as the case lives, and `Port::state` is that of its
// own guard.
unsafe impl<T, K: Unpark> Case<K> for RecvCase<'_, T, K> {
    fn channel(&self) -> *const () {
        self.port.address()
    }

    fn direction(&self) -> Direction {
        Direction::Recv
    }

    fn empty<'c>(&self) -> Box<dyn Case<K> + 'c>
    where
        Self: 'c,
    {
        Box::new(Self::new(self.port.channel))
    }

    fn lock(&self) {
        self.port.lock();
    }

    fn unlock(&self) {
        drop(self.port.guard.take());
    }

    fn state(&self) -> NonNull<()> {
        self.port.state()
    }

    unsafe fn is_ready(&self, state: NonNull<()>) -> bool {
        // SAFETY: of this channel, and locked.
        unsafe { typed::<T, K>(state) }.can_take()
    }

    unsafe fn attempt(&self, state: NonNull<()>) -> Tried {
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        let mut owed = Owed::nothing();
        // SAFETY: the case does not wait.
        let place = unsafe { self.place.get() };
        if !state.take(place, &mut owed) && state.nothing() == Nothing::Empty {
            return Tried::Lost;
        }
        self.port.retired.set(state.has_retired());
        self.port.wakeup.set(owed.into_wakeups());
        self.chosen.set(true);
        Tried::Done
    }

    unsafe fn wait(
        &self,
        state: NonNull<()>,
        target: K,
        race: &Race,
        number: usize,
    ) -> Option<Instant> {
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        let keeps_back = state.keeps_back();
        self.held_back.set(keeps_back.is_some());
        let _before = self.node.replace(Some(self.place.at()));
        // SAFETY: the list is under that lock; this function's contract keeps node and race.
        unsafe { self.node.wait(self.list(state), target, race, number) };
        state.due().into_iter().chain(keeps_back).min()
    }

    fn is_served(&self) -> bool {
        self.node.is_served()
    }

    fn take_outcome(&self) -> bool {
        let untouched = self.node.replace(None).is_some();
        let again = untouched && (self.port.channel.has_clock() || self.held_back.get());
        self.chosen.set(!again);
        !again
    }

    fn wait_for_waker(&self) {
        drop(self.port.channel.state.lock());
    }

    fn withdraw(&self) {
        let mut state = self.port.channel.state.lock();
        // SAFETY: if it waits, then in this list, which is under this lock.
        unsafe { self.node.leave(self.list(&mut state)) };
    }

    fn wakeup(&self) -> [Option<Wakeup<K>>; 2] {
        if self.port.retired.take() {
            self.port.channel.tidy();
        }
        self.port.wakeup.replace([None, None])
    }

    fn grow(&self) {}

    fn discard(&self) {
        drop(self.outcome());
    }
}

/// A case that sends.
pub(super) struct SendCase<'a, T, K: Unpark> {
    port: Port<'a, T, K>,
    node: CaseNode<PlaceRef<T>, K>,
    /// Where the value is. Full until the case is chosen, and after that, if it was not sent.
    place: CasePlace<'a, T>,
    chosen: Cell<bool>,
}

impl<'a, T, K: Unpark> SendCase<'a, T, K> {
    /// Sends the value in a place of its own; without one the case is never ready.
    pub(super) fn new(channel: &'a Channel<T, K>, place: Box<Place<T>>) -> Self {
        Self::with(channel, CasePlace::own(place))
    }

    /// Sends the value in the place; without one the case is never ready.
    pub(super) fn from_place(channel: &'a Channel<T, K>, place: &'a mut Place<T>) -> Self {
        Self::with(channel, CasePlace::borrowed(place))
    }

    fn with(channel: &'a Channel<T, K>, place: CasePlace<'a, T>) -> Self {
        let (port, node) = (Port::new(channel), CaseNode::new(None));
        Self { port, node, place, chosen: Cell::new(false) }
    }

    /// True if this case was chosen.
    pub(super) fn is_chosen(&self) -> bool {
        self.chosen.get()
    }

    /// Whether the value was sent, if this case was chosen.
    pub(super) fn outcome(&self) -> Option<Result<(), SendError<T>>> {
        // SAFETY: a case that was chosen waits no more.
        self.chosen.take().then(|| results::sent(unsafe { self.place.get() }))
    }

    /// The value that was not sent. The case does not wait, and was not chosen.
    pub(super) fn take_back(&self) -> Option<T> {
        // SAFETY: the case does not wait.
        unsafe { self.place.get() }.take()
    }

    /// Gives the case a value to send, and returns the one that it had. The case does not wait.
    pub(super) fn put(&self, value: T) -> Option<T> {
        // SAFETY: the case does not wait.
        let place = unsafe { self.place.get() };
        let before = place.take();
        *place = Place::Full(value);
        before
    }

    fn has_value(&self) -> bool {
        // SAFETY: the case does not wait.
        unsafe { self.place.get() }.is_full()
    }
}

// SAFETY: the channel is borrowed for as long as the case lives, and `Port::state` is that of its
// own guard.
unsafe impl<T, K: Unpark> Case<K> for SendCase<'_, T, K> {
    fn channel(&self) -> *const () {
        self.port.address()
    }

    fn direction(&self) -> Direction {
        Direction::Send
    }

    fn empty<'c>(&self) -> Box<dyn Case<K> + 'c>
    where
        Self: 'c,
    {
        Box::new(Self::new(self.port.channel, Box::new(Place::Empty)))
    }

    fn lock(&self) {
        self.port.lock();
    }

    fn unlock(&self) {
        drop(self.port.guard.take());
    }

    fn state(&self) -> NonNull<()> {
        self.port.state()
    }

    unsafe fn is_ready(&self, state: NonNull<()>) -> bool {
        // SAFETY: of this channel, and locked.
        self.has_value() && unsafe { typed::<T, K>(state) }.can_put()
    }

    unsafe fn attempt(&self, state: NonNull<()>) -> Tried {
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        let mut owed = Owed::nothing();
        // SAFETY: the case does not wait.
        let place = unsafe { self.place.get() };
        match state.put(place, &mut owed) {
            Put::Grow => return Tried::Grow,
            Put::Full if !state.put_held_back(place, &mut owed) => return Tried::Lost,
            Put::Done | Put::Disconnected | Put::Full => {}
        }
        self.port.wakeup.set(owed.into_wakeups());
        self.chosen.set(true);
        Tried::Done
    }

    unsafe fn wait(
        &self,
        state: NonNull<()>,
        target: K,
        race: &Race,
        number: usize,
    ) -> Option<Instant> {
        if !self.has_value() {
            return None;
        }
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        let _before = self.node.replace(Some(self.place.at()));
        // SAFETY: the list is under that lock; this function's contract keeps node and race.
        unsafe { self.node.wait(state.senders(), target, race, number) };
        // Without a buffer the value is to be had as soon as its sender waits.
        self.port.wakeup.set([state.let_poll().map(Wakeup::Polls), None]);
        None
    }

    fn is_served(&self) -> bool {
        self.node.is_served()
    }

    fn take_outcome(&self) -> bool {
        let _taken_or_not = self.node.replace(None);
        self.chosen.set(true);
        true
    }

    fn wait_for_waker(&self) {
        drop(self.port.channel.state.lock());
    }

    fn withdraw(&self) {
        let mut state = self.port.channel.state.lock();
        // SAFETY: if it waits, then in this list, which is under this lock.
        unsafe { self.node.leave(state.senders()) };
    }

    fn wakeup(&self) -> [Option<Wakeup<K>>; 2] {
        self.port.wakeup.replace([None, None])
    }

    fn grow(&self) {
        let wanted = self.port.channel.state.lock().wanted();
        self.port.channel.grow(wanted);
    }

    fn discard(&self) {
        drop(self.outcome());
    }
}
