//! Waiting on an address, in a program with one thread: nobody wakes it, so a sleep ends when its
//! time is over, and one without an end is a mistake that is told.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Sleeps while `*word == expected`, for the whole timeout. False if it has passed.
///
/// # Panics
///
/// If there is no timeout: nobody else can change the word.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    if word.load(Relaxed) != expected {
        return true;
    }
    match timeout {
        Some(timeout) => std::thread::sleep(timeout),
        None => panic!("the only thread of the program waits for another"),
    }
    false
}

/// Wakes nobody.
pub(crate) fn futex_wake(_address: *const u32) {}

/// Wakes nobody.
pub(crate) fn futex_wake_all(_address: *const u32) {}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_sleep_ends_with_its_time() {
        let (word, time) = (AtomicU32::new(1), Duration::from_millis(2));
        let began = Instant::now();
        assert!(futex_wait(&word, 0, Some(time)), "the word is another");
        assert!(!futex_wait(&word, 1, Some(time)) && began.elapsed() >= time);
    }
}
