//! A waiter for tests that need more than plain threads can do: it can be cancelled. It is built
//! from the goroutines' own park word and a futex on which its thread sleeps when it is switched
//! out. The loom models run it too.
//!
//! # Safety
//!
//! The only promise is that of [`Park`]: `park_until` does not unwind.

#![expect(unsafe_code, reason = "`Park` is an unsafe trait")]

use gosched_runtime_sys::sync::primitive::{Futex, Ordering, thread::yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
// Not the models' `Arc`: a model that fails unwinds its threads, and loom's `Arc` aborts when it is
// dropped then.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::chan::raw::Channel;
use crate::ds::parker::{Claim, Commit, Parker};
use crate::join::Cancels;
use crate::wait::park::Park;
use crate::wait::token::EndsWaits;
use crate::wait::waiter::Unpark;

/// A waiter that one thread uses.
#[derive(Clone)]
pub(crate) struct TestWaiter(Arc<Inner>);

struct Inner {
    parker: Parker,
    /// 1: made runnable; 0: not.
    run: Futex,
}

/// The waiters' clock: each look at it moves it on by a tick. Not a model's atomic, because it is
/// no part of what is explored.
pub(crate) static CLOCK: AtomicU64 = AtomicU64::new(0);
/// The ns by which a look moves [`CLOCK`] on.
pub(crate) static TICK: AtomicU64 = AtomicU64::new(0);

/// What a cancelled waiter unwinds with.
struct Withdrawn;

impl TestWaiter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { parker: Parker::new(), run: Futex::new(0) }))
    }

    /// Begins a wait.
    pub(crate) fn begin(&self) -> &Self {
        self.0.parker.prepare();
        self
    }

    /// Cancels the wait that it is in, or the next one.
    pub(crate) fn cancel(&self) {
        if self.0.parker.cancel() == Claim::Won {
            self.run();
        }
    }

    /// Makes the park word that of a new owner.
    pub(crate) fn reset(&self) {
        self.0.parker.reset();
    }

    fn run(&self) {
        // ORDERING[testing.run]: pairs with the swap in `park_until`: all that the claimer did
        // comes before. A swap here as well: loom lets an exchange miss a plain store of another
        // thread.
        self.0.run.word.swap(1, Ordering::Release);
        self.0.run.wake();
    }

    /// Sends; None if it was cancelled.
    pub(crate) fn send<T>(&self, channel: &Channel<T, TestWaiter>, value: T) -> Option<bool> {
        withdrawn(|| channel.send_until(value, None, || self.begin()).is_ok())
    }

    /// Receives; None if it was cancelled.
    pub(crate) fn recv<T>(&self, channel: &Channel<T, TestWaiter>) -> Option<Option<T>> {
        withdrawn(|| channel.recv_until(None, || self.begin()).ok())
    }
}

fn withdrawn<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Withdrawn>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

impl Cancels for TestWaiter {
    unsafe fn cancel(self) -> Option<TestWaiter> {
        (self.0.parker.cancel() == Claim::Won).then_some(self)
    }
}

impl EndsWaits for TestWaiter {
    unsafe fn end_wait(self) -> Option<TestWaiter> {
        (self.0.parker.cancel() == Claim::Won).then_some(self)
    }
}

impl Unpark for TestWaiter {
    type Wake = Option<TestWaiter>;

    fn notify(self) -> Option<TestWaiter> {
        (self.0.parker.notify() == Claim::Won).then_some(self)
    }

    fn wake(wake: Option<TestWaiter>) {
        if let Some(waiter) = wake {
            waiter.run();
        }
    }

    fn now_ns() -> u64 {
        CLOCK.fetch_add(TICK.load(Relaxed), Relaxed)
    }
}

// SAFETY: no step of `park_until` panics.
unsafe impl Park for &TestWaiter {
    type Target = TestWaiter;

    fn renew(&self) {
        self.0.parker.prepare();
    }

    fn target(&self) -> TestWaiter {
        TestWaiter::clone(self)
    }

    fn park_until(&self, deadline: Option<Instant>) {
        if deadline.is_some() {
            // As a futex does in a model: it only matters which is faster, the waker or the
            // withdrawal.
            return yield_now();
        }
        if self.0.parker.commit(true) == Commit::Refused {
            return;
        }
        // ORDERING[testing.run]: pairs with the swap in `run`.
        while self.0.run.word.swap(0, Ordering::Acquire) == 0 {
            self.0.run.wait(0);
        }
    }

    fn expired(&self, _deadline: Instant) -> bool {
        true
    }

    fn cancelled(&self) -> bool {
        self.0.parker.cancelled()
    }

    fn raise(&self) -> ! {
        resume_unwind(Box::new(Withdrawn))
    }
}
