//! A case that sends.
//!
//! # Safety
//!
//! As for [`case`](super).

#![expect(unsafe_code, reason = "channels' states travel without their type")]

use std::cell::Cell;
use std::ptr::NonNull;
use std::time::Instant;

use super::{Case, Direction, Tried};
use crate::chan::error::SendError;
use crate::chan::place::{CasePlace, Place, PlaceRef};
use crate::chan::port::{Port, typed};
use crate::chan::raw::Channel;
use crate::chan::results;
use crate::chan::standby::Standby;
use crate::chan::state::Put;
use crate::wait::case_node::CaseNode;
use crate::wait::observers::Observer;
use crate::wait::owed::{Owed, Panics};
use crate::wait::race::Race;
use crate::wait::waiter::{Unpark, Wakeup};

/// A case that sends.
pub(crate) struct SendCase<'a, T, K: Unpark> {
    port: Port<'a, T, K>,
    node: CaseNode<PlaceRef<T>, K>,
    /// Where the value is. Full until the case is chosen, and after that, if it was not sent.
    place: CasePlace<'a, T>,
    chosen: Cell<bool>,
}

impl<'a, T, K: Unpark> SendCase<'a, T, K> {
    /// Sends the value in a place of its own; without one the case is never ready.
    pub(crate) fn new(channel: &'a Channel<T, K>, place: Box<Place<T>>) -> Self {
        Self::with(channel, CasePlace::own(place))
    }

    /// Sends the value in the place; without one the case is never ready.
    pub(crate) fn from_place(channel: &'a Channel<T, K>, place: &'a mut Place<T>) -> Self {
        Self::with(channel, CasePlace::borrowed(place))
    }

    fn with(channel: &'a Channel<T, K>, place: CasePlace<'a, T>) -> Self {
        let (port, node) = (Port::new(channel), CaseNode::new(None));
        Self { port, node, place, chosen: Cell::new(false) }
    }

    /// True if this case was chosen.
    pub(crate) fn is_chosen(&self) -> bool {
        self.chosen.get()
    }

    /// Whether the value was sent, if this case was chosen.
    pub(crate) fn outcome(&self) -> Option<Result<(), SendError<T>>> {
        // SAFETY: a case that was chosen waits no more.
        self.chosen.take().then(|| results::sent(unsafe { self.place.get() }))
    }

    /// The value that was not sent. The case does not wait, and was not chosen.
    pub(crate) fn take_back(&self) -> Option<T> {
        // SAFETY: the case does not wait.
        unsafe { self.place.get() }.take()
    }

    /// Gives the case a value to send, and returns the one that it had. The case does not wait.
    pub(crate) fn put(&self, value: T) -> Option<T> {
        // SAFETY: the case does not wait.
        let place = unsafe { self.place.get() };
        let before = place.take();
        *place = Place::Full(value);
        before
    }

    /// The case does not wait, or the lock of its channel is held.
    fn has_value(&self) -> bool {
        // SAFETY: nobody else reaches the place now.
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
        self.port.wakeup.set([state.let_poll().map(Wakeup::Polls), state.tell()]);
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
    unsafe fn is_ready_polled(&self, state: NonNull<()>, _standby: &Standby<K>) -> bool {
        // SAFETY: this function's contract.
        unsafe { self.is_ready(state) }
    }

    unsafe fn wait_polled(
        &self,
        state: NonNull<()>,
        standby: &Standby<K>,
        race: &Race,
        number: usize,
    ) -> Option<Instant> {
        if !self.has_value() {
            return None;
        }
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        let begins = !self.node.is_linked();
        if begins {
            let _before = self.node.replace(Some(self.place.at()));
        }
        let waker = standby.waker();
        // SAFETY: the list is under that lock; this function's contract keeps node and race.
        standby.drop_later(unsafe { self.node.wait_polled(state.senders(), waker, race, number) });
        if begins && !standby.is_known.take() {
            // Without a buffer the value is to be had as soon as its sender waits.
            self.port.wakeup.set([state.let_poll().map(Wakeup::Polls), state.tell()]);
        }
        None
    }

    unsafe fn leave_polled(&self, state: NonNull<()>, standby: &Standby<K>, _done: bool) {
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        // SAFETY: if it waits, then in this list.
        let waker = unsafe { self.node.leave_polled(state.senders()) };
        standby.is_known.set(waker.is_some());
        standby.drop_later(waker);
    }

    unsafe fn observe(
        &self,
        state: NonNull<()>,
        node: &Observer<K>,
        target: K,
        race: &Race,
        number: usize,
    ) -> Option<Instant> {
        if self.has_value() {
            // SAFETY: of this channel, and locked.
            let state = unsafe { typed::<T, K>(state) };
            // SAFETY: the list is under that lock; this function's contract keeps node and race.
            unsafe { node.wait(state.observing(), target, race, number) };
        }
        None
    }

    fn stop_observing(&self, node: &Observer<K>) -> Option<Wakeup<K>> {
        self.port.stop_observing(node)
    }

    fn has_sent(&self) -> bool {
        let is_left = self.has_value();
        self.chosen.set(self.chosen.get() && !is_left);
        self.chosen.get()
    }

    fn end_turn(&self) -> Panics {
        Panics::none()
    }
}
