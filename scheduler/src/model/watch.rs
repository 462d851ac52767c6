//! Versions of a value: a sender that changes it, and goes, against receivers that wait.
//!
//! # Safety
//!
//! The futures here are pinned.

#![expect(unsafe_code, reason = "polls what is pinned")]

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::thread;
use std::mem::ManuallyDrop;
use std::pin::Pin;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::executor::Executor;
use super::models;
use crate::chan::watch::versions::{Found, Seen, Versions};
use crate::testing::TestWaiter;
use crate::wait::polled::PolledNode;

/// A value, under a lock as that of a channel, and its versions.
struct Watched {
    value: Mutex<u32>,
    versions: Versions<TestWaiter>,
}

fn watched() -> (Arc<Watched>, Seen) {
    let (versions, seen) = Versions::new();
    (Arc::new(Watched { value: Mutex::new(0), versions }), seen)
}

impl Watched {
    fn set(&self, value: u32) {
        let mut guard = self.value.lock();
        *guard = value;
        let published = self.versions.publish();
        drop(guard);
        self.versions.tell(published).go_on();
    }
}

/// A future that waits for a later version.
struct Changing {
    watched: Arc<Watched>,
    seen: Seen,
    node: PolledNode<(), TestWaiter>,
}

impl Changing {
    /// Not dropped by a failed model, whose lock is gone then.
    fn new(watched: &Arc<Watched>, seen: Seen) -> ManuallyDrop<Pin<Box<Self>>> {
        let (watched, node) = (watched.clone(), PolledNode::new(None));
        ManuallyDrop::new(Box::pin(Self { watched, seen, node }))
    }

    fn poll(self: &Pin<Box<Self>>, waker: Waker) -> Poll<Found> {
        // SAFETY: pinned; `drop` leaves.
        match unsafe { self.watched.versions.poll(&self.node, &self.seen, waker) } {
            Found::Nothing => Poll::Pending,
            found => Poll::Ready(found),
        }
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.watched.versions.leave(&self.node);
    }
}

/// Sets the value twice on another thread, and goes.
fn sender(watched: &Arc<Watched>) -> thread::JoinHandle<()> {
    let watched = watched.clone();
    thread::spawn(move || {
        watched.set(1);
        watched.set(2);
        watched.versions.remove_sender();
    })
}

/// Waits for changes until the sender is gone. A change shows a value that was not there before,
/// and the last change the last value.
fn follow(watched: &Watched, mut changed: impl FnMut() -> Found) {
    let mut last = 0;
    loop {
        match changed() {
            Found::Later => {
                let value = *watched.value.lock();
                assert!(value > 0, "the version came with its value");
                last = value;
            }
            Found::Closed => break,
            Found::Nothing => unreachable!("it waits without a limit"),
        }
    }
    assert_eq!(last, 2, "the last value was seen");
    assert_eq!(watched.versions.waiting(), 0, "a node was left behind");
}

fn parked() {
    let (watched, seen) = watched();
    let (sender, waiter) = (sender(&watched), TestWaiter::new());
    follow(&watched, || watched.versions.wait(&seen, None, || waiter.begin()));
    sender.join().expect("its asserts hold");
}

fn polled() {
    let (watched, seen) = watched();
    let (sender, executor) = (sender(&watched), Executor::new());
    let future = Changing::new(&watched, seen);
    follow(&watched, || executor.block_on(|waker| future.poll(waker)));
    sender.join().expect("its asserts hold");
    drop(ManuallyDrop::into_inner(future));
}

/// A future that waits goes, and a receiver that parks has the change.
fn one_goes() {
    let (watched, seen) = watched();
    let future = Changing::new(&watched, watched.versions.add_receiver());
    assert!(future.poll(Executor::new().waker()).is_pending());
    let theirs = watched.clone();
    let sender = thread::spawn(move || theirs.set(2));
    drop(ManuallyDrop::into_inner(future));
    let waiter = TestWaiter::new();
    assert_eq!(watched.versions.wait(&seen, None, || waiter.begin()), Found::Later);
    assert_eq!(*watched.value.lock(), 2);
    sender.join().expect("its asserts hold");
    assert_eq!(watched.versions.waiting(), 0, "a node was left behind");
}

/// A receiver whose time is over has seen the change, or finds it later.
fn out_of_time() {
    let (watched, seen) = watched();
    let theirs = watched.clone();
    let sender = thread::spawn(move || theirs.set(2));
    let waiter = TestWaiter::new();
    let in_time = watched.versions.wait(&seen, Some(std::time::Instant::now()), || waiter.begin());
    sender.join().expect("its asserts hold");
    let later = watched.versions.look(&seen);
    assert!(in_time != later && [in_time, later].contains(&Found::Later), "it came once");
}

models! {
    holds parked_holds = parked within 3 preemptions;
    holds polled_holds = polled within 3 preemptions;
    holds one_goes_holds = one_goes within 3 preemptions;
    holds out_of_time_holds = out_of_time within 3 preemptions;
    catches a_version_that_is_marked_first = "watch.marks_first" in one_goes within 3 preemptions;
    catches a_sender_that_goes_in_silence = "watch.goes_in_silence"
        in polled within 3 preemptions;
}
