//! Sending and receiving without a deadline by whoever calls: the part of it that is inlined into
//! the user's code.
//!
//! That part is the switch, and little else. A processor predicts where a function returns to by
//! what was called last; a function that was called before a switch and returns after it returns
//! somewhere else, which costs some 10 ns, each time and for each such function. So the one that
//! suspends is the user's own, and what comes [before](Channel::begin_send) and
//! [after](Channel::end_send) the switch is called and has returned on one side of it.
//!
//! Who may not switch, is no goroutine, or has a limit to keep waits as with a deadline, inside the
//! first part.
//!
//! In a debug build nothing of it is inlined: the copies of inlined functions would all lie in the
//! user's frame.
//!
//! Rejected: inlining all of it. That is more than a kilobyte wherever something is sent.
//!
//! # Safety
//!
//! A wait that has begun stays in its place, in the frame of [`send`](Channel::send_in_place) or
//! [`recv`](Channel::recv), until the second part has ended it: the switch in between
//! does not unwind.

#![expect(unsafe_code, reason = "a wait in two parts, and the switch between them")]

use super::error::{RecvError, SendError};
use super::place::{Place, PlaceRef, with_room};
use super::raw::{Channel, NotDone, Refused};
use super::results;
use super::state::{Nothing, State};
use crate::proc::park::{ParkSwitch, Parking, SwitchOnly};
use crate::proc::target::Target;
use crate::proc::yield_now::{preempt_point, preempt_point_of};
use crate::wait::park::WaitReason;
use crate::wait::parked::{SplitWait, Waited};
use crate::wait::waiter::Wakeup;

impl<T> Channel<T, Target> {
    /// As [`send_from`](Channel::send_from), without a deadline.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn send_in_place(&self, place: &mut Place<T>) -> Result<(), SendError<T>> {
        let wait = SplitWait::new();
        // SAFETY: both are used for this only, and stay here until `end_send` has returned.
        if let Some(switch) = unsafe { self.begin_send(place, &wait) } {
            // SAFETY: the calling G's, on whose stack this runs.
            unsafe { switch.suspend() };
            // SAFETY: it was begun.
            unsafe { self.end_send(&wait) };
        }
        results::sent(place)
    }

    /// As [`recv_until`](Channel::recv_until), without a deadline.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn recv(&self) -> Result<T, RecvError> {
        with_room!(T, |place| self.recv_in_place(place))
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn recv_in_place(&self, place: &mut Place<T>) -> Result<T, RecvError> {
        let wait = SplitWait::new();
        // SAFETY: both are used for this only, and stay here until `end_recv` has returned.
        if let Some(switch) = unsafe { self.begin_recv(place, &wait) } {
            // SAFETY: the calling G's, on whose stack this runs.
            unsafe { switch.suspend() };
            // SAFETY: it was begun.
            unsafe { self.end_recv(&wait) };
        }
        results::received_or_gone(place)
    }

    /// Sends the value in a full place. A place that is full afterwards was not sent: the channel
    /// is disconnected.
    ///
    /// None: it is done. Else the caller waits: it is to suspend, and then to call the second part.
    ///
    /// # Safety
    ///
    /// `wait` is new. If the caller waits, both stay in place, and the value untouched, until
    /// [`end_send`](Self::end_send) has returned or unwound.
    #[inline(never)]
    unsafe fn begin_send(
        &self,
        value: &mut Place<T>,
        wait: &SplitWait<PlaceRef<T>, Target>,
    ) -> Option<ParkSwitch> {
        preempt_point_of(|| self.capacity().is_some());
        let mut state = match self.offer(value) {
            Ok(()) | Err(Refused::Disconnected) => return None,
            Err(Refused::Full(state)) => state,
        };
        // An observer is woken beside the future, which the wait in two parts cannot.
        let begins = if state.is_observed() { None } else { SwitchOnly::begin(WaitReason::Send) };
        let Some(switch_only) = begins else {
            // The place says it all.
            let _in_place = self.wait_to_send(value, state, None, Parking::begin);
            return None;
        };
        // Without a buffer the value is to be had as soon as its sender waits.
        let polls = state.let_poll().map(Wakeup::Polls);
        let waits = (Some(PlaceRef::new(value)), switch_only.target());
        // SAFETY: the guard is of this lock; `State::senders` is one field of it, which nothing
        // replaces. The rest is this function's contract.
        if unsafe {
            wait.begin(&self.state, state, State::senders, waits, Parking::reborrow, polls)
        } {
            return Some(switch_only.switch());
        }
        // SAFETY: it was begun.
        unsafe { self.end_send(wait) };
        None
    }

    /// # Safety
    ///
    /// `wait` was begun by `begin_send`, which said that the caller waits; this is called once.
    #[inline(never)]
    unsafe fn end_send(&self, wait: &SplitWait<PlaceRef<T>, Target>) {
        // SAFETY: `begin_send` began it in this list.
        match unsafe { wait.end(&self.state, State::senders, Parking::reborrow) } {
            (Waited::Served(_), _) => {}
            // The caller's place drops the value.
            (Waited::Cancelled(_), Some(parking)) => parking.raise(),
            _ => unreachable!("it waits without a deadline"),
        }
    }

    /// Receives into an empty place. A place that is empty afterwards has received nothing: the
    /// channel is disconnected. Else as `begin_send`.
    ///
    /// # Safety
    ///
    /// As of [`begin_send`](Self::begin_send), with [`end_recv`](Self::end_recv).
    #[inline(never)]
    unsafe fn begin_recv(
        &self,
        into: &mut Place<T>,
        wait: &SplitWait<PlaceRef<T>, Target>,
    ) -> Option<ParkSwitch> {
        preempt_point();
        if self.has_clock() {
            let _in_place = self.recv_into(into, None, Parking::begin);
            return None;
        }
        let mut state = match self.accept(into) {
            Ok(()) | Err((Nothing::Disconnected, _)) => return None,
            Err((Nothing::Empty, state)) => state,
        };
        let begins = match state.keeps_back() {
            None if !state.is_observed() => SwitchOnly::begin(WaitReason::Receive),
            _ => None,
        };
        let Some(switch_only) = begins else {
            // The place says it all.
            match self.wait_to_recv(into, state, None, Parking::begin) {
                Ok(()) | Err(NotDone::Disconnected) => {}
                Err(NotDone::Again | NotDone::TimedOut) => {
                    let _in_place = self.recv_into(into, None, Parking::begin);
                }
            }
            return None;
        };
        let waits = (Some(PlaceRef::new(into)), switch_only.target());
        // SAFETY: the guard is of this lock; `State::receivers` is one field of it, which nothing
        // replaces. The rest is this function's contract.
        let _parks = unsafe {
            wait.begin(&self.state, state, State::receivers, waits, Parking::reborrow, None)
        };
        Some(switch_only.switch())
    }

    /// # Safety
    ///
    /// As of [`end_send`](Self::end_send), with `begin_recv`.
    #[inline(never)]
    unsafe fn end_recv(&self, wait: &SplitWait<PlaceRef<T>, Target>) {
        // SAFETY: `begin_recv` began it in this list.
        match unsafe { wait.end(&self.state, State::receivers, Parking::reborrow) } {
            (Waited::Served(_), _) => {}
            (Waited::Cancelled(_), Some(parking)) => parking.raise(),
            _ => unreachable!("it waits without a deadline"),
        }
    }
}
