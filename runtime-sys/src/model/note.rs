//! The note: no token is lost, and the sleeper that takes a token sees all that the waker wrote
//! before.
//!
//! # Safety
//!
//! The cells are written before a wake and read after the sleep; the models check that this is
//! enough.
#![expect(unsafe_code, reason = "cells whose accesses loom checks")]

use crate::sync::note::Note;
use crate::sync::primitive::loom::model::Builder;
use crate::sync::primitive::{AtomicU32, Ordering, UnsafeCell, thread};
use std::sync::Arc;
use std::time::Instant;

/// A waker's gift: a plain value, and a flag that by itself says nothing about the value.
struct Gift {
    value: UnsafeCell<u32>,
    given: AtomicU32,
}

struct Shared {
    note: Note,
    gifts: [Gift; 2],
}

// SAFETY: the values are handed over by the note; loom reports it if they are not.
unsafe impl Sync for Shared {}

impl Shared {
    fn new() -> Arc<Self> {
        let gift = || Gift { value: UnsafeCell::new(0), given: AtomicU32::new(0) };
        Arc::new(Self { note: Note::new(), gifts: [gift(), gift()] })
    }

    fn give(&self, index: usize) {
        let gift = &self.gifts[index];
        // SAFETY: written once, before the flag; loom reports it if the reader's access is not
        // ordered after this one.
        gift.value.with_mut(|value| unsafe { *value = 7 });
        gift.given.store(1, Ordering::Relaxed);
        self.note.wake();
    }

    fn given(&self, index: usize) -> bool {
        self.gifts[index].given.load(Ordering::Relaxed) == 1
    }

    fn receive(&self, index: usize) {
        // SAFETY: the writer is done, if the note keeps its promise.
        assert_eq!(self.gifts[index].value.with(|value| unsafe { *value }), 7);
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Two wakers, and one sleeper that goes on once it has seen both.
fn two_wakers() {
    check(|| {
        let shared = Shared::new();
        let others = [0, 1].map(|index| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.give(index))
        });
        while !(shared.given(0) && shared.given(1)) {
            shared.note.sleep();
        }
        for other in others {
            other.join().unwrap();
        }
        shared.receive(0);
        shared.receive(1);
    });
}

/// One waker, one token: the value may be read as soon as `sleep` returns.
fn one_token() {
    check(|| {
        let shared = Shared::new();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.give(0))
        };
        shared.note.sleep();
        shared.receive(0);
        other.join().unwrap();
    });
}

/// A sleeper whose deadline passes at once, and which then sleeps without one.
fn deadline() {
    check(|| {
        let shared = Shared::new();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.give(0))
        };
        if !shared.note.sleep_until(Instant::now()) {
            shared.note.sleep();
        }
        shared.receive(0);
        other.join().unwrap();
    });
}

/// Two threads that wake each other in turn on reused notes.
fn ping_pong() {
    check(|| {
        let notes = Arc::new((Note::new(), Note::new()));
        let other = {
            let notes = Arc::clone(&notes);
            thread::spawn(move || {
                for _ in 0..2 {
                    notes.0.sleep();
                    notes.1.wake();
                }
            })
        };
        for _ in 0..2 {
            notes.0.wake();
            notes.1.sleep();
        }
        other.join().unwrap();
    });
}

#[test]
fn note_holds() {
    one_token();
    two_wakers();
    deadline();
    ping_pong();
}

#[cfg(gosched_mutants)]
mod mutants {
    use crate::model::is_caught;

    #[test]
    fn note_mutant_wake_without_store_is_caught() {
        is_caught("note.wake_without_store", super::one_token);
    }

    #[test]
    fn note_mutant_wake_without_call_is_caught() {
        is_caught("note.wake_without_call", super::one_token);
    }

    #[test]
    fn note_mutant_wake_relaxed_is_caught() {
        is_caught("note.wake_relaxed", super::one_token);
    }

    #[test]
    fn note_mutant_sleep_without_check_is_caught() {
        is_caught("note.sleep_without_check", super::one_token);
    }

    #[test]
    fn note_mutant_take_by_store_is_caught() {
        is_caught("note.take_by_store", super::two_wakers);
    }

    #[test]
    fn note_mutant_withdraw_by_store_is_caught() {
        is_caught("note.withdraw_by_store", super::deadline);
    }
}
