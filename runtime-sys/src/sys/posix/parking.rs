//! Waiting on an address where the system has no such call: a list of sleepers, each with a
//! semaphore of its own.
//!
//! A sleeper lies on its thread's stack. The lists are spread over a table by the address, and each
//! has a lock. A sleeper compares the word under that lock and enters itself; a waker, which has
//! stored into the word before, takes the sleeper off under the lock. So either the waker finds the
//! sleeper, or the sleeper, which came to the lock after the waker, sees what that has stored.
//!
//! The waker posts the semaphore while it has the lock, and a sleeper takes the lock once more
//! before it leaves. So the waker has used the semaphore for the last time when its memory goes.
//!
//! # In a handler
//!
//! A wake is async-signal-safe. While a thread has a list's lock its signals are blocked, so no
//! handler waits for the thread that it interrupted. That is two system calls for each wait and
//! each wake beside the semaphore's own; a system that has better is not here.
//!
//! # Rejected
//!
//! - A mutex and a condition variable: neither may be touched in a handler, and a thread that
//!   sleeps in `pthread_cond_wait` with its signals blocked would keep them from the host.
//! - Spinning for the lock alone: a real-time thread on the holder's processor would spin for ever.
//!   A thread that has spun for a while gives its processor away, and after that lets a millisecond
//!   pass at a time, by `poll`, which is async-signal-safe.
//!
//! # Safety
//!
//! A pointer on a list leads to a sleeper whose thread is in [`wait_on`]. It leaves only when it is
//! on no list, and nobody uses the pointer but with the lock.
#![expect(unsafe_code, reason = "a list of what lies on other threads' stacks")]

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr::{self, null};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::semaphore::Semaphore;

/// What a sleeper sleeps on.
pub(crate) trait Post {
    /// Lets one sleep end, now or later.
    fn post(&self);
    /// Sleeps until it was posted, or the timeout has passed.
    fn sleep(&self, timeout: Option<Duration>);
}

impl Post for &'static Semaphore {
    fn post(&self) {
        Semaphore::post(self);
    }

    fn sleep(&self, timeout: Option<Duration>) {
        // Which of the two it was, the list says.
        let _posted = Semaphore::wait(self, timeout);
    }
}

/// A word, and the list on which those are who wait for it. A model brings its own.
pub(crate) trait Place {
    /// What its sleepers sleep on.
    type Post: Post;
    /// Reads the word.
    fn word(&self) -> u32;
    /// Calls `f` with the list, which no other thread has meanwhile.
    fn locked<R>(&self, f: impl FnOnce(&mut Sleepers<Self::Post>) -> R) -> R;
    /// True if a model has switched this mistake on.
    fn mutated(&self, _name: &'static str) -> bool {
        false
    }
}

/// A thread that waits.
pub(crate) struct Sleeper<P> {
    /// What it waits on, as a name.
    address: usize,
    post: P,
    /// The one behind it on the list. Read and written with the list's lock.
    next: Cell<*const Self>,
}

impl<P> Sleeper<P> {
    pub(crate) fn new(address: usize, post: P) -> Self {
        Self { address, post, next: Cell::new(null()) }
    }
}

/// Sleepers, the first to come in front.
pub(crate) struct Sleepers<P> {
    first: *const Sleeper<P>,
}

impl<P> Sleepers<P> {
    pub(crate) const fn new() -> Self {
        Self { first: null() }
    }

    /// True if nobody sleeps.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Puts a sleeper at the end.
    ///
    /// # Safety
    ///
    /// It is on no list, and stays where it is until it was taken off.
    unsafe fn push(&mut self, sleeper: &Sleeper<P>) {
        sleeper.next.set(null());
        let mut last: *const Sleeper<P> = null();
        let mut at = self.first;
        // SAFETY: see the file's head.
        while let Some(there) = unsafe { at.as_ref() } {
            (last, at) = (at, there.next.get());
        }
        // SAFETY: as above.
        match unsafe { last.as_ref() } {
            Some(last) => last.next.set(sleeper),
            None => self.first = sleeper,
        }
    }

    /// Takes the first sleeper off of which `is_it` is true, and returns it.
    fn take(&mut self, is_it: impl Fn(&Sleeper<P>) -> bool) -> Option<*const Sleeper<P>> {
        let mut before: *const Sleeper<P> = null();
        let mut at = self.first;
        // SAFETY: see the file's head.
        while let Some(there) = unsafe { at.as_ref() } {
            let next = there.next.get();
            if is_it(there) {
                // SAFETY: as above.
                match unsafe { before.as_ref() } {
                    Some(before) => before.next.set(next),
                    None => self.first = next,
                }
                return Some(at);
            }
            (before, at) = (at, next);
        }
        None
    }
}

/// Sleeps while the word is `expected`. False if the timeout passed.
pub(crate) fn wait_on<L: Place>(
    place: &L,
    me: &Sleeper<L::Post>,
    expected: u32,
    timeout: Option<Duration>,
) -> bool {
    let looked_early = place.mutated("parking.looks_before_it_locks");
    if looked_early && place.word() != expected {
        return true;
    }
    let sleeps = place.locked(|sleepers| {
        let sleeps = looked_early || place.word() == expected;
        if sleeps {
            // SAFETY: taken off below, or by a waker, before this function returns.
            unsafe { sleepers.push(me) };
        }
        sleeps
    });
    if !sleeps {
        return true;
    }
    me.post.sleep(timeout);
    if place.mutated("parking.leaves_without_the_lock") {
        return true;
    }
    let still_there =
        place.locked(|sleepers| sleepers.take(|sleeper| ptr::eq(sleeper, me)).is_some());
    !still_there
}

/// Wakes one sleeper on that address, or all of them.
pub(crate) fn wake_on<L: Place>(place: &L, address: usize, all: bool) {
    place.locked(|sleepers| {
        while let Some(sleeper) = sleepers.take(|sleeper| sleeper.address == address) {
            // SAFETY: its thread leaves only after it has had the lock.
            unsafe { &*sleeper }.post.post();
            if !all {
                break;
            }
        }
    });
}

/// A list in the table, and its lock.
struct Bucket {
    held: AtomicBool,
    sleepers: UnsafeCell<Sleepers<&'static Semaphore>>,
}

// SAFETY: the list is reached with the lock only, and the pointers on it belong to no thread.
unsafe impl Sync for Bucket {}

/// More lists than threads that wait at a time in most programs.
const BUCKETS: usize = 64;

static TABLE: [Bucket; BUCKETS] =
    [const { Bucket { held: AtomicBool::new(false), sleepers: UnsafeCell::new(Sleepers::new()) } };
        BUCKETS];

/// How often a thread looks at a held lock before it gives its processor away, and before it lets
/// time pass.
const SPINS: u32 = 100;
const YIELDS: u32 = 1000;

impl Bucket {
    /// Returns the list for an address. Words of one structure lie on several.
    fn of(address: usize) -> &'static Self {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        &TABLE[((address as u64).wrapping_mul(GOLDEN) >> 58) as usize]
    }

    fn lock(&self) {
        let mut spins = 0;
        // ORDERING[parking.held]: partner is the store in `unlock`; the list becomes visible, and
        // to a sleeper the word that the waker stored before it had the lock.
        while self.held.swap(true, Ordering::Acquire) {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else if spins < YIELDS {
                std::thread::yield_now();
            } else {
                // SAFETY: no descriptors.
                unsafe { libc::poll(ptr::null_mut(), 0, 1) };
            }
        }
    }

    fn unlock(&self) {
        // ORDERING[parking.held]: partner is the exchange in `lock`.
        self.held.store(false, Ordering::Release);
    }
}

/// A bucket, and the word that a thread waits on; none for a waker, which only names it.
struct Here<'a> {
    bucket: &'static Bucket,
    word: Option<&'a AtomicU32>,
}

impl Place for Here<'_> {
    type Post = &'static Semaphore;

    fn word(&self) -> u32 {
        self.word.map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn locked<R>(&self, f: impl FnOnce(&mut Sleepers<Self::Post>) -> R) -> R {
        let before = block_signals();
        self.bucket.lock();
        // SAFETY: with the lock, nobody else has it.
        let result = f(unsafe { &mut *self.bucket.sleepers.get() });
        self.bucket.unlock();
        // SAFETY: a live set.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut()) };
        result
    }
}

/// Blocks the calling thread's signals, and returns its mask from before.
fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: writable.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // Added, not assigned: the signals that the C library keeps for itself stay as they are.
    // SAFETY: a set that was filled in, and a writable one.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: zeroes, or what the call wrote on top of them.
    unsafe { before.assume_init() }
}

/// Sleeps while the word is `expected`. False if the timeout passed. May return true early.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let address = word.as_ptr().addr();
    let slept = Semaphore::with(|semaphore| {
        // SAFETY: on a list only until `wait_on` returns, and the semaphore outlives that.
        let semaphore: &'static Semaphore = unsafe { &*ptr::from_ref(semaphore) };
        let here = Here { bucket: Bucket::of(address), word: Some(word) };
        wait_on(&here, &Sleeper::new(address, semaphore), expected, timeout)
    });
    // Without a semaphore the caller looks again at once.
    slept.unwrap_or_else(|| {
        std::thread::yield_now();
        true
    })
}

/// Wakes one thread that sleeps on this address; never touches the memory there.
pub(crate) fn futex_wake(address: *const u32) {
    let address = address.addr();
    wake_on(&Here { bucket: Bucket::of(address), word: None }, address, false);
}

/// Wakes all threads that sleep on this address; never touches the memory there.
pub(crate) fn futex_wake_all(address: *const u32) {
    let address = address.addr();
    wake_on(&Here { bucket: Bucket::of(address), word: None }, address, true);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::{Arc, Barrier};
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn another_value_does_not_sleep_and_a_deadline_ends_the_sleep() {
        let word = AtomicU32::new(7);
        assert!(futex_wait(&word, 8, None));
        let began = Instant::now();
        assert!(!futex_wait(&word, 7, Some(Duration::from_millis(20))));
        assert!(began.elapsed() >= Duration::from_millis(20));
    }

    /// Waits until so many threads sleep on the word.
    fn await_sleepers(word: &AtomicU32, count: usize) {
        let here = Here { bucket: Bucket::of(word.as_ptr().addr()), word: None };
        let sleep = || {
            here.locked(|sleepers| {
                let (mut at, mut found) = (sleepers.first, 0);
                // SAFETY: on the list, with the lock.
                while let Some(there) = unsafe { at.as_ref() } {
                    found += usize::from(there.address == word.as_ptr().addr());
                    at = there.next.get();
                }
                found
            })
        };
        while sleep() != count {
            thread::yield_now();
        }
    }

    #[test]
    fn one_is_woken_and_then_all_and_others_on_the_list_sleep_on() {
        // Neighbours that lie on one list.
        let words: Vec<_> = (0..4 * BUCKETS).map(|_| AtomicU32::new(0)).collect();
        let list_of = |word: &AtomicU32| ptr::from_ref(Bucket::of(word.as_ptr().addr()));
        let other = words[1..].iter().find(|word| list_of(word) == list_of(&words[0]));
        let (word, other) = (&words[0], other.expect("there are more words than lists"));
        thread::scope(|scope| {
            let sleepers = [word, word, word, other].map(|word| {
                scope.spawn(move || {
                    while word.load(Relaxed) == 0 {
                        assert!(futex_wait(word, 0, None));
                    }
                })
            });
            await_sleepers(word, 3);
            await_sleepers(other, 1);
            word.store(1, Relaxed);
            futex_wake(word.as_ptr());
            await_sleepers(word, 2);
            futex_wake_all(word.as_ptr());
            await_sleepers(word, 0);
            let list = Here { bucket: Bucket::of(word.as_ptr().addr()), word: None };
            assert!(!list.locked(|sleepers| sleepers.is_empty()), "the other one sleeps on");
            other.store(1, Relaxed);
            futex_wake(other.as_ptr());
            sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("woken"));
        });
    }

    #[test]
    fn a_wake_without_a_sleeper_does_nothing() {
        let word = AtomicU32::new(0);
        futex_wake(word.as_ptr());
        futex_wake_all(word.as_ptr());
        assert!(!futex_wait(&word, 0, Some(Duration::from_micros(1))));
    }

    #[test]
    fn ping_pong_with_deadlines_that_pass() {
        const ROUNDS: u32 = 2_000;
        let shared = Arc::new((AtomicU32::new(0), Barrier::new(2)));
        let turns = |parity: u32, timeout: Option<Duration>| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (word, together) = &*shared;
                together.wait();
                loop {
                    let turn = word.load(Ordering::Acquire);
                    if turn >= ROUNDS {
                        return;
                    }
                    if turn % 2 == parity {
                        word.store(turn + 1, Ordering::Release);
                        futex_wake(word.as_ptr());
                    } else {
                        let _woken_or_not = futex_wait(word, turn, timeout);
                    }
                }
            })
        };
        let both = [turns(0, None), turns(1, Some(Duration::from_micros(5)))];
        both.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(shared.0.load(Relaxed), ROUNDS);
    }

    #[test]
    fn a_wake_leaves_the_mask_as_it_was() {
        let open = || {
            let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
            // SAFETY: a query into a writable set.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr()) };
            // SAFETY: a live set.
            unsafe { libc::sigismember(mask.as_ptr(), libc::SIGTERM) == 0 }
        };
        thread::spawn(move || {
            let before = open();
            futex_wake(ptr::null());
            assert_eq!(open(), before);
            let here = Here { bucket: Bucket::of(0), word: None };
            assert!(!here.locked(|_| open()), "no handler comes while a list is held");
        })
        .join()
        .expect("no panic");
    }
}
