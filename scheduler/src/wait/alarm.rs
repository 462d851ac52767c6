//! Waking futures when it is time.
//!
//! A goroutine that waits until a moment is woken by an M. A future is polled by somebody's
//! executor, and all that there is to wake is its waker: that executor's code, which may panic,
//! take a lock or wait, and so must run on no M. One thread of the process calls wakers when their
//! time has come, and does nothing else. It is made when the first one is needed, and sleeps
//! without a timeout when there is none.
//!
//! The thread sleeps until the first of the heap, as it last saw it. Whoever puts in what is due
//! before all others wakes it, after that; the note keeps a wake-up that comes while the thread
//! still looks. Taking out wakes nobody: the thread wakes up once for nothing.
//!
//! Rejected: a goroutine for each future that waits. It would need a runtime, which somebody's
//! executor is not in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::time::Instant;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::clock::{to_instant, to_ns};
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::mutated;
use gosched_runtime_sys::thread::spawn_thread;

use crate::ds::heap::TimerId;
use crate::ds::timers::{NEVER, Timers};

pub(crate) struct WakerTimers {
    timers: Timers<Waker>,
    note: Note,
    /// Its thread is there, or being made.
    runs: AtomicBool,
}

fn clock() -> &'static WakerTimers {
    static CLOCK: OnceLock<WakerTimers> = OnceLock::new();
    CLOCK.get_or_init(WakerTimers::new)
}

/// A waker that is called at a certain time, unless this is dropped before.
#[derive(Debug)]
pub(crate) struct Alarm(Option<TimerId>);

impl Alarm {
    /// Has `waker` called at `at`. Where there is no memory or no thread for it, at once: its
    /// future is then polled again and again, which is dear, and right.
    pub(crate) fn set(at: Instant, waker: Waker) -> Self {
        let (clock, at) = (clock(), to_ns(at));
        let Some(ticket) = clock.add(at, waker.clone()) else {
            waker.wake();
            return Self(None);
        };
        if !clock.runs.swap(true, Relaxed) {
            clock.start();
        }
        Self(Some(ticket))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(ticket) = self.0.take() {
            let _was_called = !clock().timers.remove(ticket);
        }
    }
}

impl WakerTimers {
    pub(crate) fn new() -> Self {
        Self { timers: Timers::new(), note: Note::new(), runs: AtomicBool::new(false) }
    }

    /// Has `waker` called at `at`, by the thread. None if there is no memory for it.
    pub(crate) fn add(&self, at: u64, waker: Waker) -> Option<TimerId> {
        if mutated("alarm.wakes_first") {
            self.note.wake();
            return self.timers.add(at, waker);
        }
        let ticket = self.timers.add(at, waker)?;
        if self.timers.first() >= at {
            self.note.wake();
        }
        Some(ticket)
    }

    fn start(&'static self) {
        let made = spawn_thread("gosched-clock".to_owned(), move || self.run());
        if made.is_err() {
            self.runs.store(false, Relaxed);
            // Others may have relied on it meanwhile.
            self.call_due(NEVER);
        }
    }

    fn run(&self) -> ! {
        loop {
            self.call_due(monotonic_ns());
            self.sleep();
        }
    }

    /// Sleeps until the next one is due, or somebody puts one in before it.
    pub(crate) fn sleep(&self) {
        match to_instant(self.timers.first()) {
            Some(first) => {
                let _either = self.note.sleep_until(first);
            }
            // None, or later than the clock can say.
            None => self.note.sleep(),
        }
    }

    /// Calls the wakers that are due, without the lock.
    pub(crate) fn call_due(&self, now: u64) {
        while let Some(waker) = self.timers.pop_due(now, |waker| waker) {
            // The panic has been reported where it arose. It is that executor's, and the others'
            // wakers are still to be called.
            let _called = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;
    use std::thread;

    #[derive(Default)]
    struct Calls(AtomicU32);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker of a test"));
        }
    }

    fn until_called(calls: &Calls, times: u32) {
        while calls.0.load(SeqCst) < times {
            thread::yield_now();
        }
    }

    #[test]
    fn wakers_are_called_in_time_and_once() {
        let calls = Arc::new(Calls::default());
        let began = Instant::now();
        let far = Alarm::set(began + Duration::from_secs(3600), calls.clone().into());
        let near = Alarm::set(began + Duration::from_millis(5), calls.clone().into());
        until_called(&calls, 1);
        assert!(began.elapsed() >= Duration::from_millis(5));
        drop((far, near));
        let again = Alarm::set(Instant::now(), calls.clone().into());
        until_called(&calls, 2);
        drop(again);
        // The one that was called may be about to go.
        while Arc::strong_count(&calls) > 1 {
            thread::yield_now();
        }
        assert_eq!(calls.0.load(SeqCst), 2, "the far one was not called");
    }

    #[test]
    fn a_waker_that_panics_spoils_no_other() {
        let calls = Arc::new(Calls::default());
        let _panics = Alarm::set(Instant::now(), Arc::new(Panics).into());
        let _called = Alarm::set(Instant::now() + Duration::from_millis(1), calls.clone().into());
        until_called(&calls, 1);
    }
}
