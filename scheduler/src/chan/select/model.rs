//! Selects as the models write them: with waiters, and without the macro.

use std::time::Instant;

use super::engine::{Entry, Order, Wait, select};
use crate::chan::case::{RecvCase, SendCase};
use crate::chan::place::Place;
use crate::chan::raw::Channel;
use crate::testing::TestWaiter;

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
