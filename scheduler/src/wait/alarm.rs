//! Calling the wakers of futures when their deadline comes.
//!
//! An M wakes a goroutine that waits until a deadline. A future is polled by somebody's executor,
//! and to wake it is to call its waker. That is the executor's code: it may panic, take a lock or
//! wait, so it must run on no M. One thread of the process calls wakers when their time has come,
//! and does nothing else. It is made when the first one is needed, by whom its caller says, and
//! sleeps without a timeout when there is none. It stays when all runtimes are gone.
//!
//! The thread sleeps until the first deadline of the heap, as it last saw it. A caller that puts in
//! an earlier deadline than all others wakes the thread after that. The note keeps a wake-up that
//! comes while the thread still looks. A removal wakes nobody: the thread then wakes up once for
//! nothing.
//!
//! A future may be polled often before its time comes, and each time with another waker. So the
//! waker of an alarm is replaced where it lies, and the alarm keeps its place in the heap. If the
//! thread has taken the waker out, it may be another one than that of this poll: the alarm is set
//! anew, and called at once if its time has come.
//!
//! Rejected: to keep a copy of the waker beside the alarm, and leave the alarm alone if the next
//! poll has the same one. An alarm that was called too early, because there is no thread, would be
//! taken for one that is still to be called.
//!
//! Rejected: a goroutine for each future that waits. It would need a runtime, and somebody's
//! executor is in none.

use std::cell::Cell;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::Instant;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::clock::{to_instant, to_ns};
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::mutated;

use crate::ds::heap::TimerId;
use crate::ds::timers::{NEVER, Timers};
use crate::proc::new_thread::make_for_process;
use crate::wait::owed::Panics;

/// The wakers by deadline, and the thread that calls them.
pub(crate) struct WakerTimers {
    timers: Timers<Waker>,
    note: Note,
    /// The thread is there, or being made.
    runs: AtomicBool,
}

fn waker_timers() -> &'static WakerTimers {
    static WAKER_TIMERS: OnceLock<WakerTimers> = OnceLock::new();
    WAKER_TIMERS.get_or_init(WakerTimers::new)
}

/// How to make a thread, of this name and with this main function.
pub(crate) type MakeThread = fn(String, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;

/// A waker that is called at a certain time, unless this is dropped before.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// On the monotonic clock.
    at: u64,
    timer: Option<TimerId>,
}

impl Alarm {
    /// Has `waker` called at `at`.
    ///
    /// If there is no memory or no thread for that, the waker is called at once: its future is then
    /// polled again and again, which is dear, and right.
    pub(crate) fn set(at: Instant, waker: Waker, make_thread: MakeThread) -> Self {
        Self::set_ns(to_ns(at), waker, make_thread)
    }

    fn set_ns(at: u64, waker: Waker, make_thread: MakeThread) -> Self {
        let timers = waker_timers();
        let Some(timer) = timers.add(at, waker.clone()) else {
            waker.wake();
            return Self { at, timer: None };
        };
        if !timers.runs.swap(true, Relaxed) {
            timers.start(make_thread);
        }
        Self { at, timer: Some(timer) }
    }

    /// As [`set`](Self::set), in the place of a future that is polled again: with another waker
    /// perhaps, or for another time.
    pub(crate) fn keep(
        place: &mut Option<Self>,
        at: Instant,
        waker: Waker,
        make_thread: MakeThread,
    ) {
        let at = to_ns(at);
        let before = place.take().filter(|alarm| alarm.at == at);
        let timer = before.and_then(|mut alarm| alarm.timer.take());
        let Some(timer) = timer else {
            *place = Some(Self::set_ns(at, waker, make_thread));
            return;
        };
        match waker_timers().replace(timer, waker) {
            Ok((timer, unused)) => {
                *place = Some(Self { at, timer: Some(timer) });
                // The executor's code: it may unwind.
                drop(unused);
            }
            Err(waker) => *place = Some(Self::set_ns(at, waker, make_thread)),
        }
    }
}

/// The alarm of a future. It has the waker of the last poll.
pub(crate) struct FutureAlarm(Cell<Option<Alarm>>);

impl FutureAlarm {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Has the future polled again at `at`.
    pub(crate) fn set(&self, at: Instant, cx: &Context<'_>) {
        let mut alarm = self.0.take();
        Alarm::keep(&mut alarm, at, cx.waker().clone(), make_for_process);
        self.0.set(alarm);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            // The waker's drop is the executor's code.
            let mut panics = Panics::none();
            panics.catch(|| _ = waker_timers().timers.remove(timer));
            panics.go_on();
        }
    }
}

impl WakerTimers {
    pub(crate) fn new() -> Self {
        Self { timers: Timers::new(), note: Note::new(), runs: AtomicBool::new(false) }
    }

    /// Has the thread call `waker` at `at`. Returns `None` if there is no memory for it.
    pub(crate) fn add(&self, at: u64, waker: Waker) -> Option<TimerId> {
        if mutated("alarm.wakes_first") {
            self.note.wake();
            return self.timers.add(at, waker);
        }
        let timer = self.timers.add(at, waker)?;
        if self.timers.first() >= at {
            self.note.wake();
        }
        Some(timer)
    }

    /// Has the thread call `waker` in place of the timer's. Returns the timer and the waker before;
    /// or, if that was taken out to be called, `waker` and no timer.
    pub(crate) fn replace(&self, timer: TimerId, waker: Waker) -> Result<(TimerId, Waker), Waker> {
        match self.timers.replace(&timer, waker) {
            Err(unused) if mutated("alarm.replaces_what_is_out") => Ok((timer, unused)),
            Ok(before) => Ok((timer, before)),
            Err(waker) => {
                let _it_is_out = self.timers.remove(timer);
                Err(waker)
            }
        }
    }

    fn start(&'static self, make_thread: MakeThread) {
        let made = make_thread("gosched-clock".to_owned(), Box::new(move || self.run()));
        if made.is_err() {
            self.runs.store(false, Relaxed);
            // Others may have relied on the thread meanwhile.
            self.call_due(NEVER);
        }
    }

    fn run(&self) -> ! {
        loop {
            self.call_due(monotonic_ns());
            self.sleep();
        }
    }

    /// Sleeps until the next deadline, or until an earlier one is put in.
    pub(crate) fn sleep(&self) {
        match to_instant(self.timers.first()) {
            Some(first) => {
                let _either = self.note.sleep_until(first);
            }
            // No deadline, or one later than the clock can say.
            None => self.note.sleep(),
        }
    }

    /// Calls the wakers that are due, without the lock.
    pub(crate) fn call_due(&self, now: u64) {
        while let Some(waker) = self.timers.pop_due(now, |waker| waker) {
            // A panic has been reported where it arose, in that executor's code. The wakers of
            // others are still to be called.
            let mut panics = Panics::none();
            panics.catch(|| waker.wake());
            panics.give_up();
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

    use gosched_runtime_sys::thread::spawn_thread;

    #[derive(Default)]
    struct Calls(AtomicU32);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    struct Unwinds;

    impl Wake for Unwinds {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new(Payload));
        }
    }

    struct Payload;

    impl Drop for Payload {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("a payload of a test"));
        }
    }

    fn set(at: Instant, waker: Waker) -> Alarm {
        Alarm::set(at, waker, spawn_thread)
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
        let far = set(began + Duration::from_secs(3600), calls.clone().into());
        let near = set(began + Duration::from_millis(5), calls.clone().into());
        until_called(&calls, 1);
        assert!(began.elapsed() >= Duration::from_millis(5));
        drop((far, near));
        let again = set(Instant::now(), calls.clone().into());
        until_called(&calls, 2);
        drop(again);
        // The waker that was called may not be dropped yet.
        while Arc::strong_count(&calls) > 1 {
            thread::yield_now();
        }
        assert_eq!(calls.0.load(SeqCst), 2, "the far one was not called");
    }

    #[test]
    fn the_waker_that_was_given_last_is_called() {
        let [first, second, third] = [(); 3].map(|()| Arc::new(Calls::default()));
        let keep = |place: &mut Option<Alarm>, at, calls: &Arc<Calls>| {
            Alarm::keep(place, at, calls.clone().into(), spawn_thread);
        };
        let far = Instant::now() + Duration::from_secs(3600);
        let mut place = None;
        keep(&mut place, far, &first);
        keep(&mut place, far, &second);
        assert_eq!(Arc::strong_count(&first), 1, "its waker was dropped");
        let near = Instant::now() + Duration::from_millis(2);
        keep(&mut place, near, &second);
        until_called(&second, 1);
        // The waker is out: another one is called at once.
        keep(&mut place, near, &third);
        until_called(&third, 1);
        assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (0, 1));
    }

    #[test]
    fn a_waker_that_panics_spoils_no_other() {
        let calls = Arc::new(Calls::default());
        let _panics = set(Instant::now(), Arc::new(Unwinds).into());
        let _called = set(Instant::now() + Duration::from_millis(1), calls.clone().into());
        until_called(&calls, 1);
    }
}
