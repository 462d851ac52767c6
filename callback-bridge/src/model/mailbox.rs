//! Mailboxes under loom: an item is received once, whoever stands still meanwhile, and a receiver
//! that sleeps is woken, through the bell, too.
//!
//! # Safety
//!
//! The models' main thread is the one receiver.
#![expect(unsafe_code, reason = "the one receiver of a queue")]

use crate::mailbox::bell::{Bell, Hears, Ringer};
use crate::mailbox::queue::{Posted, Queue};
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{
    AtomicBool, AtomicU32, Ordering, loom, mutated, switch_on, thread,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A queue, and the note that its receiver sleeps on.
struct Mail {
    queue: Queue<u32>,
    note: Note,
}

/// Leaked: a failing model unwinds through the values it owns, and loom's own destructors abort
/// there.
fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl Mail {
    fn new(capacity: usize) -> &'static Self {
        leaked(Self { queue: Queue::new(capacity), note: Note::new() })
    }

    /// True if the item was posted.
    fn post(&self, item: u32) -> bool {
        match self.queue.post(item) {
            Ok(Posted::Awaited) if !mutated("mail.no_ring") => self.note.wake(),
            Ok(_) => {}
            Err(returned) => {
                assert_eq!(returned, item);
                return false;
            }
        }
        true
    }

    fn try_recv(&self) -> Option<u32> {
        // SAFETY: called by the main thread alone.
        unsafe { self.queue.receive() }
    }

    fn recv(&self) -> u32 {
        loop {
            if let Some(item) = self.try_recv() {
                return item;
            }
            // SAFETY: as above.
            if unsafe { self.queue.await_post() } {
                self.note.sleep();
            }
        }
    }

    fn rest(&self) -> Vec<u32> {
        std::iter::from_fn(|| self.try_recv()).collect()
    }
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Two post, and the receiver sleeps for what has not come.
fn two_posters_and_a_sleeper() {
    check(3, || {
        let mail = Mail::new(2);
        let posters = [1, 2].map(|item| thread::spawn(move || assert!(mail.post(item))));
        assert_eq!(mail.recv() + mail.recv(), 3);
        assert_eq!(mail.try_recv(), None);
        posters.into_iter().for_each(|poster| poster.join().expect("joined"));
    });
}

/// One slot, which is used again: what did not fit came back to its poster.
fn a_full_mailbox() {
    check(3, || {
        let mail = Mail::new(1);
        let poster = thread::spawn(move || (1..=2).filter(|&item| mail.post(item)).collect());
        let mut received = vec![mail.recv()];
        received.extend(mail.try_recv());
        let posted: Vec<u32> = poster.join().expect("joined");
        received.extend(mail.rest());
        assert_eq!(received, posted);
    });
}

/// A poster stands still between its look at the free list and its exchange, while slots go around.
/// The main thread posts, too, as a handler does that interrupted the poster.
fn a_late_poster() {
    check(3, || {
        let mail = Mail::new(3);
        let late = thread::spawn(move || mail.post(9));
        assert!(mail.post(1));
        assert!(mail.post(2));
        let mut received = vec![mail.try_recv().expect("posted")];
        let third = mail.post(3);
        assert!(late.join().expect("joined"), "three fit");
        received.extend(mail.rest());
        received.sort_unstable();
        assert_eq!(received, if third { vec![1, 2, 3, 9] } else { vec![1, 2, 9] });
    });
}

impl Hears for Note {
    fn hear(&self) {
        self.wake();
    }
}

/// One rings twice for the same receiver, and the bell's thread wakes it.
fn a_bell() {
    check(2, || {
        let bell: &Bell<Note> = leaked(Bell::new());
        let ringer = leaked(Ringer::new(Note::new()));
        let posts = leaked(AtomicU32::new(0));
        let over = leaked(AtomicBool::new(false));
        let hearing = thread::spawn(|| {
            while !over.load(Ordering::Relaxed) {
                bell.answer();
                bell.sleep();
            }
        });
        let poster = thread::spawn(|| {
            for _ in 0..2 {
                posts.fetch_add(1, Ordering::Relaxed);
                bell.ring(ringer);
            }
        });
        while posts.load(Ordering::Relaxed) != 2 {
            ringer.receiver.sleep();
        }
        poster.join().expect("joined");
        over.store(true, Ordering::Relaxed);
        bell.wake();
        hearing.join().expect("joined");
        bell.answer();
        assert_eq!(Arc::strong_count(ringer), 1);
    });
}

/// Two ring for different receivers at the same time: both are on the list.
fn a_bell_for_two() {
    check(2, || {
        let bell: &Bell<Note> = leaked(Bell::new());
        let ringers = leaked([Ringer::new(Note::new()), Ringer::new(Note::new())]);
        let other = thread::spawn(|| bell.ring(&ringers[1]));
        bell.ring(&ringers[0]);
        bell.answer();
        ringers[0].receiver.sleep();
        other.join().expect("joined");
        bell.answer();
        ringers[1].receiver.sleep();
        assert!(ringers.iter().all(|ringer| Arc::strong_count(ringer) == 1));
    });
}

fn catches(mutant: &'static str, model: fn()) {
    switch_on(mutant);
    let outcome = catch_unwind(AssertUnwindSafe(model));
    switch_on("");
    assert!(outcome.is_err(), "{mutant} went unnoticed");
}

#[test]
fn mailbox_holds() {
    two_posters_and_a_sleeper();
}

#[test]
fn mailbox_that_is_full_holds() {
    a_full_mailbox();
}

#[test]
fn mailbox_with_a_late_poster_holds() {
    a_late_poster();
}

#[test]
fn mailbox_bell_holds() {
    a_bell();
    a_bell_for_two();
}

#[test]
fn mailbox_mutant_put_posted_relaxed_is_caught() {
    catches("mail.put_posted_relaxed", two_posters_and_a_sleeper);
}

#[test]
fn mailbox_mutant_receive_relaxed_is_caught() {
    catches("mail.receive_relaxed", two_posters_and_a_sleeper);
}

#[test]
fn mailbox_mutant_await_by_store_is_caught() {
    catches("mail.await_by_store", two_posters_and_a_sleeper);
}

#[test]
fn mailbox_mutant_no_ring_is_caught() {
    catches("mail.no_ring", two_posters_and_a_sleeper);
}

#[test]
fn mailbox_mutant_take_free_relaxed_is_caught() {
    catches("mail.take_free_relaxed", a_full_mailbox);
}

#[test]
fn mailbox_mutant_give_back_relaxed_is_caught() {
    catches("mail.give_back_relaxed", a_full_mailbox);
}

#[test]
fn mailbox_mutant_tag_stays_is_caught() {
    catches("mail.tag_stays", a_late_poster);
}

#[test]
fn mailbox_mutant_bell_hear_first_is_caught() {
    catches("bell.hear_first", a_bell);
}

#[test]
fn mailbox_mutant_bell_no_wake_is_caught() {
    catches("bell.no_wake", a_bell);
}
