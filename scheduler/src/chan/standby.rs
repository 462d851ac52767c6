//! What a case of a select has from one poll to the next, in a future of a select.
//!
//! Beside the cases, which do not know their futures: a select that parks has no use for it.

use std::cell::Cell;
use std::task::Waker;

use crate::wait::owed::Panics;
use crate::wait::polled::PolledNode;
use crate::wait::reserved::Ask;
use crate::wait::waiter::Unpark;

/// A case between two polls. The future alone uses it, but for the node, which is under the lock of
/// the case's channel.
pub(super) struct Standby<K: Unpark> {
    /// The node of a case that receives. One that sends has a node of its own.
    pub(super) node: PolledNode<Ask<()>, K>,
    /// True if what there is, is reserved for this case.
    pub(super) has_turn: Cell<bool>,
    /// Until when it is reserved for another future.
    pub(super) others_until: Cell<Option<u64>>,
    /// True if the case had its turn, and those that kept back are to be told.
    pub(super) turn_is_over: Cell<bool>,
    /// True if a value that is offered again is no news: futures were woken for it.
    pub(super) is_known: Cell<bool>,
    /// The waker of this poll, until a node has it. Wakers are the user's: cloned before the locks
    /// are taken, dropped when they are free.
    fresh: Cell<Option<Waker>>,
    /// The waker of the poll before.
    unused: Cell<Option<Waker>>,
}

impl<K: Unpark> Standby<K> {
    pub(super) fn new() -> Self {
        Self {
            node: PolledNode::new(None),
            has_turn: Cell::new(false),
            others_until: Cell::new(None),
            turn_is_over: Cell::new(false),
            is_known: Cell::new(false),
            fresh: Cell::new(None),
            unused: Cell::new(None),
        }
    }

    /// Begins a poll.
    pub(super) fn prepare(&self, waker: Waker) {
        drop(self.fresh.replace(Some(waker)));
    }

    /// Returns the waker of this poll. It is asked for once.
    pub(super) fn waker(&self) -> Waker {
        self.fresh.take().expect("each poll has a waker for each case")
    }

    /// Keeps a waker until the locks are free. There is one in a poll.
    pub(super) fn drop_later(&self, waker: Option<Waker>) {
        if waker.is_some() {
            let before = self.unused.replace(waker);
            debug_assert!(before.is_none(), "a case has one waker");
        }
    }

    /// Drops the wakers that are not needed, when the locks are free.
    pub(super) fn drop_wakers(&self, panics: &mut Panics) {
        panics.drop_value(self.fresh.take());
        panics.drop_value(self.unused.take());
    }
}
