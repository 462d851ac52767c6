//! What [`select_async!`](crate::select_async!) and its kin expand to.
//!
//! The cases are a list of types, [`Cons`] and [`Nil`], that the future owns: it cannot be taken
//! from under a node. What comes out has the same shape, with one level for each case.
//!
//! # Safety
//!
//! A case of its own place may go to another thread with its values. The list of entries leads to
//! the cases of the list that it was made of.

#![expect(unsafe_code, reason = "cases go from thread to thread")]

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::{Entry, Order, engine_order};
use crate::chan::case::{RecvCase, SendCase};
use crate::chan::place::Place;
use crate::chan::select::engine::Wait as Waits;
use crate::chan::select::future::Wait;
use crate::chan::select::{engine, one_of};
use crate::chan::standby::Standby as CaseStandby;
use crate::chan::{Receiver, RecvError, SendError, Sender};
use crate::proc::target::Target;

/// A case, and those after it.
#[derive(Debug)]
pub struct Cons<C, L>(pub C, pub L);

/// No more cases.
#[derive(Debug)]
pub struct Nil;

/// The outcome of this case, or that of one after it.
#[derive(Debug)]
pub enum Chosen<O, L> {
    /// This case was done.
    This(O),
    /// It was another one.
    Later(L),
}

/// `recv(receiver) -> ..`
pub struct Recv<'a, T>(RecvCase<'a, T, Target>);

/// `send(sender, value) -> ..`
pub struct Send<'a, T>(SendCase<'a, T, Target>);

/// `offer(sender, slot) -> ..`. Its drop puts a value that was not chosen back into the slot.
pub struct Offer<'a, T> {
    case: SendCase<'a, T, Target>,
    slot: &'a mut Option<T>,
}

// SAFETY: the head of this file. Between two polls no lock is kept.
unsafe impl<T: std::marker::Send> std::marker::Send for Recv<'_, T> {}
// SAFETY: likewise.
unsafe impl<T: std::marker::Send> std::marker::Send for Send<'_, T> {}
// SAFETY: likewise.
unsafe impl<T: std::marker::Send> std::marker::Send for Offer<'_, T> {}

/// A case that receives.
pub fn recv<T>(receiver: &Receiver<T>) -> Recv<'_, T> {
    Recv(RecvCase::new(&receiver.channel))
}

/// A case that sends.
pub fn send<T>(sender: &Sender<T>, value: T) -> Send<'_, T> {
    Send(SendCase::new(&sender.channel, Place::boxed_full(value)))
}

/// A case that sends what is in the slot, if anything is.
pub fn offer<'a, T>(sender: &'a Sender<T>, slot: &'a mut Option<T>) -> Offer<'a, T> {
    let mut place = Place::boxed();
    place.take_from(slot);
    Offer { case: SendCase::new(&sender.channel, place), slot }
}

impl<T> Drop for Offer<'_, T> {
    fn drop(&mut self) {
        // The select has ended. Nothing is in the slot since the case was made. A value that was
        // sent, or came back in an error, is in the case no more.
        *self.slot = self.case.take_back();
    }
}

/// One case.
///
/// # Safety
///
/// `entry` is of the same case at each call, which lies in `self`.
pub unsafe trait Case {
    /// What comes of it.
    type Outcome;

    /// For the list.
    fn entry(&self) -> Entry<'_>;

    /// What has come of it, if it was done.
    fn outcome(&self) -> Option<Self::Outcome>;
}

// SAFETY: it has one case.
unsafe impl<T> Case for Recv<'_, T> {
    type Outcome = Result<T, RecvError>;

    fn entry(&self) -> Entry<'_> {
        Entry(engine::Entry::new(&self.0, 0))
    }

    fn outcome(&self) -> Option<Self::Outcome> {
        self.0.outcome()
    }
}

// SAFETY: it has one case.
unsafe impl<T> Case for Send<'_, T> {
    type Outcome = Result<(), SendError<T>>;

    fn entry(&self) -> Entry<'_> {
        Entry(engine::Entry::new(&self.0, 0))
    }

    fn outcome(&self) -> Option<Self::Outcome> {
        self.0.outcome()
    }
}

// SAFETY: it has one case.
unsafe impl<T> Case for Offer<'_, T> {
    type Outcome = Result<(), SendError<T>>;

    fn entry(&self) -> Entry<'_> {
        Entry(engine::Entry::new(&self.case, 0))
    }

    fn outcome(&self) -> Option<Self::Outcome> {
        self.case.outcome()
    }
}

/// Cases, one after the other.
///
/// # Safety
///
/// `entries` are of the same cases at each call, which lie in `self`, in the same order.
pub unsafe trait Cases {
    /// What comes of them.
    type Outcome;

    /// For the list.
    fn entries<'c>(&'c self, add: &mut dyn FnMut(Entry<'c>));

    /// What has come of the one that was done.
    fn outcome(&self) -> Self::Outcome;
}

// SAFETY: it has none.
unsafe impl Cases for Nil {
    type Outcome = Nil;

    #[inline]
    fn entries<'c>(&'c self, _add: &mut dyn FnMut(Entry<'c>)) {}

    #[inline]
    fn outcome(&self) -> Nil {
        Nil
    }
}

// SAFETY: its case and those of the rest, in this order.
unsafe impl<C: Case, L: Cases> Cases for Cons<C, L> {
    type Outcome = Chosen<C::Outcome, L::Outcome>;

    fn entries<'c>(&'c self, add: &mut dyn FnMut(Entry<'c>)) {
        add(self.0.entry());
        self.1.entries(add);
    }

    fn outcome(&self) -> Self::Outcome {
        match self.0.outcome() {
            Some(outcome) => Chosen::This(outcome),
            None => Chosen::Later(self.1.outcome()),
        }
    }
}

/// The future of a select of `N` cases.
#[must_use = "a future does nothing unless it is polled"]
pub struct Selecting<C: Cases, const N: usize> {
    cases: C,
    wait: Wait<[CaseStandby<Target>; N]>,
    order: Order,
    waits: Waits,
}

impl<C: Cases, const N: usize> Selecting<C, N> {
    fn new(order: Order, _count: [(); N], cases: C, waits: Waits) -> Self {
        let wait = Wait::new([(); N].map(|()| CaseStandby::new()));
        Self { cases, wait, order, waits }
    }

    fn entries(&self) -> [engine::Entry<'_, Target>; N] {
        let (mut entries, mut index) = ([const { None }; N], 0);
        self.cases.entries(&mut |Entry(mut entry)| {
            entry.renumber(index);
            entries[index] = Some(entry);
            index += 1;
        });
        entries.map(|entry| entry.expect("there are as many cases as the macro has counted"))
    }
}

impl<C: Cases, const N: usize> Future for Selecting<C, N> {
    type Output = C::Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Outcome> {
        let this = self.as_ref().get_ref();
        let (mut entries, order) = (this.entries(), engine_order(this.order));
        match this.waits {
            Waits::No => _ = one_of(&mut entries, Waits::No, order),
            Waits::Until(deadline) => {
                // SAFETY: pinned with `self`, whose drop ends the wait.
                ready!(unsafe { this.wait.poll(&mut entries, order, deadline, cx) });
            }
        }
        Poll::Ready(this.cases.outcome())
    }
}

impl<C: Cases, const N: usize> Drop for Selecting<C, N> {
    fn drop(&mut self) {
        let (_served, panics) = self.wait.end(&mut self.entries());
        panics.go_on();
    }
}

/// Does one of the cases, waiting until one is ready.
pub fn wait<C: Cases, const N: usize>(order: Order, count: [(); N], cases: C) -> Selecting<C, N> {
    Selecting::new(order, count, cases, Waits::Until(None))
}

/// The same, at longest for `timeout`.
pub fn wait_timeout<C: Cases, const N: usize>(
    order: Order,
    count: [(); N],
    cases: C,
    timeout: Duration,
) -> Selecting<C, N> {
    let deadline = Instant::now().checked_add(timeout);
    Selecting::new(order, count, cases, Waits::Until(deadline))
}

/// Does one of the cases, if one is ready.
pub fn attempt<C: Cases, const N: usize>(
    order: Order,
    count: [(); N],
    cases: C,
) -> Selecting<C, N> {
    Selecting::new(order, count, cases, Waits::No)
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recv { .. }")
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Send { .. }")
    }
}

impl<T> fmt::Debug for Offer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offer { .. }")
    }
}

impl<C: Cases, const N: usize> fmt::Debug for Selecting<C, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Selecting { .. }")
    }
}
