//! The condition variable without its mutex: a queue, and a flag that it may have waiters.
//!
//! No notification is lost: a waiter is in the queue before it unlocks the mutex. A notifier that
//! locks the mutex, changes what it guards and notifies after that comes after the waiter's entry.
//! By way of the mutex it sees `may_wait`.
//!
//! # Safety
//!
//! The one list lies under the queue's lock, as long as the condition variable, which the waiters
//! borrow.

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
    /// True if a waiter may be in the queue. A caller that begins to wait sets it while it has the
    /// mutex: so each later holder of the mutex sees it.
    may_wait: AtomicBool,
}

/// How a wait that was not cancelled ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Notified,
    TimedOut,
}

impl<K: Unpark> RawCondvar<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self { queue: Mutex::new(WaitList::new()), may_wait: AtomicBool::new(false) }
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
            self.may_wait.store(true, Ordering::Relaxed);
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

    /// Wakes the longest waiter, if there is one.
    pub(crate) fn notify_one(&self) {
        if !self.may_wait.load(Ordering::Relaxed) {
            return;
        }
        let mut queue = self.queue.lock();
        let wakeup = queue.pop().map(Popped::finish);
        if queue.is_empty() || mutated("condvar.forgets_the_rest") {
            self.may_wait.store(false, Ordering::Relaxed);
        }
        drop(queue);
        wakeup.into_iter().for_each(Wakeup::now);
    }

    /// Wakes all that wait now.
    pub(crate) fn notify_all(&self) {
        if self.may_wait.load(Ordering::Relaxed) {
            wake_all(&self.queue, self.queue.lock(), |list| list).go_on();
        }
    }
}
