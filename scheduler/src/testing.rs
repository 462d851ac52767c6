//! Whoever waits in a test that needs more than plain threads can do: be cancelled. Built from the
//! goroutines' own park word, and a futex for "switched out"; the loom models run it too.
//!
//! # Safety
//!
//! The one promise is that of [`Parks`]: `park_until` does not unwind.

#![expect(unsafe_code, reason = "`Parks` is an unsafe trait")]

use gosched_runtime_sys::primitive::{Futex, Ordering, thread::yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
// Not the models' `Arc`: a model that fails unwinds its threads, and loom's aborts when it is
// dropped then.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::cancel::EndsWaits;
use crate::chan::raw::Channel;
use crate::ds::parker::{Commit, Notify, Parker};
use crate::join::Cancels;
use crate::wait::park::Parks;
use crate::wait::waiter::Rouse;

/// One that waits, for one thread.
#[derive(Clone)]
pub(crate) struct Seat(Arc<Inner>);

struct Inner {
    parker: Parker,
    /// 1: made runnable.
    run: Futex,
}

/// The seats' clock: each look at it moves it on by a tick. Not a model's atomic: it is no part of
/// what is explored.
pub(crate) static CLOCK: AtomicU64 = AtomicU64::new(0);
/// See [`CLOCK`].
pub(crate) static TICK: AtomicU64 = AtomicU64::new(0);

/// What a cancelled seat unwinds with.
struct Withdrawn;

impl Seat {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { parker: Parker::new(), run: Futex::new(0) }))
    }

    /// Begins a wait.
    pub(crate) fn sit(&self) -> &Self {
        self.0.parker.prepare();
        self
    }

    /// Ends what it waits for or will wait for.
    pub(crate) fn cancel(&self) {
        if self.0.parker.cancel() == Notify::Owner {
            self.run();
        }
    }

    /// It ends, and becomes another's.
    pub(crate) fn reuse(&self) {
        self.0.parker.reset();
    }

    fn run(&self) {
        // ORDERING[seat.run]: pairs with the swap in `park_until`: who claimed the seat did all it
        // does before. A swap here as well: loom lets an exchange miss a plain store of another
        // thread.
        self.0.run.word.swap(1, Ordering::Release);
        self.0.run.wake();
    }

    /// Sends; None if it was cancelled.
    pub(crate) fn send<T>(&self, channel: &Channel<T, Seat>, value: T) -> Option<bool> {
        withdrawn(|| channel.send(value, None, || self.sit()).is_ok())
    }

    /// Receives; None if it was cancelled.
    pub(crate) fn recv<T>(&self, channel: &Channel<T, Seat>) -> Option<Option<T>> {
        withdrawn(|| channel.recv(None, || self.sit()).ok())
    }
}

fn withdrawn<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Withdrawn>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

impl Cancels for Seat {
    unsafe fn cancel(self) -> Option<Seat> {
        (self.0.parker.cancel() == Notify::Owner).then_some(self)
    }
}

impl EndsWaits for Seat {
    unsafe fn end_wait(self) -> Option<Seat> {
        (self.0.parker.cancel() == Notify::Owner).then_some(self)
    }
}

impl Rouse for Seat {
    type Wake = Option<Seat>;

    fn notify(self) -> Option<Seat> {
        (self.0.parker.notify() == Notify::Owner).then_some(self)
    }

    fn wake(wake: Option<Seat>) {
        if let Some(seat) = wake {
            seat.run();
        }
    }

    fn now_ns() -> u64 {
        CLOCK.fetch_add(TICK.load(Relaxed), Relaxed)
    }
}

// SAFETY: no step of `park_until` panics.
unsafe impl Parks for &Seat {
    type Target = Seat;

    fn renew(&self) {
        self.0.parker.prepare();
    }

    fn target(&self) -> Seat {
        Seat::clone(self)
    }

    fn park_until(&self, deadline: Option<Instant>) {
        if deadline.is_some() {
            // As of a futex in a model: what matters is who is faster, the waker or the withdrawal.
            return yield_now();
        }
        if self.0.parker.commit(true) == Commit::Refused {
            return;
        }
        // ORDERING[seat.run]: pairs with the swap in `run`.
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
