//! The lock under every structure of the scheduler: short critical sections, no poisoning, and an
//! unlock that is a store.
//!
//! # What the outside needs
//!
//! A channel operation locks once and unlocks once. Its work in between takes about as long as one
//! read-modify-write. std's mutex takes one read-modify-write to lock and another to unlock; the
//! second finds out whether a thread sleeps. std's guard also records panics.
//!
//! No user code runs under the scheduler's locks; a debug build checks that (`sync/held.rs`). So a
//! panic cannot leave the guarded value broken,
//! and there is nothing to poison.
//!
//! # Why nobody sleeps for ever
//!
//! Name the events. The unlocker: U is the store that unlocks, B the fence after it, L the load of
//! `sleepers`. The sleeper: A is its addition to `sleepers`, H the fence after it, T its first try
//! to take the lock after H. [lock.sleep]
//!
//! B and H are an asymmetric pair (`membarrier`): L sees A, or T sees U. If L sees A, the unlocker
//! wakes a sleeper. If T sees U, the lock was free at T, or another thread has taken it since U.
//! The same then holds for that thread's unlock.
//!
//! So the thread that holds the lock when the sleeper finds it held will see `sleepers` when it
//! unlocks. The sleeper's futex sleeps only while the lock is held. Each later try follows a
//! wake-up by an unlocker that saw `sleepers`. The next unlocker sees it, too, because a sleeper
//! subtracts itself only while it holds the lock.
//!
//! An unlocker wakes one sleeper, and the first thread to come takes the lock. A sleeper that comes
//! too late sleeps again and stays counted.
//!
//! # Why nobody starves
//!
//! A thread that takes the lock again and again is faster than any sleeper. A sleeper that was
//! woken in vain and has waited for a millisecond marks `sleepers` with STARVING, unless another
//! one has. The unlocker that sees the mark hands the lock over: it takes the free lock again, as
//! HANDED, and wakes all sleepers. Only the thread that set the mark takes the lock out of HANDED.
//! Others that come sleep, which frees a core for it. A thread that was faster than this unlocker
//! hands over in its turn.
//!
//! The thread that set the mark takes it away while it holds the lock. So an unlocker that has
//! changed FREE to HANDED looks again. If the mark is still there, its thread waits. If not, that
//! thread had the lock in between, and the unlocker frees the lock again.
//!
//! # The last access
//!
//! After U another thread may have the lock, and L still reads the lock's memory. That is sound for
//! all that the language checks, because the guard borrows the lock until it is dropped. Do not
//! free a lock because you saw it unlocked: the last unlocker may still read `sleepers`. std's
//! mutex permits this; this lock does not, and nothing here does it.
//!
//! # Rejected
//!
//! - Spinning without sleep: if the holder lost its core, all cores would wait for it.
//! - A processor's fence in place of the asymmetric pair: it costs what the saved read-modify-write
//!   costs.
//!
//! # Safety
//!
//! The value is reached only through a guard. There is one guard at a time: the thread that made it
//! changed the word from free to held.
#![expect(unsafe_code, reason = "a cell behind a word")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use crate::sync::held;
use crate::sync::primitive::{
    AtomicU32, Futex, Ordering, UnsafeCell, const_fn, heavy_fence, light_fence, mutated, spin_loop,
};

/// The mutex of a real build; in a model it is loom's own, so that each protocol is checked above a
/// lock that works.
#[cfg(not(gosched_loom))]
pub use self::{Lock as Mutex, LockGuard as MutexGuard};
#[cfg(gosched_loom)]
pub use crate::sync::primitive::{LoomGuard as MutexGuard, LoomMutex as Mutex};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Nobody holds the lock, and the thread that starves takes it.
const HANDED: u32 = 2;

/// In the count of sleepers: one of them starves.
const STARVING: u32 = 1 << 31;

/// For how long a sleeper may be passed over; in a model, not at all.
const PATIENCE: Duration = Duration::from_millis(if cfg!(gosched_loom) { 0 } else { 1 });

/// How often a thread looks at a held lock before it sleeps.
///
/// That takes longer than any critical section whose holder has a core, and about as long as going
/// to sleep.
const SPINS: u32 = if cfg!(gosched_loom) { 0 } else { 100 };

/// A mutex without poisoning.
pub struct Lock<T> {
    raw: RawLock,
    value: UnsafeCell<T>,
}

/// All of a lock but its value. A type without parameters, so that it is compiled once, and not
/// for each type of value.
struct RawLock {
    word: Futex,
    /// How many threads sleep, or are about to; with the mark if one of them starves.
    sleepers: AtomicU32,
}

// SAFETY: the value goes to one thread at a time, in a guard.
unsafe impl<T: Send> Sync for Lock<T> {}
// SAFETY: it goes with the lock.
unsafe impl<T: Send> Send for Lock<T> {}

impl<T> Lock<T> {
    const_fn! {
        /// Returns a free lock around `value`.
        pub fn new(value: T) -> Self {
            Self {
                raw: RawLock { word: Futex::new(FREE), sleepers: AtomicU32::new(0) },
                value: UnsafeCell::new(value),
            }
        }
    }

    /// Blocks the thread until it has the lock. A thread that locks twice waits for ever.
    #[inline(always)]
    pub fn lock(&self) -> LockGuard<'_, T> {
        if !self.raw.try_take() {
            self.raw.wait();
        }
        held::taken();
        LockGuard { lock: self, _thread: PhantomData }
    }

    /// True if a sleeper has marked itself as starving.
    #[cfg(all(test, gosched_loom))]
    pub(crate) fn is_starved(&self) -> bool {
        self.raw.sleepers.load(Ordering::Relaxed) & STARVING != 0
    }

    /// Returns the value; `&mut self` says that the caller is its only user.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self` excludes a guard.
        self.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl RawLock {
    #[inline(always)]
    fn try_take(&self) -> bool {
        // ORDERING[lock.held]: partner is the store in `unlock`: all that was done under the lock
        // is seen.
        self.word.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn wait(&self) {
        let mut spins = SPINS;
        while spins > 0 {
            spins -= 1;
            if self.word.word.load(Ordering::Relaxed) == FREE && self.try_take() {
                return;
            }
            spin_loop();
        }
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        let bound = if mutated("lock.sleep_unfenced") { None } else { heavy_fence() };
        self.sleep(bound);
    }

    /// Sleeps until it has the lock; each time no longer than the bound, if there is one.
    fn sleep(&self, bound: Option<Duration>) {
        let (began, mut starves) = (Instant::now(), false);
        while !(self.try_take() || starves && self.take_handed()) {
            let word = self.word.word.load(Ordering::Relaxed);
            if word == FREE || (starves && word == HANDED) {
                continue;
            }
            match bound {
                None => self.word.wait(word),
                Some(bound) => {
                    let _look_again = self.word.wait_until(word, Instant::now() + bound);
                }
            }
            if !starves && began.elapsed() >= PATIENCE {
                // Relaxed: the next unlocker that sees it hands over.
                starves = self.sleepers.fetch_or(STARVING, Ordering::Relaxed) & STARVING == 0;
            }
        }
        let counted = if starves { STARVING + 1 } else { 1 };
        self.sleepers.fetch_sub(counted, Ordering::Relaxed);
    }

    /// Takes the lock that was handed over to the calling thread.
    fn take_handed(&self) -> bool {
        let word = &self.word.word;
        // ORDERING[lock.held]: partner is the store in `unlock`. The exchange in `hand_over` is a
        // step between the two.
        word.compare_exchange(HANDED, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    fn unlock(&self) {
        // ORDERING[lock.held]: partner is the exchange in `try_take`.
        let order =
            if mutated("lock.unlock_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        self.word.word.store(FREE, order);
        if !mutated("lock.unlock_unfenced") {
            light_fence();
        }
        let sleepers = self.sleepers.load(Ordering::Relaxed);
        if sleepers != 0 {
            self.wake_one(sleepers);
        }
    }

    #[cold]
    fn wake_one(&self, sleepers: u32) {
        if sleepers & STARVING == 0 || !self.hand_over() {
            self.word.wake();
        }
    }

    /// Hands the free lock over to the thread that starves. False if there is none any more, or
    /// another thread was faster.
    fn hand_over(&self) -> bool {
        if mutated("lock.never_hands_over") {
            return false;
        }
        let word = &self.word.word;
        let order =
            if mutated("lock.hand_over_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        // ORDERING[lock.held]: partner is the store in `unlock`: if the thread that starved had the
        // lock meanwhile, it has taken its mark away.
        if word.compare_exchange(FREE, HANDED, order, Ordering::Relaxed).is_err() {
            return false;
        }
        let starves = self.sleepers.load(Ordering::Relaxed) & STARVING != 0;
        if starves || mutated("lock.hand_over_unchecked") {
            // The kernel may have others before the one that starves.
            if mutated("lock.hand_over_wakes_one") {
                self.word.wake()
            } else {
                self.word.wake_all()
            }
            return true;
        }
        // ORDERING[lock.held]: partner is the exchange in `try_take`: this unlocks once more.
        let _taken = word.compare_exchange(HANDED, FREE, Ordering::Release, Ordering::Relaxed);
        false
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").finish_non_exhaustive()
    }
}

/// The lock, held; dropping it unlocks.
#[must_use = "the lock is free again as soon as this is dropped"]
pub struct LockGuard<'a, T> {
    lock: &'a Lock<T>,
    /// Not `Send`: the thread that locked unlocks.
    _thread: PhantomData<*const ()>,
}

// SAFETY: a shared guard lends shared references only.
unsafe impl<T: Sync> Sync for LockGuard<'_, T> {}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: there is one guard, and it is borrowed as what is returned is.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: there is one guard, and it is borrowed as what is returned is.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for LockGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        held::released();
        self.lock.raw.unlock();
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::{Arc, Barrier};

    use super::Lock;

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn each_addition_is_counted() {
        let (lock, outside) = (Lock::new(0_u64), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..50_000_u64 {
                        let mut count = lock.lock();
                        assert_eq!(outside.fetch_add(1, Relaxed), *count, "two at once");
                        *count += 1;
                        // Now and then, long enough for the other threads to sleep.
                        if i.is_multiple_of(1000) {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 200_000);
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn who_sleeps_is_woken() {
        let lock = Arc::new(Lock::new(0));
        let both = Arc::new(Barrier::new(2));
        for round in 0..200 {
            let held = lock.lock();
            let (theirs, met) = (lock.clone(), both.clone());
            let other = std::thread::spawn(move || {
                met.wait();
                *theirs.lock() += 1;
            });
            both.wait();
            while lock.raw.sleepers.load(Relaxed) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(*held, round);
            drop(held);
            other.join().expect("it was woken");
        }
        assert_eq!(lock.raw.sleepers.load(Relaxed), 0);
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no unwinding there")]
    fn a_panic_unlocks_and_poisons_nothing() {
        let mut lock = Lock::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _held = lock.lock();
            panic!("as intended");
        }));
        assert!(panicked.is_err());
        *lock.lock() += 1;
        assert_eq!(*lock.get_mut(), 2);
    }
}
