//! Selects as the models write them: with waiters, and without the macro.
//!
//! # Safety
//!
//! A select that is polled lies in a pinned box, and ends its wait when it is dropped.

#![expect(unsafe_code, reason = "polls cases that stay in place")]

use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::engine::{Entry, Order, Wait, select};
use super::observe::ready;
use super::polled::{self, Polled};
use crate::chan::case::{Case, RecvCase, SendCase};
use crate::chan::place::Place;
use crate::chan::raw::Channel;
use crate::chan::standby::Standby;
use crate::testing::TestWaiter;
use crate::wait::race::Race;

/// What a select did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Received(Option<u32>),
    Sent(bool),
}

/// Always the first: a model repeats its runs exactly.
fn first(_n: usize) -> usize {
    1
}

/// The channels of a select, in one allocation.
///
/// A select takes its locks in the order of their addresses, and a model must repeat its runs
/// exactly. Of two allocations, sometimes one and sometimes the other would have the lower address.
pub(crate) type Both = [Channel<u32, TestWaiter>; 2];

/// Receives from one of two channels.
pub(crate) fn recv_or_recv(
    [a, b]: &Both,
    deadline: Option<Instant>,
    waiter: &TestWaiter,
) -> Option<Done> {
    let (a, b) = (RecvCase::new(a), RecvCase::new(b));
    let mut entries = [Entry::new(&a, 0), Entry::new(&b, 1)];
    select(&mut entries, Wait::Until(deadline), Order::Random(first), || waiter.begin())?;
    let outcome = a.outcome().or_else(|| b.outcome());
    Some(Done::Received(outcome.expect("one was done").ok()))
}

/// Receives from the channel with the number `from`, or sends `value` into the other one.
pub(crate) fn recv_or_send(
    both: &Both,
    from: usize,
    value: u32,
    waiter: &TestWaiter,
) -> Option<Done> {
    let a = RecvCase::new(&both[from]);
    let b = SendCase::new(&both[1 - from], Place::boxed_full(value));
    let mut entries = [Entry::new(&a, 0), Entry::new(&b, 1)];
    select(&mut entries, Wait::Until(None), Order::Random(first), || waiter.begin())?;
    let received = a.outcome().map(|outcome| Done::Received(outcome.ok()));
    Some(received.unwrap_or_else(|| Done::Sent(b.outcome().expect("one was done").is_ok())))
}

/// Waits until one of these channels has something; None if the deadline has passed.
pub(crate) fn ready_to_recv(
    from: &[&Chan],
    deadline: Option<Instant>,
    waiter: &TestWaiter,
) -> Option<usize> {
    let cases: Vec<_> = from.iter().map(|from| RecvCase::new(from)).collect();
    let mut entries: Vec<_> =
        cases.iter().enumerate().map(|(index, case)| Entry::new(case as _, index)).collect();
    ready(&mut entries, Wait::Until(deadline), Order::Random(first), || waiter.begin())
}

/// Waits until a value could be sent.
pub(crate) fn ready_to_send(into: &Chan, waiter: &TestWaiter) {
    let case = SendCase::new(into, Place::boxed_full(0));
    let order = Order::Random(first);
    ready(&mut [Entry::new(&case, 0)], Wait::Until(None), order, || waiter.begin());
}

/// A select that is polled.
pub(crate) struct PolledSelect<'c> {
    recvs: Vec<RecvCase<'c, u32, TestWaiter>>,
    sends: Vec<SendCase<'c, u32, TestWaiter>>,
    standbys: Vec<Standby<TestWaiter>>,
    race: Race,
}

type Chan = Channel<u32, TestWaiter>;

impl<'c> PolledSelect<'c> {
    /// Receives from some channels, or sends these values into others.
    pub(crate) fn new(from: &[&'c Chan], into: &[(&'c Chan, u32)]) -> Pin<Box<Self>> {
        let sends = into.iter().map(|(to, n)| SendCase::new(to, Place::boxed_full(*n))).collect();
        Box::pin(Self {
            recvs: from.iter().map(|from| RecvCase::new(from)).collect(),
            sends,
            standbys: (0..from.len() + into.len()).map(|_| Standby::new()).collect(),
            race: Race::new(),
        })
    }

    fn entries(&self) -> Vec<Entry<'_, TestWaiter>> {
        let recvs = self.recvs.iter().map(|case| case as &dyn Case<TestWaiter>);
        let cases = recvs.chain(self.sends.iter().map(|case| case as _));
        cases.enumerate().map(|(index, case)| Entry::new(case, index)).collect()
    }

    pub(crate) fn poll(self: &Pin<Box<Self>>, waker: &Waker) -> Poll<Done> {
        let mut entries = self.entries();
        let order = Order::Random(first);
        // SAFETY: pinned; the drop ends the wait.
        match unsafe { polled::poll(&mut entries, &self.standbys, &self.race, order, waker) } {
            Polled::Waits(_) => Poll::Pending,
            Polled::Done(_) => {
                let received = self.recvs.iter().find_map(RecvCase::outcome);
                let sent = || self.sends.iter().find_map(SendCase::outcome);
                Poll::Ready(match received {
                    Some(received) => Done::Received(received.ok()),
                    None => Done::Sent(sent().expect("one was done").is_ok()),
                })
            }
        }
    }

    /// Ends the wait. Whether a value was taken.
    pub(crate) fn leave(self: Pin<Box<Self>>) -> bool {
        let (served, panics) = polled::leave(&mut self.entries(), &self.standbys, &self.race);
        panics.go_on();
        served.is_some()
    }
}

impl Drop for PolledSelect<'_> {
    fn drop(&mut self) {
        // A second time, after `leave`, it finds nothing to do.
        let (_, panics) = polled::leave(&mut self.entries(), &self.standbys, &self.race);
        panics.go_on();
    }
}
