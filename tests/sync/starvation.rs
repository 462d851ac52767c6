//! A future that waits among goroutines, threads and other futures that take the same thing again
//! and again: it has its turn after a bounded number of theirs.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::future::block_on;
use gosched::sync::{Mutex, Notify, RwLock, Semaphore};
use gosched::{JoinHandle, Runtime, time};
use test_support::each_mode;

/// How many of the others' turns may pass. A future that starves sees any number of them.
const TURNS: usize = 1000;

/// For how long others have what the future waits for. Longer than the time after which a waiter is
/// not passed over any more, so that they overlap at all times.
const HELD: Duration = Duration::from_micros(1500);

/// Those that take the same thing again and again.
struct Others {
    stop: Arc<AtomicBool>,
    turns: Arc<AtomicUsize>,
    gs: Vec<JoinHandle<()>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Others {
    /// Starts as many goroutines and as many threads, each of which calls `turn` until the end.
    fn start(
        rt: &Runtime,
        (gs, threads): (usize, usize),
        turn: impl Fn() + Clone + Send + 'static,
    ) -> Self {
        let (stop, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (stop, turns, turn) = (stop.clone(), turns.clone(), turn.clone());
            move || {
                while !stop.load(SeqCst) {
                    turn();
                    turns.fetch_add(1, SeqCst);
                }
            }
        };
        let gs = (0..gs).map(|_| rt.handle().go(work())).collect();
        let threads = (0..threads).map(|_| thread::spawn(work())).collect();
        Self { stop, turns, gs, threads }
    }

    /// Waits until they have had this many turns more; true if `end` came first.
    fn pass(&self, more: usize, end: impl Fn() -> bool) -> bool {
        let last = self.turns.load(SeqCst) + more;
        while self.turns.load(SeqCst) < last {
            if end() {
                return true;
            }
            thread::yield_now();
        }
        end()
    }

    fn end(self) {
        self.stop.store(true, SeqCst);
        self.gs.into_iter().for_each(|g| g.join().unwrap());
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Asserts that `wait`, as a goroutine and as a thread, ends soon among others that do `turn`.
fn has_its_turn(
    name: &str,
    turn: impl Fn() + Clone + Send + 'static,
    wait: impl Fn() + Clone + Send + 'static,
) {
    each_mode(|rt, mode| {
        for on_thread in [false, true] {
            let others = Others::start(rt, (2, 2), turn.clone());
            others.pass(20, || false);
            let (done, theirs) = (Arc::new(AtomicBool::new(false)), wait.clone());
            let is_done = done.clone();
            let wait = move || {
                theirs();
                done.store(true, SeqCst);
            };
            let (mut g, mut th) = (None, None);
            if on_thread {
                th = Some(thread::spawn(wait));
            } else {
                g = Some(rt.handle().go(wait));
            }
            let had = others.pass(TURNS, || is_done.load(SeqCst));
            others.end();
            assert!(had, "{name}, {mode:?}, on a thread: {on_thread}: it starves");
            g.into_iter().for_each(|g| g.join().unwrap());
            th.into_iter().for_each(|th| th.join().unwrap());
        }
    });
}

/// Holds what a goroutine or a thread has.
fn hold<G>(guard: G) {
    time::sleep(HELD);
    drop(guard);
}

#[test]
fn a_mutex() {
    let mutex = Arc::new(Mutex::new(()));
    let (one, other) = (mutex.clone(), mutex.clone());
    let wait = move || drop(block_on(mutex.lock_async()).unwrap());
    has_its_turn("lock", move || hold(one.lock().unwrap()), wait.clone());
    has_its_turn("lock_async", move || hold(block_on(other.lock_async()).unwrap()), wait);
}

#[test]
fn writing() {
    let lock = Arc::new(RwLock::new(()));
    let (one, other, third) = (lock.clone(), lock.clone(), lock.clone());
    let wait = move || drop(block_on(lock.write_async()).unwrap());
    has_its_turn("read", move || hold(one.read().unwrap()), wait.clone());
    has_its_turn("read_async", move || hold(block_on(other.read_async()).unwrap()), wait.clone());
    has_its_turn("write", move || hold(third.write().unwrap()), wait);
}

#[test]
fn reading() {
    let lock = Arc::new(RwLock::new(()));
    let (one, other) = (lock.clone(), lock.clone());
    let wait = move || drop(block_on(lock.read_async()).unwrap());
    has_its_turn("write", move || hold(one.write().unwrap()), wait.clone());
    has_its_turn("write_async", move || hold(block_on(other.write_async()).unwrap()), wait);
}

#[test]
fn a_semaphore() {
    let semaphore = Arc::new(Semaphore::new(3));
    let (one, other, third) = (semaphore.clone(), semaphore.clone(), semaphore.clone());
    let one_of_many = semaphore.clone();
    let wait = move || drop(block_on(semaphore.acquire_many_async(3)));
    has_its_turn("acquire", move || hold(one.acquire()), wait.clone());
    has_its_turn("acquire_async", move || hold(block_on(other.acquire_async())), wait);
    let wait = move || drop(block_on(one_of_many.acquire_async()));
    has_its_turn("acquire_many", move || hold(third.acquire_many(3)), wait);
}

/// A future that nobody polls meanwhile: it has its turn when its waker is called, however late its
/// executor would be.
#[test]
fn a_notification() {
    let notify = Arc::new(Notify::new());
    let theirs = notify.clone();
    each_mode(|rt, mode| {
        let others = {
            let notify = notify.clone();
            Others::start(rt, (2, 1), move || notify.wait())
        };
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let (mut cx, mut future) = (Context::from_waker(&waker), pin!(theirs.notified()));
        assert!(future.as_mut().poll(&mut cx).is_pending());
        let had = || woken.0.load(SeqCst);
        for _ in 0..TURNS {
            let before = others.turns.load(SeqCst);
            theirs.notify_one();
            while others.turns.load(SeqCst) == before && !had() {
                thread::yield_now();
            }
            if had() {
                break;
            }
        }
        others.stop.store(true, SeqCst);
        let began = Instant::now();
        while others.gs.iter().any(|g| !g.is_finished())
            || others.threads.iter().any(|thread| !thread.is_finished())
        {
            theirs.notify_one();
            assert!(began.elapsed() < Duration::from_secs(10), "they end");
        }
        others.end();
        assert!(had(), "{mode:?}: it starves");
        assert!(future.as_mut().poll(&mut cx).is_ready(), "{mode:?}");
        // A notification may be left over.
        let _left = theirs.try_wait();
    });
}

/// Whether a waker was called.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A future is polled once, while `held` keeps it out, and not again: a waiter that parks already,
/// and one that comes later, have what they want.
fn kept<F: Future>(
    name: &str,
    held: impl Sized,
    future: F,
    want: impl Fn() + Clone + Send + 'static,
) {
    const SOON: Duration = Duration::from_secs(10);
    let mut future = Box::pin(future);
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let began = Instant::now();
    let first = thread::spawn(want.clone());
    // Until the future is not passed over any more.
    while began.elapsed() < 3 * HELD {
        thread::yield_now();
    }
    drop(held);
    let second = thread::spawn(want);
    while !first.is_finished() || !second.is_finished() {
        assert!(began.elapsed() < SOON, "{name}: they wait for a future that is not polled");
        thread::yield_now();
    }
    drop(future);
}

#[test]
fn a_future_that_is_kept_stops_nobody() {
    let mutex = Arc::new(Mutex::new(()));
    let theirs = mutex.clone();
    let want = move || hold(theirs.lock().unwrap());
    kept("a mutex", mutex.lock().unwrap(), mutex.lock_async(), want);

    let lock = Arc::new(RwLock::new(()));
    let (reads, writes) = (lock.clone(), lock.clone());
    let (read, write) =
        (move || hold(reads.read().unwrap()), move || hold(writes.write().unwrap()));
    kept("read, writing is wanted", lock.read().unwrap(), lock.write_async(), read.clone());
    kept("write, writing is wanted", lock.read().unwrap(), lock.write_async(), write.clone());
    kept("read, reading is wanted", lock.write().unwrap(), lock.read_async(), read);
    kept("write, reading is wanted", lock.write().unwrap(), lock.read_async(), write);

    let semaphore = Arc::new(Semaphore::new(2));
    let theirs = semaphore.clone();
    let want = move || hold(theirs.acquire());
    kept("a semaphore", semaphore.acquire(), semaphore.acquire_many_async(2), want.clone());
    let none = semaphore.acquire_many(2);
    kept("more than there are", none, semaphore.acquire_many_async(9), want);
}
