//! A notification: one permit, a count of rounds, and a queue.
//!
//! `notify_one` gives its notification to the waiter that has waited longest, a future or one that
//! parks. So neither starve the other. Without a waiter the
//! notification is kept as the permit, once. `notify_waiters` begins a new round. All waiters of
//! earlier rounds are notified by that, and are woken one after the other with the lock free in
//! between. While some of them are still linked, a `notify_one` wakes those that it meets, and goes
//! on to a waiter of the present round: they need no notification of their own.
//!
//! # The slot
//!
//! A waiter's slot holds the round in which it began to wait. `notify_one` empties the slot of the
//! waiter that it wakes; `notify_waiters` leaves the slot full. So a woken future knows whether a
//! notification is its own. It keeps that notification until it is polled. If it is dropped before,
//! the notification goes to the next waiter. A future that is forgotten keeps it for ever.
//!
//! There is a permit only while no waiter of the present round is linked: `notify_one` sets it when
//! it finds none, and a waiter is linked only after it found no permit.
//!
//! Rejected: a permit that is set when a future is woken, and taken when that future is polled. Two
//! futures that are woken share one permit then, and one of them waits for ever. With a count in
//! its place, a waiter that comes later takes the notification of one that was woken.
//!
//! # Safety
//!
//! The list lies under the lock and lives as long as the notification, which the waiters borrow.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{const_fn, mutated};
use std::mem;
use std::task::Waker;
use std::time::Instant;

use crate::sync::raw::mutex::TimedOut;
use crate::wait::owed::wake_each;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, Standing, leave_list, poll_in_list};
use crate::wait::waiter::{Unpark, WaitList, Wakeup};
use crate::wait::wake::wake_up_to;

pub(crate) struct RawNotify<K: Unpark> {
    state: Mutex<State<K>>,
}

/// Number of the calls of `notify_waiters` so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round(u64);

struct State<K> {
    /// A notification that no waiter has had yet.
    permit: bool,
    round: Round,
    /// The waiters, each with its round in the slot.
    waiters: WaitList<Round, K>,
}

/// Whom a `notify_one` wakes next.
enum Next<K: Unpark> {
    /// A waiter that a `notify_waiters` has notified already.
    Notified(Wakeup<K>),
    /// The waiter that has the notification now.
    Served(Wakeup<K>),
    /// No waiter: the notification is the permit.
    Kept,
}

impl<K: Unpark> State<K> {
    /// Takes the next waiter off the list.
    fn next(&mut self) -> Next<K> {
        let Some((round, waiter)) = self.waiters.peek().zip(self.waiters.pop()) else {
            self.permit = true;
            return Next::Kept;
        };
        if round != self.round && !mutated("notify.one_for_the_notified") {
            return Next::Notified(waiter.finish());
        }
        if mutated("notify.one_permit_for_two") {
            self.permit = true;
            return Next::Served(waiter.finish());
        }
        let (_its_round, wakeup) = waiter.take();
        Next::Served(wakeup)
    }

    fn waiters(&mut self) -> &mut WaitList<Round, K> {
        &mut self.waiters
    }
}

impl<K: Unpark> RawNotify<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                state: Mutex::new(State {
                    permit: false,
                    round: Round(0),
                    waiters: WaitList::new(),
                }),
            }
        }
    }

    /// Notifies the waiter that has waited longest, or else the next one.
    pub(crate) fn notify_one(&self) {
        let mut ended = false;
        wake_each(|| {
            let next = if ended { Next::Kept } else { self.state.lock().next() };
            match next {
                Next::Notified(wakeup) => Some(wakeup),
                Next::Served(wakeup) => {
                    ended = true;
                    Some(wakeup)
                }
                Next::Kept => None,
            }
        })
        .go_on();
    }

    /// Notifies all waiters.
    pub(crate) fn notify_waiters(&self) {
        let mut state = self.state.lock();
        state.round.0 += 1;
        let mark = state.waiters.mark();
        wake_up_to(&self.state, state, State::waiters, mark).go_on();
    }

    /// Returns the present round.
    pub(crate) fn round(&self) -> Round {
        self.state.lock().round
    }

    /// Takes the permit, if there is one.
    pub(crate) fn try_wait(&self) -> bool {
        mem::take(&mut self.state.lock().permit)
    }

    /// Waits to be notified, at longest until the deadline.
    pub(crate) fn wait<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), TimedOut> {
        let look = |state: &mut State<K>| match mem::take(&mut state.permit) {
            true => Look::Done(()),
            false => Look::Wait(Some(state.round)),
        };
        let place = WaitIn::behind(State::waiters);
        // SAFETY: the list lies under that lock, and is not replaced.
        match unsafe { wait_for(&self.state, place, begin, deadline, look, || None) } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => Ok(()),
            WaitedFor::TimedOut => Err(TimedOut),
            WaitedFor::Cancelled(parking) => parking.raise(),
        }
    }

    /// For a future that was made in the round `made`: true if it was notified since. If not, it
    /// waits with this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this only, and [`leave`](Self::leave) is called before its
    /// memory goes.
    pub(crate) unsafe fn poll(
        &self,
        node: &PolledNode<Round, K>,
        made: Round,
        waker: Waker,
    ) -> bool {
        let look = |state: &mut State<K>| {
            let standing = node.standing();
            let has_one = has_notification(node, standing);
            if standing != Standing::Waits {
                node.offer(made);
            }
            has_one || state.round != made || mem::take(&mut state.permit)
        };
        // SAFETY: this function's contract; the list is under the lock.
        unsafe { poll_in_list(&self.state, State::waiters, node, waker, look, |_| None) }
    }

    /// A future goes. A notification that it has goes to the next waiter.
    pub(crate) fn leave(&self, node: &PolledNode<Round, K>) {
        let mut passes_on = false;
        let look = |_: &mut State<K>, standing| {
            passes_on = has_notification(node, standing);
            None
        };
        // SAFETY: it waits in this list, if at all.
        unsafe { leave_list(&self.state, State::waiters, node, look) };
        if passes_on && !mutated("notify.keeps_notification") {
            self.notify_one();
        }
    }
}

/// True if a `notify_one` woke the future whose node stands so. Called with the lock held.
fn has_notification<K: Unpark>(node: &PolledNode<Round, K>, standing: Standing) -> bool {
    standing == Standing::Woken && node.take().is_none()
}
