//! A reader that becomes the writer, with no other writer in between.
//!
//! One reader at a time may do that: the one that has the right to, which is a lock of its own
//! beside this one. Two that waited for each other's leaving would wait for ever. Writers need not
//! have that lock: its holder reads, which keeps them out.
//!
//! An upgrade waits until its own reading is the only one. UPGRADE keeps new readers out meanwhile,
//! and has the last but one reader that leaves look. The upgrade comes before all others who wait,
//! reservations included: none of them could come in before its reading ends. The lock is handed
//! over, to a future as well. A future that is not polled keeps others out by that, as its reading
//! does: it was somebody's choice to keep it. Waking it to try would let readers in again.
//!
//! UPGRADE is set and cleared under the queues' lock, and QUEUED stays set as long as it is: so no
//! reader comes in without that lock.
//!
//! # Safety
//!
//! As for [`rwlock`](super); the node of a future is pinned.

#![expect(unsafe_code, reason = "waits in its own queue")]

use gosched_runtime_sys::sync::primitive::{Ordering, mutated};
use std::task::Waker;
use std::time::Instant;

use super::{QUEUED, Queues, READER, RawRwLock, UPGRADE, WRITER};
use crate::sync::raw::mutex::TimedOut;
use crate::wait::owed::{Owed, wake_one};
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::polled::{PolledNode, Standing, poll_in_list};
use crate::wait::waiter::{Popped, Unpark, WaitList, Wakeup};

impl<K: Unpark> Queues<K> {
    fn upgrading(&mut self) -> &mut WaitList<(), K> {
        &mut self.upgrading
    }
}

impl<K: Unpark> RawRwLock<K> {
    /// Makes the caller's reading the writing, if it is the only one.
    pub(crate) fn try_upgrade(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & !QUEUED == READER {
            // ORDERING[rwlock.lock]: partner are the releasing operations of both unlocks.
            match self.word.compare_exchange(
                word,
                word - READER + WRITER,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// Makes the caller's reading the writing, waiting until it is the only one, at longest until
    /// the deadline. If it gives up, also by a cancel, it still reads.
    pub(crate) fn upgrade<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> Result<(), TimedOut> {
        if self.try_upgrade() {
            return Ok(());
        }
        let look = |_: &mut Queues<K>| {
            if self.begin_upgrade() { Look::Done(()) } else { Look::Wait(None) }
        };
        let place = WaitIn::behind(Queues::upgrading);
        // SAFETY: the list lies under that lock, for as long as this one, and is not replaced.
        match unsafe { wait_for(&self.queues, place, begin, deadline, look, || None) } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => Ok(()),
            WaitedFor::TimedOut => {
                self.end_upgrade();
                Err(TimedOut)
            }
            WaitedFor::Cancelled(parking) => {
                self.end_upgrade();
                parking.raise()
            }
        }
    }

    /// Under the queues' lock: upgrades, or keeps new readers out.
    fn begin_upgrade(&self) -> bool {
        // First the bits, then the look: the reader that leaves after it comes here.
        self.word.fetch_or(QUEUED | UPGRADE, Ordering::Relaxed);
        self.finish_upgrade()
    }

    /// Under the queues' lock: makes the reading of the upgrade the writing, if it is the only one.
    fn finish_upgrade(&self) -> bool {
        // Nobody but readers that leave changes the word meanwhile.
        let word = self.word.load(Ordering::Relaxed);
        if word & !QUEUED != READER | UPGRADE {
            return false;
        }
        // ORDERING[rwlock.lock]: partner are the releasing operations of the unlocks: what readers
        // read was read before.
        self.word.fetch_sub(READER + UPGRADE - WRITER, Ordering::Acquire);
        true
    }

    /// An upgrade was given up: those that it kept out may come in.
    #[cold]
    fn end_upgrade(&self) {
        let queues = self.queues.lock();
        self.word.fetch_and(!UPGRADE, Ordering::Relaxed);
        if mutated("rwlock.upgrade_just_goes") {
            return;
        }
        wake_one(self.hand_on(queues));
    }

    /// Hands the lock to the upgrade that waits, if it can have it.
    pub(super) fn let_upgrade(&self, queues: &mut Queues<K>) -> Option<Wakeup<K>> {
        if queues.upgrading.is_empty() || !self.finish_upgrade() {
            return None;
        }
        queues.upgrading.pop().map(Popped::finish)
    }

    /// For a future: upgrades, or waits with this waker.
    ///
    /// # Safety
    ///
    /// The node is pinned, waits for this only, and [`leave_upgrade`](Self::leave_upgrade) is
    /// called before its memory goes, unless this has returned true.
    pub(crate) unsafe fn poll_upgrade(&self, node: &PolledNode<(), K>, waker: Waker) -> bool {
        let look = |_: &mut Queues<K>| match node.standing() {
            Standing::Idle => self.begin_upgrade(),
            Standing::Waits => false,
            Standing::Woken => true,
        };
        // SAFETY: this function's contract; the list is under the lock.
        unsafe { poll_in_list(&self.queues, Queues::upgrading, node, waker, look, |_| None) }
    }

    /// The future of an upgrade goes, which has not returned true. True: it has the lock, for
    /// writing. False: it still reads.
    pub(crate) fn leave_upgrade(&self, node: &PolledNode<(), K>) -> bool {
        let mut owed = Owed::nothing();
        let mut queues = self.queues.lock();
        // SAFETY: it waits in this list, if at all.
        let (standing, waker) = unsafe { node.leave(&mut queues.upgrading) };
        owed.drop_waker(waker);
        if standing == Standing::Waits {
            self.word.fetch_and(!UPGRADE, Ordering::Relaxed);
            owed.wake(self.hand_on(queues));
        } else {
            drop(queues);
        }
        owed.pay();
        standing == Standing::Woken
    }
}
