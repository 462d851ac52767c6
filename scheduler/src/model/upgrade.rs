//! Readers that become the writer, against readers that leave, writers and their own giving up. The
//! right to do so is the models': one thread has it.
//!
//! # Safety
//!
//! The futures here are pinned.

#![expect(unsafe_code, reason = "polls with the node of a pinned future")]

use gosched_runtime_sys::sync::primitive::thread;
use std::mem::ManuallyDrop;
use std::task::Poll;
use std::time::Instant;

use super::executor::Executor;
use super::guarded::Guarded;
use super::models;
use crate::sync::raw::rwlock::RawRwLock;
use crate::testing::TestWaiter;
use crate::wait::polled::PolledNode;

type Lock = Guarded<RawRwLock<TestWaiter>>;

fn ended<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("its asserts hold")
}

fn writes(shared: &Lock) {
    let waiter = TestWaiter::new();
    assert!(shared.lock.write(None, || waiter.begin()).is_ok());
    shared.add();
    shared.lock.unlock_write();
}

fn reads(shared: &Lock) {
    let waiter = TestWaiter::new();
    assert!(shared.lock.read(None, || waiter.begin()).is_ok());
    shared.count();
    shared.lock.unlock_read();
}

fn free(shared: &Lock) {
    assert!(shared.lock.try_write(), "somebody still has it");
}

/// A reader upgrades beside one that leaves and a writer that waits.
fn upgrades() {
    let shared = Guarded::shared(RawRwLock::new());
    assert!(shared.lock.try_read() && shared.lock.try_read());
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.lock.unlock_read())
    };
    let writer = {
        let shared = shared.clone();
        thread::spawn(move || writes(&shared))
    };
    let waiter = TestWaiter::new();
    assert!(shared.lock.upgrade(None, || waiter.begin()).is_ok());
    shared.add();
    shared.lock.unlock_write();
    ended(reader);
    ended(writer);
    free(&shared);
}

/// An upgrade gives up at its deadline, or has the lock. A reader that came meanwhile comes in.
fn gives_up() {
    let shared = Guarded::shared(RawRwLock::new());
    assert!(shared.lock.try_read() && shared.lock.try_read());
    let others = [reads as fn(&Lock), |shared| shared.lock.unlock_read()].map(|does| {
        let shared = shared.clone();
        thread::spawn(move || does(&shared))
    });
    let waiter = TestWaiter::new();
    match shared.lock.upgrade(Some(Instant::now()), || waiter.begin()) {
        Ok(()) => {
            shared.add();
            shared.lock.unlock_write();
        }
        Err(_timed_out) => {
            shared.count();
            shared.lock.unlock_read();
        }
    }
    others.into_iter().for_each(ended);
    free(&shared);
}

/// A reader that was kept out comes in when the upgrade is given up, though nobody leaves.
fn kept_out() {
    let shared = Guarded::shared(RawRwLock::new());
    assert!(shared.lock.try_read() && shared.lock.try_read());
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || reads(&shared))
    };
    let waiter = TestWaiter::new();
    let upgraded = shared.lock.upgrade(Some(Instant::now()), || waiter.begin());
    assert!(upgraded.is_err(), "somebody reads for as long");
    ended(reader);
    shared.lock.unlock_read();
    shared.lock.unlock_read();
    free(&shared);
}

/// A future upgrades, or is dropped after its first poll, while the other reader leaves.
fn polled(dropped: bool) {
    let shared = Guarded::shared(RawRwLock::new());
    assert!(shared.lock.try_read() && shared.lock.try_read());
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.lock.unlock_read())
    };
    let node = ManuallyDrop::new(Box::pin(PolledNode::new(None)));
    // SAFETY: pinned, and left below unless it has the lock.
    let poll = |waker| match unsafe { shared.lock.poll_upgrade(&node, waker) } {
        true => Poll::Ready(()),
        false => Poll::Pending,
    };
    let executor = Executor::new();
    let early = dropped.then(|| poll(executor.waker()));
    let has_lock = match early {
        Some(Poll::Ready(())) => true,
        Some(Poll::Pending) => shared.lock.leave_upgrade(&node),
        None => {
            executor.block_on(poll);
            true
        }
    };
    if has_lock {
        shared.add();
        shared.lock.unlock_write();
    } else {
        shared.lock.unlock_read();
    }
    ended(reader);
    free(&shared);
}

fn future() {
    polled(false);
}

fn dropped_future() {
    polled(true);
}

models! {
    holds upgrades_hold = upgrades within 2 preemptions;
    holds gives_up_holds = gives_up within 2 preemptions;
    holds kept_out_holds = kept_out within 3 preemptions;
    holds future_holds = future within 3 preemptions;
    holds dropped_future_holds = dropped_future within 3 preemptions;
    catches an_upgrade_that_just_goes = "rwlock.upgrade_just_goes" in kept_out
        within 3 preemptions;
    catches a_reader_that_forgets_the_upgrade = "rwlock.forget_queue" in upgrades
        within 2 preemptions;
}
