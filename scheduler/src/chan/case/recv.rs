//! A case that receives.
//!
//! # Safety
//!
//! As for [`case`](super).

#![expect(unsafe_code, reason = "channels' states travel without their type")]

use std::cell::Cell;
use std::ptr::NonNull;
use std::time::Instant;

use gosched_runtime_sys::clock::to_instant;
use gosched_runtime_sys::sync::primitive::mutated;

use super::{Case, Direction, Tried};
use crate::chan::error::RecvError;
use crate::chan::place::{CasePlace, Place, PlaceRef};
use crate::chan::port::{Port, typed};
use crate::chan::raw::Channel;
use crate::chan::results;
use crate::chan::standby::Standby;
use crate::chan::state::{Nothing, State};
use crate::wait::case_node::CaseNode;
use crate::wait::observers::Observer;
use crate::wait::owed::{Owed, Panics};
use crate::wait::polled::Standing;
use crate::wait::race::Race;
use crate::wait::waiter::{Unpark, WaitList, Wakeup};

/// A case that receives.
pub(crate) struct RecvCase<'a, T, K: Unpark> {
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
    pub(crate) fn new(channel: &'a Channel<T, K>) -> Self {
        Self::with(channel, CasePlace::own(Place::boxed()))
    }

    /// Receives into an empty place.
    pub(crate) fn into_place(channel: &'a Channel<T, K>, place: &'a mut Place<T>) -> Self {
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
    pub(crate) fn is_chosen(&self) -> bool {
        self.chosen.get()
    }

    /// What was received, if this case was chosen.
    pub(crate) fn outcome(&self) -> Option<Result<T, RecvError>> {
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
        // Without a buffer a value can be sent as soon as its receiver waits.
        self.port.wakeup.set([state.tell(), None]);
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
    unsafe fn is_ready_polled(&self, state: NonNull<()>, standby: &Standby<K>) -> bool {
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        let reserved = state.futures().reserved(false);
        let has_turn = state.futures().is_for(&standby.node);
        standby.has_turn.set(has_turn);
        standby.others_until.set(reserved.filter(|_| !has_turn));
        state.is_disconnected() || ((reserved.is_none() || has_turn) && state.has_value())
    }

    unsafe fn wait_polled(
        &self,
        state: NonNull<()>,
        standby: &Standby<K>,
        _race: &Race,
        _number: usize,
    ) -> Option<Instant> {
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        let waker = standby.waker();
        // SAFETY: this function's contract keeps the node in place; the list is under this lock.
        standby.drop_later(unsafe { state.futures().wait(&standby.node, (), waker) });
        standby.turn_is_over.set(standby.has_turn.get() && !state.futures().is_reserved());
        let over = standby.others_until.get().and_then(to_instant);
        state.due().into_iter().chain(over).min()
    }

    unsafe fn leave_polled(&self, state: NonNull<()>, standby: &Standby<K>, done: bool) {
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        // SAFETY: it waits in this list, if at all.
        let (standing, had, waker) = unsafe { state.futures().leave(&standby.node) };
        standby.drop_later(waker);
        standby.turn_is_over.set(had);
        let unused = standing == Standing::Woken && !had && !done;
        if unused && !mutated("select.polled_keeps_wake_up") {
            self.port.wakeup.set([state.pass_on().map(Wakeup::Polls), None]);
        }
    }

    unsafe fn observe(
        &self,
        state: NonNull<()>,
        node: &Observer<K>,
        target: K,
        race: &Race,
        number: usize,
    ) -> Option<Instant> {
        // SAFETY: of this channel, and locked.
        let state = unsafe { typed::<T, K>(state) };
        let keeps_back = state.keeps_back();
        // SAFETY: the list is under that lock; this function's contract keeps node and race.
        unsafe { node.wait(state.observing(), target, race, number) };
        state.due().into_iter().chain(keeps_back).min()
    }

    fn stop_observing(&self, node: &Observer<K>) -> Option<Wakeup<K>> {
        self.port.stop_observing(node)
    }

    fn has_sent(&self) -> bool {
        false
    }

    fn end_turn(&self) -> Panics {
        self.port.channel.end_turn()
    }
}
