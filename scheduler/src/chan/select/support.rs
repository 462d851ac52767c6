//! What [`select!`](crate::select!) and its kin expand to. Public because macros are expanded
//! elsewhere; not meant to be called.

pub mod polled;

use std::fmt;
use std::time::{Duration, Instant};

use super::engine::{self, Wait};
use super::{RANDOM, one_of};
use crate::chan::case::{RecvCase, SendCase};
use crate::chan::place::Place;
use crate::chan::results;
use crate::chan::{Receiver, RecvError, SendError, Sender};
use crate::proc::target::Target;

/// The place of one case's value, in the frame of the `select!`: what is received comes here, and
/// what is sent lies here until it is.
pub struct Room<T>(Place<T>);

/// `recv(receiver) -> ..`
pub struct Recv<'a, T>(RecvCase<'a, T, Target>);

/// `send(sender, value) -> ..`
pub struct Send<'a, T>(SendCase<'a, T, Target>);

/// `offer(sender, slot) -> ..`. Its drop puts a value that was not chosen back into the slot, also
/// while a cancel unwinds.
pub struct Offer<'a, T> {
    case: SendCase<'a, T, Target>,
    slot: &'a mut Option<T>,
}

/// A case in the list to choose from. It borrows the case for itself alone, so that it is in one
/// list, once.
pub struct Entry<'c>(engine::Entry<'c, Target>);

/// Returns room for one value.
pub fn room<T>() -> Room<T> {
    Room(Place::Empty)
}

impl<T> Room<T> {
    /// What the chosen case received.
    pub fn received(&mut self) -> Result<T, RecvError> {
        results::received_or_gone(&mut self.0)
    }

    /// Whether the chosen case has sent the value.
    pub fn sent(&mut self) -> Result<(), SendError<T>> {
        results::sent(&mut self.0)
    }
}

/// A case that receives.
pub fn recv<'a, T>(receiver: &'a Receiver<T>, room: &'a mut Room<T>) -> Recv<'a, T> {
    Recv(RecvCase::into_place(&receiver.channel, &mut room.0))
}

/// A case that sends.
pub fn send<'a, T>(sender: &'a Sender<T>, room: &'a mut Room<T>, value: T) -> Send<'a, T> {
    Place::Full(value).move_to(&mut room.0);
    Send(SendCase::from_place(&sender.channel, &mut room.0))
}

/// A case that sends what is in the slot, if anything is.
pub fn offer<'a, T>(
    sender: &'a Sender<T>,
    room: &'a mut Room<T>,
    slot: &'a mut Option<T>,
) -> Offer<'a, T> {
    room.0.take_from(slot);
    Offer { case: SendCase::from_place(&sender.channel, &mut room.0), slot }
}

impl<T> Recv<'_, T> {
    /// For the list.
    pub fn entry(&mut self) -> Entry<'_> {
        Entry(engine::Entry::new(&self.0, 0))
    }

    /// Whether this case was chosen.
    pub fn is_chosen(&mut self) -> bool {
        self.0.is_chosen()
    }
}

impl<T> Send<'_, T> {
    /// For the list.
    pub fn entry(&mut self) -> Entry<'_> {
        Entry(engine::Entry::new(&self.0, 0))
    }

    /// Whether this case was chosen.
    pub fn is_chosen(&mut self) -> bool {
        self.0.is_chosen()
    }
}

impl<T> Offer<'_, T> {
    /// For the list.
    pub fn entry(&mut self) -> Entry<'_> {
        Entry(engine::Entry::new(&self.case, 0))
    }

    /// Whether this case was chosen.
    pub fn is_chosen(&mut self) -> bool {
        self.case.is_chosen()
    }
}

impl<T> Drop for Offer<'_, T> {
    fn drop(&mut self) {
        // Nothing is in the slot since the case was made. What was chosen comes back in an error.
        if !self.case.is_chosen() {
            *self.slot = self.case.take_back();
        }
    }
}

/// Which of several cases that are ready is done.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// One of them at random: `select!`.
    Random,
    /// The first in the program: `select_biased!`.
    Biased,
}

#[inline]
fn engine_order(order: Order) -> engine::Order {
    match order {
        Order::Random => RANDOM,
        Order::Biased => engine::Order::ByIndex,
    }
}

fn run<const N: usize>(order: Order, entries: [Entry<'_>; N], wait_mode: Wait) {
    let order = engine_order(order);
    let mut entries = entries.map(|entry| entry.0);
    entries.iter_mut().enumerate().for_each(|(index, entry)| entry.renumber(index));
    let _the_cases_know = one_of(&mut entries, wait_mode, order);
}

/// Does one of the cases, waiting until one is ready.
pub fn wait<const N: usize>(order: Order, entries: [Entry<'_>; N]) {
    run(order, entries, Wait::Until(None));
}

/// The same, at longest for `timeout`.
pub fn wait_timeout<const N: usize>(order: Order, entries: [Entry<'_>; N], timeout: Duration) {
    run(order, entries, Wait::Until(Instant::now().checked_add(timeout)));
}

/// Does one of the cases, if one is ready.
pub fn attempt<const N: usize>(order: Order, entries: [Entry<'_>; N]) {
    run(order, entries, Wait::No);
}

impl<T> fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room { .. }")
    }
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

impl fmt::Debug for Entry<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry { .. }")
    }
}
