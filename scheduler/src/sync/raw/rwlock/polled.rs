//! The reader-writer lock for futures: they wait in a list of their own, and try again.
//!
//! # Safety
//!
//! As for [`rwlock`](super); the nodes are pinned.

#![expect(unsafe_code, reason = "links the nodes of pinned futures")]

use gosched_runtime_sys::sync::primitive::{Ordering, mutated};
use std::task::Waker;

use super::{QUEUED, Queues, RawRwLock, Wants};
use crate::wait::owed::Owed;
use crate::wait::polled::{PolledNode, Standing};
use crate::wait::reserved::{Ask, Found, poll_reserved};
use crate::wait::waiter::Unpark;

impl<K: Unpark> RawRwLock<K> {
    /// For a future that wants this: takes the lock, or waits with this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this lock only, and [`leave`](Self::leave) is called before
    /// its memory goes.
    pub(crate) unsafe fn poll(
        &self,
        node: &PolledNode<Ask<Wants>, K>,
        wants: Wants,
        waker: Waker,
    ) -> Found {
        let look = |queues: &mut Queues<K>| {
            // First QUEUED, then the look, as for waiters that park.
            self.word.fetch_or(QUEUED, Ordering::Relaxed);
            let nobody_parks = queues.nobody_parks();
            let reserved = queues.futures.reserved(nobody_parks);
            let has_turn = match reserved {
                Some(_) => queues.futures.is_for(node),
                None => nobody_parks,
            };
            let enters = has_turn
                && match wants {
                    Wants::Reading => self.enter_reader(queues),
                    Wants::Writing => self.enter_writer(queues),
                };
            if enters { Found::Taken } else { Found::Wait(reserved) }
        };
        // SAFETY: this function's contract; the list is under the lock.
        unsafe {
            poll_reserved(
                &self.queues,
                |queues| &mut queues.futures,
                node,
                (wants, waker),
                look,
                |queues| self.hand_on(queues),
            )
        }
    }

    /// A future goes.
    pub(crate) fn leave(&self, node: &PolledNode<Ask<Wants>, K>) {
        let mut owed = Owed::nothing();
        let mut queues = self.queues.lock();
        // SAFETY: it waits in this list, if at all.
        let (standing, _, waker) = unsafe { queues.futures.leave(node) };
        owed.drop_waker(waker);
        if standing != Standing::Idle && !mutated("rwlock.keeps_wake_up") {
            owed.wake(self.hand_on(queues));
        } else {
            drop(queues);
        }
        owed.pay();
    }
}
