//! The executor that polls futures in the models: a thread that sleeps until its waker is called.

use gosched_runtime_sys::sync::primitive::{Futex, Ordering};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

pub(super) struct Executor(Futex);

impl Wake for Executor {
    fn wake(self: Arc<Self>) {
        self.0.word.swap(1, Ordering::Release);
        self.0.wake();
    }
}

impl Executor {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Futex::new(0)))
    }

    /// Returns its waker.
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }

    /// Polls until the future is ready, once for each wake-up.
    pub(super) fn block_on<R>(self: &Arc<Self>, mut poll: impl FnMut(Waker) -> Poll<R>) -> R {
        loop {
            if let Poll::Ready(result) = poll(self.waker()) {
                return result;
            }
            self.sleep();
        }
    }

    /// Sleeps until it is woken.
    pub(super) fn sleep(&self) {
        while self.0.word.swap(0, Ordering::Acquire) == 0 {
            self.0.wait(0);
        }
    }
}
