//! Goroutines: their operations, one after the other, and the channels that these use.

use std::any::TypeId;
use std::collections::VecDeque;

use crate::report::Totals;
use crate::rng::Rng;

/// A goroutine's number.
pub(crate) type Gid = usize;
/// A channel's number.
pub(crate) type Chan = usize;

/// What a receive returns that does not wait and finds no item.
pub(crate) const NOTHING: u64 = u64::MAX;

/// What a goroutine does next.
pub(crate) enum Op {
    /// Computes for this time.
    Compute(u64),
    /// Blocks its thread for this time, without telling the scheduler.
    Block(u64),
    /// The same, by `blocking`.
    Blocking(u64),
    Yield,
    Send(Chan, u64),
    Recv(Chan),
    /// Receives an item, or [`NOTHING`].
    TryRecv(Chan),
    Sleep(u64),
    Go(Box<dyn Script>),
    /// Waits for ever.
    Stay,
    End,
}

/// What a script may read and note between two operations.
pub(crate) struct Me<'a> {
    pub(crate) now: u64,
    /// What the last receive returned.
    pub(crate) received: u64,
    pub(crate) totals: &'a mut Totals,
    pub(crate) rng: &'a mut Rng,
}

/// A goroutine's code.
pub(crate) trait Script {
    fn next(&mut self, me: &mut Me<'_>) -> Op;

    /// Returns the call site: where the program makes such goroutines.
    fn made_at(&self) -> TypeId;
}

impl<F: FnMut(&mut Me<'_>) -> Op + 'static> Script for F {
    fn made_at(&self) -> TypeId {
        TypeId::of::<F>()
    }

    fn next(&mut self, me: &mut Me<'_>) -> Op {
        self(me)
    }
}

/// A goroutine.
pub(crate) struct G {
    pub(crate) script: Box<dyn Script>,
    /// The M it settled on.
    pub(crate) home: Option<usize>,
    pub(crate) migratory: bool,
    pub(crate) made_at: TypeId,
    /// What its maker made in the same round has the same number; 0 without a maker.
    pub(crate) burst: u16,
    /// In a callback: the thread that the goroutine is.
    pub(crate) thread: Option<usize>,
    pub(crate) received: u64,
    /// In a callback: its operation, and how it waits.
    pub(crate) op: Option<Op>,
    pub(crate) wait: Wait,
    pub(crate) ended: bool,
}

/// How a goroutine in a callback waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    Spins,
    Sleeps,
    Served,
}

/// A channel: its items and its waiters. No sender waits for room while a receiver waits for an
/// item.
#[derive(Default)]
pub(crate) struct Channel {
    capacity: usize,
    items: VecDeque<u64>,
    senders: VecDeque<(Gid, u64)>,
    receivers: VecDeque<Gid>,
}

impl Channel {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Sends. Returns whether that is done, and which receiver is served with which item.
    pub(crate) fn send(&mut self, g: Gid, value: u64) -> (bool, Option<(Gid, u64)>) {
        if let Some(receiver) = self.receivers.pop_front() {
            return (true, Some((receiver, value)));
        }
        if self.items.len() < self.capacity {
            self.items.push_back(value);
            return (true, None);
        }
        self.senders.push_back((g, value));
        (false, None)
    }

    /// Receives without waiting.
    pub(crate) fn try_recv(&mut self, g: Gid) -> (Option<u64>, Option<Gid>) {
        if self.items.is_empty() && self.senders.is_empty() { (None, None) } else { self.recv(g) }
    }

    /// Receives. Returns the item if there is one, and the sender whose send is done by that.
    pub(crate) fn recv(&mut self, g: Gid) -> (Option<u64>, Option<Gid>) {
        let sender = self.senders.pop_front();
        let through = sender.map(|(sender, _)| sender);
        self.items.extend(sender.map(|(_, value)| value));
        match self.items.pop_front() {
            Some(value) => (Some(value), through),
            None => {
                self.receivers.push_back(g);
                (None, None)
            }
        }
    }
}
