//! may: its coroutines, which resume on any thread, its channels, which have no limit, and its
//! mutex.
//!
//! # Safety
//!
//! may's promise is that of the migratory mode: the workloads hold nothing bound to a thread, and
//! their stacks are deep enough.
#![expect(unsafe_code, reason = "may's spawn is unsafe")]

use std::time::{Duration, Instant};

use may::coroutine::{self, JoinHandle};
use may::sync::Mutex;
use may::sync::mpsc::{self, Receiver, Sender};

use super::callbacks::{self, Door};
use super::measure::{compute, deliver, workers};
use super::patterns;
use super::stackful::{self, Stackful};

/// The workloads with more coroutines at once than may can have: each stack is two mappings, of
/// which Linux allows 65,530.
const TOO_MANY: [&str; 3] = ["spawn100k", "tree16", "timers"];

/// Runs a workload.
///
/// It does none of the workloads that only gosched has in blocking style. May's channels have no
/// limit. Its `select!` makes a coroutine for each channel and turn, and loses what the others
/// received. And 100,000 coroutines are too many.
pub(crate) fn run(workload: &str) -> ! {
    if TOO_MANY.contains(&workload) {
        deliver(None)
    }
    may::config().set_workers(workers());
    if callbacks::are_in(workload) {
        deliver(callbacks::run(&May, workload).as_deref())
    }
    let workload = workload.to_owned();
    let run = move || stackful::run(&May, &workload).or_else(|| patterns::run(&May, &workload));
    deliver(joined(spawned(run)).as_deref())
}

fn spawned<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    // SAFETY: see the head.
    unsafe { coroutine::spawn(f) }
}

fn joined<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("no panic")
}

#[derive(Clone)]
struct May;

impl Stackful for May {
    type Handle<T: Send + 'static> = JoinHandle<T>;
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;
    type Mutex = Mutex<u64>;

    fn go<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        spawned(f)
    }

    fn go_at<T: Send + 'static>(
        &self,
        _place: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        spawned(f)
    }

    fn go_free<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        spawned(f)
    }

    fn join<T: Send + 'static>(handle: JoinHandle<T>) -> T {
        joined(handle)
    }

    fn yield_now() {
        coroutine::yield_now();
    }

    fn sleep_until(deadline: Instant) {
        coroutine::sleep(deadline.saturating_duration_since(Instant::now()));
    }

    fn channel<T: Send + 'static>(_capacity: usize) -> (Sender<T>, Receiver<T>) {
        mpsc::channel()
    }

    fn send<T: Send + 'static>(sender: &Sender<T>, value: T) {
        sender.send(value).unwrap_or_else(|_| panic!("somebody receives"));
    }

    fn recv<T: Send + 'static>(receiver: &Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    fn increment(mutex: &Mutex<u64>) {
        *mutex.lock().expect("no panic") += 1;
    }

    fn value(mutex: &Mutex<u64>) -> u64 {
        *mutex.lock().expect("no panic")
    }
}

/// No thread enters may. Threads outside can wait for its channels.
impl Door for May {
    type Line = (Sender<u64>, std::sync::Mutex<Receiver<u64>>);
    const ENTERS: bool = false;

    fn enter(&self) {}

    fn line(&self) -> Self::Line {
        let (ask, asked) = mpsc::channel();
        let (answer, answered) = mpsc::channel();
        spawned(move || {
            for value in asked {
                answer.send(value).expect("somebody waits");
            }
        });
        (ask, answered.into())
    }

    fn round_trip(&self, (ask, answered): &Self::Line) {
        ask.send(7).expect("somebody answers");
        assert_eq!(answered.lock().expect("no panic").recv(), Ok(7));
    }

    fn hog(&self, hogs: usize) {
        (0..hogs).for_each(|_| drop(spawned(|| compute(Duration::MAX))));
    }
}
