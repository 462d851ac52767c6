//! The condition variable without its mutex: a queue, and whether somebody may be in it.
//!
//! No notification is lost: the mutex goes when the waiter is in the queue. So who changes what the
//! mutex guards, and notifies after it, comes after the waiter's entry, and sees `wait_reason`, by
//! way of the mutex.
//!
//! # Safety
//!
//! The one list lies under the queue's lock, as long as the condition variable, which who waits
//! borrows.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{AtomicBool, Ordering, const_fn, mutated};
use std::time::Instant;

use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::waiter::{Popped, Unpark, WaitList, Wakeup};
use crate::wait::wake::wake_all;

pub(crate) struct RawCondvar<K: Unpark> {
    queue: Mutex<WaitList<(), K>>,
    /// Whether somebody may be in the queue. Set by who begins to wait, which has the mutex: so who
    /// has it later sees it.
    wait_reason: AtomicBool,
}

/// How a wait ended that was not cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Notified,
    TimedOut,
}

impl<K: Unpark> RawCondvar<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self { queue: Mutex::new(WaitList::new()), wait_reason: AtomicBool::new(false) }
        }
    }

    /// Enters the queue, unlocks, which does not unwind, and waits. It does not lock again.
    pub(crate) fn wait<P: Park<Target = K>>(
        &self,
        unlock: impl FnOnce() -> Option<Wakeup<K>>,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Ended {
        let mut unlock = Some(unlock);
        if mutated("condvar.unlocks_first") {
            unlock.take().and_then(|unlock| unlock()).into_iter().for_each(Wakeup::now);
        }
        let look = |_: &mut WaitList<(), K>| {
            self.wait_reason.store(true, Ordering::Relaxed);
            Look::<(), ()>::Wait(None)
        };
        let unlocked = || unlock.and_then(|unlock| unlock());
        // SAFETY: the list is what lies under that lock, and is not replaced. Unlocking does not
        // unwind.
        match unsafe {
            wait_for(&self.queue, WaitIn::behind(|list| list), begin, deadline, look, unlocked)
        } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => Ended::Notified,
            WaitedFor::TimedOut => Ended::TimedOut,
            WaitedFor::Cancelled(parking) => parking.raise(),
        }
    }

    /// Lets the longest waiting one go, if anybody waits.
    pub(crate) fn notify_one(&self) {
        if !self.wait_reason.load(Ordering::Relaxed) {
            return;
        }
        let mut queue = self.queue.lock();
        let wakeup = queue.pop().map(Popped::finish);
        if queue.is_empty() || mutated("condvar.forgets_the_rest") {
            self.wait_reason.store(false, Ordering::Relaxed);
        }
        drop(queue);
        wakeup.into_iter().for_each(Wakeup::now);
    }

    /// Lets everybody go who waits now.
    pub(crate) fn notify_all(&self) {
        if self.wait_reason.load(Ordering::Relaxed) {
            wake_all(&self.queue, self.queue.lock(), |list| list).go_on();
        }
    }
}
