//! The condition variable without its mutex: a queue, and whether somebody may be in it.
//!
//! No notification is lost: the mutex goes when the waiter is in the queue. So who changes what the
//! mutex guards, and notifies after it, comes after the waiter's entry, and sees `waited_for`, by
//! way of the mutex.
//!
//! # Safety
//!
//! The one list lies under the queue's lock, as long as the condition variable, which who waits
//! borrows.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::lock::Mutex;
use gosched_runtime_sys::primitive::{AtomicBool, Ordering, const_fn, mutated};
use std::time::Instant;

use crate::wait::park::Parks;
use crate::wait::parked::{Passed, Place, Step, line_up};
use crate::wait::waiter::{Popped, Rouse, Roused, WaitList};
use crate::wait::wake::let_all_go;

pub(crate) struct RawCondvar<K: Rouse> {
    queue: Mutex<WaitList<(), K>>,
    /// Whether somebody may be in the queue. Set by who begins to wait, which has the mutex: so who
    /// has it later sees it.
    waited_for: AtomicBool,
}

/// How a wait ended that was not cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Notified,
    TimedOut,
}

impl<K: Rouse> RawCondvar<K> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self { queue: Mutex::new(WaitList::new()), waited_for: AtomicBool::new(false) }
        }
    }

    /// Enters the queue, unlocks, which does not unwind, and waits. It does not lock again.
    pub(crate) fn wait<P: Parks<Target = K>>(
        &self,
        unlock: impl FnOnce() -> Option<Roused<K>>,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Ended {
        let mut unlock = Some(unlock);
        if mutated("condvar.unlocks_first") {
            unlock.take().and_then(|unlock| unlock()).into_iter().for_each(Roused::now);
        }
        let look = |_: &mut WaitList<(), K>| {
            self.waited_for.store(true, Ordering::Relaxed);
            Step::<(), ()>::Wait(None)
        };
        let unlocked = || unlock.and_then(|unlock| unlock());
        // SAFETY: the list is what lies under that lock, and is not replaced. Unlocking does not
        // unwind.
        match unsafe {
            line_up(&self.queue, Place::behind(|list| list), begin, deadline, look, unlocked)
        } {
            Passed::AtOnce(()) | Passed::Served(_) => Ended::Notified,
            Passed::TimedOut => Ended::TimedOut,
            Passed::Cancelled(parking) => parking.raise(),
        }
    }

    /// Lets the longest waiting one go, if anybody waits.
    pub(crate) fn notify_one(&self) {
        if !self.waited_for.load(Ordering::Relaxed) {
            return;
        }
        let mut queue = self.queue.lock();
        let roused = queue.pop().map(Popped::dismiss);
        if queue.is_empty() || mutated("condvar.forgets_the_rest") {
            self.waited_for.store(false, Ordering::Relaxed);
        }
        drop(queue);
        roused.into_iter().for_each(Roused::now);
    }

    /// Lets everybody go who waits now.
    pub(crate) fn notify_all(&self) {
        if self.waited_for.load(Ordering::Relaxed) {
            let_all_go(&self.queue, self.queue.lock(), |list| list);
        }
    }
}
