//! Sysmon's sleep, against threads that leave work behind for it.
//!
//! # What the outside needs
//!
//! Sysmon looks at the Ms every few milliseconds while something waits behind user code. It sleeps
//! without a timeout when nothing does: an idle process, or one goroutine that computes alone, has
//! no wake-ups. So a thread that leaves something behind has to wake sysmon: a G in a queue of an M
//! that goes on to run user code, work for any M while no P is idle, an M in the line. One promise:
//!
//! *Nothing waits unseen.* If something was left behind and [`wake`](SysmonNote::wake) was called
//! after that, sysmon looks again later, or was looking and saw it.
//!
//! # Why it holds
//!
//! Name the events: W leaves something behind, B is the barrier in `wake`, L its load. S is
//! sysmon's store that says that it sleeps, H the barrier after it, V its last view of what waits.
//!
//! B and H are an asymmetric pair (`runtime_sys::sync::membarrier`): L sees S, or V sees W. In the
//! first case `wake` wakes sysmon; in the second sysmon does not sleep. `wake` may be called before
//! every switch to a goroutine, so its side is the light fence: a load of a word that hardly ever
//! changes.
//!
//! Deadlines are the same: a thread that leaves one behind that no sleeping M keeps calls
//! [`wake_for_deadline`](SysmonNote::wake_for_deadline), and sysmon's last view is of deadlines,
//! too. `until` is stored before H, so a waker whose deadline V did not see reads the current
//! `until`.
//!
//! A `wake` that comes while sysmon is awake costs nothing more, and is not remembered: sysmon will
//! take its last view after it.
//!
//! # Rejected
//!
//! - A full fence in `wake`: 5 ns on each switch while others wait.
//! - A timeout on sysmon's sleep, and no barrier: ten wake-ups a second of a process in which
//!   nothing happens.
//! - A counter that the wakers raise: a shared line that every M writes to.

use std::time::Instant;

use gosched_runtime_sys::clock::to_instant;
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{
    AtomicU32, AtomicU64, Ordering, const_fn, heavy_fence, light_fence, mutated,
};

use super::timers::NEVER;

/// Sysmon looks, or will look before it sleeps.
const AWAKE: u32 = 0;
/// Sysmon sleeps until it is woken.
const ASLEEP: u32 = 1;
/// Sysmon has no thread; the next `wake` asks its caller to make one.
const ABSENT: u32 = 2;
/// Sysmon ends.
const CLOSED: u32 = 3;

/// What `wake` asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakeOutcome {
    /// Nothing.
    Done,
    /// There is no sysmon yet: the caller makes its thread, or says that it
    /// [cannot](SysmonNote::not_made).
    StartThread,
}

/// The place where one sysmon sleeps.
///
/// It has its own cache line: every M reads it, and it hardly ever changes.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct SysmonNote {
    word: AtomicU32,
    /// Until when sysmon sleeps, in ns on the monotonic clock.
    until: AtomicU64,
    /// Until when sysmon pauses; zero if it does not.
    pauses_until: AtomicU64,
    note: Note,
}

impl SysmonNote {
    const_fn! {
        /// Sysmon has no thread yet.
        pub(crate) fn new() -> Self {
            Self {
                word: AtomicU32::new(ABSENT),
                until: AtomicU64::new(NEVER),
                pauses_until: AtomicU64::new(0),
                note: Note::new(),
            }
        }
    }

    /// Wakes sysmon if it sleeps; to be called after something was left behind.
    #[inline]
    #[must_use]
    pub(crate) fn wake(&self) -> WakeOutcome {
        if !mutated("sysmon_note.wake_unfenced") {
            light_fence();
        }
        match self.word.load(Ordering::Relaxed) {
            AWAKE | CLOSED => WakeOutcome::Done,
            word => self.wake_slow(word),
        }
    }

    /// Wakes sysmon if it sleeps for longer than until `at`; to be called after a deadline was left
    /// behind that no M keeps.
    #[inline]
    #[must_use]
    pub(crate) fn wake_for_deadline(&self, at: u64) -> WakeOutcome {
        light_fence();
        match self.word.load(Ordering::Relaxed) {
            AWAKE | CLOSED => WakeOutcome::Done,
            ASLEEP if self.until.load(Ordering::Relaxed) <= at => WakeOutcome::Done,
            word => self.wake_slow(word),
        }
    }

    #[cold]
    fn wake_slow(&self, word: u32) -> WakeOutcome {
        // Relaxed: what was left behind is handed over by its own queue; sysmon only looks at
        // hints.
        match self.word.compare_exchange(word, AWAKE, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(ASLEEP) => self.note.wake(),
            Ok(ABSENT) => return WakeOutcome::StartThread,
            // Another waker was first.
            _ => {}
        }
        WakeOutcome::Done
    }

    /// Notes that the thread that `wake` asked for could not be made: the next `wake` asks again.
    pub(crate) fn not_made(&self) {
        let _it_is_closed =
            self.word.compare_exchange(AWAKE, ABSENT, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Sleeps until sysmon is woken, and no longer than `until`, unless something `waits` after
    /// all: that includes a deadline before `until`.
    pub(crate) fn sleep(&self, until: u64, waits: impl FnOnce() -> bool) {
        self.until.store(until, Ordering::Relaxed);
        if self.word.compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let bound = if mutated("sysmon_note.sleep_unfenced") { None } else { heavy_fence() };
        if waits() && !mutated("sysmon_note.sleep_without_view") {
            let _woken_already =
                self.word.compare_exchange(ASLEEP, AWAKE, Ordering::Relaxed, Ordering::Relaxed);
            return;
        }
        // Without the kernel's fence a waker may have missed the sleeper: it looks again by itself.
        let soon = bound.map(|bound| Instant::now() + bound);
        let deadline = [to_instant(until), soon].into_iter().flatten().min();
        while self.word.load(Ordering::Relaxed) == ASLEEP {
            match deadline {
                None => self.note.sleep(),
                Some(deadline) if self.note.sleep_until(deadline) => {}
                Some(_) => {
                    let _woken = self.word.compare_exchange(
                        ASLEEP,
                        AWAKE,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                    return;
                }
            }
        }
    }

    /// Sleeps until `until`, between two looks of sysmon; `close` and [`hurry`](Self::hurry) cut
    /// the sleep short.
    pub(crate) fn pause(&self, until: u64) {
        self.pauses_until.store(until, Ordering::Relaxed);
        loop {
            let until = self.pauses_until.load(Ordering::Relaxed);
            if self.closed() || !to_instant(until).is_some_and(|until| self.note.sleep_until(until))
            {
                break;
            }
        }
        self.pauses_until.store(0, Ordering::Relaxed);
    }

    /// Has sysmon look at `at`, if it pauses for longer.
    ///
    /// One that is just about to pause, or sleeps, does not hear of it: it looks at the end of that
    /// pause, or was woken by [`wake`](Self::wake). So this makes a look come sooner, and no
    /// promise rests on it.
    #[inline]
    pub(crate) fn hurry(&self, at: u64) {
        if self.pauses_until.load(Ordering::Relaxed) > at {
            self.hurry_slow(at);
        }
    }

    #[cold]
    fn hurry_slow(&self, at: u64) {
        if self.pauses_until.fetch_min(at, Ordering::Relaxed) > at {
            self.note.wake();
        }
    }

    /// Ends sysmon.
    pub(crate) fn close(&self) {
        // A swap, because every other change is a read-modify-write, too: so the changes have one
        // order, and none of them comes after this one.
        let _whatever_it_was = self.word.swap(CLOSED, Ordering::Relaxed);
        if !mutated("sysmon_note.close_wakes_nobody") {
            self.note.wake();
        }
    }

    /// True if sysmon must end.
    pub(crate) fn closed(&self) -> bool {
        self.word.load(Ordering::Relaxed) == CLOSED
    }

    /// True if sysmon sleeps, or has no thread. A hint.
    pub(crate) fn sleeps(&self) -> bool {
        matches!(self.word.load(Ordering::Relaxed), ASLEEP | ABSENT)
    }
}

#[cfg(test)]
mod tests {
    use gosched_runtime_sys::clock::monotonic_ns;

    use super::{NEVER, Ordering, SysmonNote, WakeOutcome};

    #[test]
    fn the_first_waker_makes_the_thread() {
        let note_of_sysmon = SysmonNote::new();
        assert_eq!(note_of_sysmon.wake(), WakeOutcome::StartThread);
        assert_eq!(note_of_sysmon.wake(), WakeOutcome::Done, "it is being made");
        note_of_sysmon.not_made();
        assert_eq!(note_of_sysmon.wake(), WakeOutcome::StartThread);
    }

    #[test]
    fn who_sees_something_does_not_sleep() {
        let note_of_sysmon = SysmonNote::new();
        assert_eq!(note_of_sysmon.wake(), WakeOutcome::StartThread);
        note_of_sysmon.sleep(NEVER, || true);
        assert!(!note_of_sysmon.sleeps());
    }

    #[test]
    fn a_pause_ends_sooner_if_somebody_is_in_a_hurry() {
        let note_of_sysmon = std::sync::Arc::new(SysmonNote::new());
        let began = monotonic_ns();
        let theirs = note_of_sysmon.clone();
        let sysmon = std::thread::spawn(move || theirs.pause(began + 60_000_000_000));
        while note_of_sysmon.pauses_until.load(Ordering::Relaxed) == 0 {
            std::hint::spin_loop();
        }
        note_of_sysmon.hurry(NEVER);
        note_of_sysmon.hurry(began + 1);
        sysmon.join().expect("no panic");
        assert!(monotonic_ns() - began < 30_000_000_000, "it paused to the end");
    }

    #[test]
    fn a_sleeper_is_woken_by_a_wake_and_by_the_end() {
        let note_of_sysmon = std::sync::Arc::new(SysmonNote::new());
        assert_eq!(note_of_sysmon.wake(), WakeOutcome::StartThread);
        let theirs = note_of_sysmon.clone();
        let sysmon = std::thread::spawn(move || {
            theirs.sleep(NEVER, || false);
            theirs.sleep(NEVER, || false);
            theirs.closed()
        });
        while !note_of_sysmon.sleeps() {
            std::hint::spin_loop();
        }
        assert_eq!(note_of_sysmon.wake(), WakeOutcome::Done);
        note_of_sysmon.close();
        assert!(sysmon.join().expect("no panic"));
        assert_eq!(note_of_sysmon.wake(), WakeOutcome::Done);
        assert!(!note_of_sysmon.sleeps());
    }
}
