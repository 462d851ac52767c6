//! The note: a thread sleeps on it until another thread wakes it.
//!
//! A note holds at most one token. [`Note::wake`] puts it there; [`Note::sleep`] takes it and
//! returns. The two may come in either order. One thread sleeps (the M that owns the note); any
//! thread wakes.
//!
//! # Protocol
//!
//! One word:
//!
//! ```text
//!            sleep: CAS              wake: swap, then FUTEX_WAKE
//!   EMPTY ------------> SLEEPING ------------------------------> WOKEN
//!     |                                                           | |
//!     |        wake: swap, no system call                         | | wake: swap, no change
//!     +-----------------------------------------------------> WOKEN-+
//!     ^                                                           |
//!     +-------------------------- sleep: swap --------------------+
//! ```
//!
//! No wake-up is lost, because all three moves are read-modify-writes of one word. If the sleeper's
//! CAS finds WOKEN, the thread does not sleep. If the waker's swap finds SLEEPING, it calls the
//! kernel. The kernel compares the word again under its own lock before it lets the thread sleep.
//!
//! The token is taken by a swap and not by a store. A second waker may come between the sleeper's
//! load and its taking of the token. That waker will not call again, so the sleeper has to see its
//! writes: the swap reads from the second waker's swap.
//!
//! # Lifetime
//!
//! A sleeper that saw WOKEN may go on before its waker has entered the kernel. The waker then uses
//! the note's address only as a name, but it still borrows `&self`. So a note must be type-stable
//! (a static, a leaked M, a pooled record), or the waker must hold it through a reference count.
//!
//! If the address has been given to another note meanwhile, that note sees a wake-up without a
//! token, and `sleep` absorbs it. A token from a waker of an earlier wait looks like a fresh one.
//! So callers look again at what they waited for.
//!
//! Rejected: std's `thread::park`. All code on the thread shares its token. It touches a
//! thread-local with a destructor. Its waker holds a reference count, and dropping that may free
//! memory on the waking thread.

use crate::sync::primitive::{Futex, Ordering, mutated};
use std::time::Instant;

const EMPTY: u32 = 0;
const SLEEPING: u32 = 1;
const WOKEN: u32 = 2;

/// A place for one thread to sleep.
#[derive(Debug)]
pub struct Note {
    futex: Futex,
}

impl Note {
    crate::sync::primitive::const_fn! {
        /// Returns a note without a token.
        pub fn new() -> Self {
            Self { futex: Futex::new(EMPTY) }
        }
    }

    /// Sleeps until there is a token, and takes it. Only one thread at a time may sleep on a note.
    pub fn sleep(&self) {
        while !self.take() {
            if self.announce() {
                self.futex.wait(SLEEPING);
            }
        }
    }

    /// Like [`Note::sleep`], at longest until `deadline`. True if a token was taken; false if the
    /// deadline passed and there was no token at that moment.
    #[must_use]
    pub fn sleep_until(&self, deadline: Instant) -> bool {
        while !self.take() {
            if self.announce() && !self.futex.wait_until(SLEEPING, deadline) {
                if mutated("note.withdraw_by_store") {
                    self.futex.word.store(EMPTY, Ordering::Relaxed);
                    return false;
                }
                // Takes SLEEPING back, or the token that arrived after the deadline: its waker will
                // not call again.
                // ORDERING[note.token]: partner is the swap in `wake`; the waker's earlier writes
                // become visible.
                return self.futex.word.swap(EMPTY, Ordering::Acquire) == WOKEN;
            }
        }
        true
    }

    /// Puts a token there, and wakes the sleeper if there is one.
    pub fn wake(&self) {
        if mutated("note.wake_without_store") {
            return self.futex.wake();
        }
        let order =
            if mutated("note.wake_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[note.token]: partners are the swaps in `take` and `sleep_until`. The sleeper
        // that takes the token sees all that was written before this call. It also sees the writes
        // of an earlier waker whose token this one replaces.
        if self.futex.word.swap(WOKEN, order) == SLEEPING && !mutated("note.wake_without_call") {
            self.futex.wake();
        }
    }

    /// Takes the token; true if there was one.
    fn take(&self) -> bool {
        if self.futex.word.load(Ordering::Relaxed) != WOKEN {
            return false;
        }
        if mutated("note.take_by_store") {
            self.futex.word.store(EMPTY, Ordering::Relaxed);
            return true;
        }
        // ORDERING[note.token]: partner is the swap in `wake`; the earlier writes of every waker so
        // far become visible.
        self.futex.word.swap(EMPTY, Ordering::Acquire) == WOKEN
    }

    /// Announces that a thread is about to sleep. False if a token has come meanwhile.
    fn announce(&self) -> bool {
        if mutated("note.sleep_without_check") {
            self.futex.word.store(SLEEPING, Ordering::Relaxed);
            return true;
        }
        // Relaxed: nothing is handed to the waker, and `take` acquires what the waker hands over.
        // The word is SLEEPING here if the kernel let the thread return early.
        match self.futex.word.compare_exchange(
            EMPTY,
            SLEEPING,
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            Ok(_) => true,
            Err(word) => word == SLEEPING,
        }
    }
}

impl Default for Note {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_token_from_before_is_taken_without_sleeping() {
        let note = Note::new();
        note.wake();
        note.wake();
        note.sleep();
        // Two calls, one token.
        assert!(!note.sleep_until(Instant::now()));
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn another_thread_wakes_a_sleeper() {
        let note = Arc::new(Note::default());
        let there = Arc::clone(&note);
        let sleeper = thread::spawn(move || there.sleep());
        // The word says that the next wake has to go through the kernel: the thread sleeps or is
        // about to.
        while note.futex.word.load(Ordering::Relaxed) != SLEEPING {
            thread::yield_now();
        }
        note.wake();
        sleeper.join().expect("sleeper");
        assert_eq!(note.futex.word.load(Ordering::Relaxed), EMPTY);
    }

    #[test]
    fn a_deadline_ends_the_sleep_and_leaves_no_trace() {
        let note = Note::new();
        let deadline = Instant::now() + Duration::from_millis(20);
        assert!(!note.sleep_until(deadline));
        assert!(Instant::now() >= deadline);
        assert_eq!(note.futex.word.load(Ordering::Relaxed), EMPTY);
        note.wake();
        assert!(
            note.sleep_until(Instant::now()),
            "a token counts even when the deadline has passed"
        );
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn a_far_deadline_does_not_keep_a_waker_out() {
        let note = Arc::new(Note::new());
        let there = Arc::clone(&note);
        let sleeper =
            thread::spawn(move || there.sleep_until(Instant::now() + Duration::from_secs(600)));
        while note.futex.word.load(Ordering::Relaxed) != SLEEPING {
            thread::yield_now();
        }
        note.wake();
        assert!(sleeper.join().expect("sleeper"));
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn a_wake_up_without_a_token_does_not_end_the_sleep() {
        let note = Arc::new(Note::new());
        let there = Arc::clone(&note);
        let sleeper = thread::spawn(move || there.sleep());
        for _ in 0..1000 {
            note.futex.wake();
            thread::yield_now();
        }
        assert!(!sleeper.is_finished());
        note.wake();
        sleeper.join().expect("sleeper");
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn ping_pong() {
        const ROUNDS: u32 = 100_000;
        let notes = Arc::new((Note::new(), Note::new()));
        let there = Arc::clone(&notes);
        let other = thread::spawn(move || {
            for _ in 0..ROUNDS {
                there.0.sleep();
                there.1.wake();
            }
        });
        for _ in 0..ROUNDS {
            notes.0.wake();
            notes.1.sleep();
        }
        other.join().expect("other");
        assert!(!notes.0.sleep_until(Instant::now()) && !notes.1.sleep_until(Instant::now()));
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn no_token_is_lost_between_wakers_and_deadlines() {
        const EACH: u32 = 20_000;
        let shared = Arc::new((Note::new(), crate::sync::primitive::AtomicU32::new(0)));
        let waker = |shared: Arc<(Note, crate::sync::primitive::AtomicU32)>| {
            move || {
                for _ in 0..EACH {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    shared.0.wake();
                }
            }
        };
        let wakers =
            [thread::spawn(waker(Arc::clone(&shared))), thread::spawn(waker(Arc::clone(&shared)))];
        let mut impatient = false;
        // The last waker's token may be taken only with its addition in sight. If a token were
        // lost, this would hang.
        while shared.1.load(Ordering::Relaxed) != 2 * EACH {
            impatient = !impatient;
            if impatient {
                let _either = shared.0.sleep_until(Instant::now() + Duration::from_micros(1));
            } else {
                shared.0.sleep();
            }
        }
        for waker in wakers {
            waker.join().expect("waker");
        }
    }
}
