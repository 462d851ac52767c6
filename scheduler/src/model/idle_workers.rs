//! A pool of helpers that shrinks, between threads that want work done and the thread that closes
//! it.
//!
//! Each piece of work is done once, by some thread; a helper is owed at most one message at a time;
//! and a closed pool keeps no helper. A helper's time limit is over at once.

use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, thread};

use super::models;
use crate::ds::idle_workers::{IdleWorkers, Worker};
use crate::ds::letterbox::Letterbox;

#[derive(Clone, Copy, PartialEq)]
enum Message {
    Work,
    End,
}

struct World {
    /// A helper is the number of its letterbox.
    workers: IdleWorkers<usize>,
    letterboxes: [Letterbox<Message>; 2],
    done: AtomicU32,
}

impl World {
    /// One helper, which is about to have nothing to do; no more are allowed.
    fn with_a_helper() -> Arc<Self> {
        let workers = IdleWorkers::new(1);
        let letterboxes = [Letterbox::new(), Letterbox::new()];
        assert!(matches!(workers.claim(), Worker::New));
        Arc::new(Self { workers, letterboxes, done: AtomicU32::new(0) })
    }

    fn send(&self, helper: usize, message: Message) {
        // It asserts that the one before was taken: a helper is owed one message at a time.
        self.letterboxes[helper].put(message);
    }

    fn receive(&self, helper: usize) -> Message {
        self.letterboxes[helper].take()
    }

    fn work(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Has a piece of work done. A helper that is to be made for it is the calling thread.
    fn submit(&self, letterbox: usize) {
        match self.workers.claim() {
            Worker::Idle(helper) => self.send(helper, Message::Work),
            Worker::New => {
                self.work();
                self.help(letterbox, true);
            }
            Worker::None => self.work(),
        }
    }

    /// The life of a helper that has just done something. A `restless` helper wants to leave as
    /// soon as it waits.
    fn help(&self, letterbox: usize, restless: bool) {
        while self.workers.enlist(letterbox) {
            if restless && self.workers.leave(|helper| *helper == letterbox) {
                return;
            }
            match self.receive(letterbox) {
                Message::Work => self.work(),
                Message::End => return,
            }
        }
    }
}

fn beside(world: &Arc<World>, f: impl FnOnce(&World) + Send + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// A helper becomes idle and leaves, while two pieces of work come.
fn shrinks() {
    let world = World::with_a_helper();
    let helper = beside(&world, |world| world.help(0, true));
    let other = beside(&world, |world| world.submit(1));
    match world.workers.claim() {
        Worker::Idle(helper) => world.send(helper, Message::Work),
        // No thread can be made, or none may.
        Worker::New => {
            world.workers.forget();
            world.work();
        }
        Worker::None => world.work(),
    }
    helper.join().unwrap();
    other.join().unwrap();
    assert_eq!(world.done.load(Ordering::Relaxed), 2, "each piece of work is done");
}

/// The pool is closed while a helper comes back from its work.
fn closes() {
    let world = World::with_a_helper();
    let helper = beside(&world, |world| world.help(0, false));
    for waiting in world.workers.close() {
        world.send(waiting, Message::End);
    }
    helper.join().unwrap();
    assert!(matches!(world.workers.claim(), Worker::None));
}

models! {
    holds a_pool_that_shrinks = shrinks within 3 preemptions;
    holds a_pool_that_closes = closes;
    catches a_wake_before_the_message = "letterbox.wakes_first" in closes;
    catches one_that_leaves_although_it_was_chosen = "idle_workers.leaves_when_chosen"
        in shrinks within 3 preemptions;
    catches a_close_that_admits_those_who_come_back = "idle_workers.close_forgets_to_shut"
        in closes;
}
