//! A place for one message, at which one thread waits.
//!
//! A sender puts the message there and wakes the thread; the thread looks, and sleeps only if there
//! is none. The message comes before the wake-up: a thread that was woken finds it. A token of an
//! earlier message may be left in the note, if the thread found that one before it slept. It then
//! looks once in vain.
//!
//! A thread may [look](Letterbox::look) for a while before it waits, and so before it sleeps.
//!
//! A sender touches the note after the message was put: it holds the letterbox by a count.
//!
//! *Rejected.* A channel of std or of crossbeam: a channel for one message at a time needs none of
//! what either compiles for each type of message, a tenth of a second of each user's build.

use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{AtomicBool, Ordering, mutated, spin_loop};

/// The place.
pub(crate) struct Letterbox<T> {
    message: Mutex<Option<T>>,
    /// There may be a message. A hint, for those that look without the lock.
    full: AtomicBool,
    note: Note,
}

impl<T> Letterbox<T> {
    pub(crate) fn new() -> Self {
        Self { message: Mutex::new(None), full: AtomicBool::new(false), note: Note::new() }
    }

    /// Puts `message` there, and wakes the thread. The one before must have been taken.
    pub(crate) fn put(&self, message: T) {
        if mutated("letterbox.wakes_first") {
            self.note.wake();
        }
        let mut place = self.message.lock();
        let before = place.replace(message);
        debug_assert!(before.is_none(), "a message is taken before the next one comes");
        self.full.store(true, Ordering::Relaxed);
        drop(place);
        if !mutated("letterbox.wakes_first") {
            self.note.wake();
        }
    }

    /// Waits for the message. One thread at a time.
    pub(crate) fn take(&self) -> T {
        loop {
            if let Some(message) = self.try_take() {
                return message;
            }
            self.note.sleep();
        }
    }

    /// As [`take`](Self::take), at longest until `deadline`.
    pub(crate) fn take_until(&self, deadline: Instant) -> Option<T> {
        let mut in_time = true;
        loop {
            let message = self.try_take();
            if message.is_some() || !in_time {
                return message;
            }
            in_time = self.note.sleep_until(deadline);
        }
    }

    /// Looks so many times whether there is a message, without sleeping in between.
    pub(crate) fn look(&self, times: u32) {
        for _ in 0..times {
            if self.full.load(Ordering::Relaxed) {
                break;
            }
            spin_loop();
        }
    }

    fn try_take(&self) -> Option<T> {
        let mut message = self.message.lock();
        self.full.store(false, Ordering::Relaxed);
        message.take()
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::Letterbox;

    #[test]
    fn messages_come_one_by_one() {
        let (there, back) = (Arc::new(Letterbox::new()), Arc::new(Letterbox::new()));
        let (asked, answers) = (there.clone(), back.clone());
        let other = std::thread::spawn(move || {
            for _ in 0..100 {
                answers.put(asked.take() + 1);
            }
        });
        for number in 0..100 {
            there.put(number);
            assert_eq!(back.take(), number + 1);
        }
        other.join().expect("it has answered");
    }

    #[test]
    fn a_limit_ends_the_wait_for_what_does_not_come() {
        let letterbox = Letterbox::new();
        assert_eq!(letterbox.take_until(Instant::now() + Duration::from_millis(5)), None);
        letterbox.put(1);
        assert_eq!(letterbox.take_until(Instant::now()), Some(1), "it is there already");
        // The token of the first is left.
        assert_eq!(letterbox.take_until(Instant::now() + Duration::from_millis(5)), None);
    }
}
