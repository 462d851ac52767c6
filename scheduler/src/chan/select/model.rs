//! Selects as the models write them: with waiters, and without the macro.

use std::time::Instant;

use super::engine::{Entry, Wait, select};
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

/// Receives from one of two channels.
pub(crate) fn recv_or_recv(
    a: &Channel<u32, TestWaiter>,
    b: &Channel<u32, TestWaiter>,
    deadline: Option<Instant>,
    waiter: &TestWaiter,
) -> Option<Done> {
    let (a, b) = (RecvCase::new(a), RecvCase::new(b));
    let mut entries = [Entry { case: &a, index: 0 }, Entry { case: &b, index: 1 }];
    select(&mut entries, Wait::Until(deadline), first, || waiter.begin())?;
    let outcome = a.outcome().or_else(|| b.outcome());
    Some(Done::Received(outcome.expect("one was done").ok()))
}

/// Receives from one channel or sends into another.
pub(crate) fn recv_or_send(
    a: &Channel<u32, TestWaiter>,
    (b, value): (&Channel<u32, TestWaiter>, u32),
    deadline: Option<Instant>,
    waiter: &TestWaiter,
) -> Option<Done> {
    let (a, b) = (RecvCase::new(a), SendCase::new(b, Place::boxed_full(value)));
    let mut entries = [Entry { case: &a, index: 0 }, Entry { case: &b, index: 1 }];
    select(&mut entries, Wait::Until(deadline), first, || waiter.begin())?;
    let received = a.outcome().map(|outcome| Done::Received(outcome.ok()));
    Some(received.unwrap_or_else(|| Done::Sent(b.outcome().expect("one was done").is_ok())))
}
