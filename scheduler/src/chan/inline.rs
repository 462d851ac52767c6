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
//! Rejected: inlining all of it. That is more than a kilobyte wherever something is sent.
//!
//! # Safety
//!
//! A wait that has begun stays in its place, in the frame of [`send`](Channel::send) or
//! [`recv`](Channel::recv), until the second part has ended it: the switch in between
//! does not unwind.

#![expect(unsafe_code, reason = "a wait in two parts, and the switch between them")]

use std::mem::MaybeUninit;

use super::error::{RecvError, SendError};
use super::raw::{Channel, Refused};
use super::state::{Nothing, State};
use crate::gmp::wait_reason::WaitReason;
use crate::proc::park::{ParkSwitch, Parking, SwitchOnly};
use crate::proc::target::Target;
use crate::proc::yield_now::preempt_point;
use crate::wait::parked::{SplitWait, Waited};
use crate::wait::waiter::Wakeup;

impl<T> Channel<T, Target> {
    /// As [`send_until`](Channel::send_until), without a deadline.
    #[inline(always)]
    pub(super) fn send(&self, value: T) -> Result<(), SendError<T>> {
        let (wait, mut sent) = (SplitWait::new(), MaybeUninit::uninit());
        // SAFETY: it is used for this only, and stays here until `end_send` has returned.
        let Some(switch) = (unsafe { self.begin_send(value, &wait, &mut sent) }) else {
            // SAFETY: it has been written.
            return unsafe { sent.assume_init() };
        };
        // SAFETY: the calling G's, on whose stack this runs.
        unsafe { switch.suspend() };
        // SAFETY: it was begun.
        unsafe { self.end_send(&wait) }
    }

    /// As [`recv_until`](Channel::recv_until), without a deadline.
    #[inline(always)]
    pub(super) fn recv(&self) -> Result<T, RecvError> {
        let (wait, mut received) = (SplitWait::new(), MaybeUninit::uninit());
        // SAFETY: it is used for this only, and stays here until `end_recv` has returned.
        let Some(switch) = (unsafe { self.begin_recv(&wait, &mut received) }) else {
            // SAFETY: it has been written.
            return unsafe { received.assume_init() };
        };
        // SAFETY: the calling G's, on whose stack this runs.
        unsafe { switch.suspend() };
        // SAFETY: it was begun.
        unsafe { self.end_recv(&wait) }
    }

    /// None: `sent` has been written. Else the caller waits: it is to suspend, and then to call the
    /// second part.
    ///
    /// # Safety
    ///
    /// `wait` is new. If the caller waits, it stays in place until [`end_send`](Self::end_send) has
    /// returned or unwound.
    #[inline(never)]
    unsafe fn begin_send(
        &self,
        value: T,
        wait: &SplitWait<T, Target>,
        sent: &mut MaybeUninit<Result<(), SendError<T>>>,
    ) -> Option<ParkSwitch> {
        preempt_point();
        let (value, mut state) = match self.offer(value) {
            Ok(()) => {
                sent.write(Ok(()));
                return None;
            }
            Err(Refused::Disconnected(value)) => {
                sent.write(Err(SendError(value)));
                return None;
            }
            Err(Refused::Full(value, state)) => (value, state),
        };
        let Some(switch_only) = SwitchOnly::begin(WaitReason::Send) else {
            let waited = self.wait_to_send(value, state, None, Parking::begin);
            sent.write(waited.map_err(|error| SendError(error.into_inner())));
            return None;
        };
        // Without a buffer the value is to be had as soon as its sender waits.
        let polls = state.let_poll().map(Wakeup::Polls);
        let waits = (Some(value), switch_only.target());
        // SAFETY: the guard is of this lock; `State::senders` is one field of it, which nothing
        // replaces. The rest is this function's contract.
        if unsafe {
            wait.begin(&self.state, state, State::senders, waits, Parking::reborrow, polls)
        } {
            return Some(switch_only.switch());
        }
        // SAFETY: it was begun.
        sent.write(unsafe { self.end_send(wait) });
        None
    }

    /// # Safety
    ///
    /// `wait` was begun by `begin_send`, which said that the caller waits; this is called once.
    #[inline(never)]
    unsafe fn end_send(&self, wait: &SplitWait<T, Target>) -> Result<(), SendError<T>> {
        // SAFETY: `begin_send` began it in this list.
        match unsafe { wait.end(&self.state, State::senders, Parking::reborrow) } {
            (Waited::Served(None), _) => Ok(()),
            (Waited::Served(Some(value)), _) => Err(SendError(value)),
            (Waited::Cancelled(_dropped_by_unwinding), Some(parking)) => parking.raise(),
            _ => unreachable!("it waits without a deadline"),
        }
    }

    /// None: `received` has been written. Else as `begin_send`.
    ///
    /// # Safety
    ///
    /// As of [`begin_send`](Self::begin_send), with [`end_recv`](Self::end_recv).
    #[inline(never)]
    unsafe fn begin_recv(
        &self,
        wait: &SplitWait<T, Target>,
        received: &mut MaybeUninit<Result<T, RecvError>>,
    ) -> Option<ParkSwitch> {
        preempt_point();
        if self.has_clock() {
            received
                .write(self.recv_until(None, Parking::begin).map_err(|_disconnected| RecvError));
            return None;
        }
        let state = match self.accept() {
            Ok(value) => {
                received.write(Ok(value));
                return None;
            }
            Err((Nothing::Disconnected, _)) => {
                received.write(Err(RecvError));
                return None;
            }
            Err((Nothing::Empty, state)) => state,
        };
        let Some(switch_only) = SwitchOnly::begin(WaitReason::Receive) else {
            let waited = self.wait_to_recv(state, None, Parking::begin);
            received.write(waited.map_err(|_disconnected| RecvError));
            return None;
        };
        let waits = (None, switch_only.target());
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
    unsafe fn end_recv(&self, wait: &SplitWait<T, Target>) -> Result<T, RecvError> {
        // SAFETY: `begin_recv` began it in this list.
        match unsafe { wait.end(&self.state, State::receivers, Parking::reborrow) } {
            (Waited::Served(value), _) => value.ok_or(RecvError),
            (Waited::Cancelled(_), Some(parking)) => parking.raise(),
            _ => unreachable!("it waits without a deadline"),
        }
    }
}
