//! A newcomer on its way to an M's inbox, while the M's goroutine locks the thread.
//!
//! The goroutine then waits in place: the inbox is looked at no more. So a newcomer that is in the
//! inbox at the end would never begin.

use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{AtomicBool, Ordering::Relaxed, mutated, thread};

use super::models;
use crate::gmp::thread_locks::ThreadLocks;

/// Nothing here orders the inbox but the door.
struct World {
    locks: ThreadLocks,
    inbox: AtomicBool,
}

fn newcomer_against_lock() {
    let world = Arc::new(World { locks: ThreadLocks::new(), inbox: AtomicBool::new(false) });
    let theirs = world.clone();
    let sender = thread::spawn(move || {
        let newcomer = theirs.locks.admit((), |()| theirs.inbox.store(true, Relaxed));
        newcomer.is_ok()
    });
    if mutated("thread_locks.rules.looks_first") {
        world.inbox.swap(false, Relaxed);
    }
    assert!(world.locks.lock(), "it is the first");
    let sent_away = !mutated("thread_locks.rules.looks_first") && world.inbox.swap(false, Relaxed);
    let sent = sender.join().expect("no panic");
    assert!(!world.inbox.load(Relaxed), "a newcomer waits behind the lock");
    assert_eq!(sent, sent_away, "it begins in one place");
}

models! {
    holds no_newcomer_waits_behind_a_lock = newcomer_against_lock;
    catches a_door_left_open = "thread_locks.door_left_open" in newcomer_against_lock;
    catches a_look_before_the_lock = "thread_locks.rules.looks_first" in newcomer_against_lock;
}
