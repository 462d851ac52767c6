//! A waker that waits: it is called by a sender that has begun to wait, and the sender is served
//! while the waker's own wait is between its beginning and its commit.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use gosched::cancel::Token;
use gosched::chan::{self, Receiver, Sender, TryRecvError};
use gosched::sync::Mutex;
use gosched::time::sleep;
use gosched::{Carry, JoinHandle, Mode, Runtime, go, select, yield_now};
use test_support::{migratory, settled};

/// The longest time for which a value is reserved for a future, with a margin.
const RESERVED: Duration = Duration::from_secs(5);

/// Serves the outer sender at the first switch after it was armed: the inner wait has begun then,
/// and has not committed.
#[derive(Clone, Default)]
struct Serves(Arc<Inner>);

#[derive(Default)]
struct Inner {
    outer: OnceLock<Receiver<u32>>,
    armed: AtomicBool,
    switches: AtomicUsize,
}

impl Carry for Serves {
    type Context = ();

    fn suspend(&self) {
        // A panic here ends the process, which is what a wait that spins deserves.
        assert!(self.0.switches.fetch_add(1, SeqCst) < 5_000, "a wait spins");
        if self.0.armed.swap(false, SeqCst) {
            let outer = self.0.outer.get().expect("it is set first");
            let began = Instant::now();
            let mut got = outer.try_recv();
            // If the future has waited for long, the value is reserved for it for a while.
            while got == Err(TryRecvError::Empty) && began.elapsed() < RESERVED {
                got = outer.try_recv();
            }
            assert_eq!(got, Ok(7), "the sender waits");
        }
    }

    fn resume(&self, (): ()) {}
}

/// What the waker waits for.
trait Waits: Send + Sync + 'static {
    /// Makes it, with a sibling that the wait depends on.
    fn new() -> Self;
    fn wait(&self);
}

struct Receives(Receiver<u32>);

impl Waits for Receives {
    fn new() -> Self {
        let (tx, rx) = chan::bounded(0);
        go(move || tx.send(1).expect("the waker receives"));
        Self(rx)
    }

    fn wait(&self) {
        assert_eq!(self.0.recv(), Ok(1));
    }
}

struct Sends(Sender<u32>);

impl Waits for Sends {
    fn new() -> Self {
        let (tx, rx) = chan::bounded(0);
        go(move || assert_eq!(rx.recv(), Ok(1)));
        Self(tx)
    }

    fn wait(&self) {
        self.0.send(1).expect("the sibling receives");
    }
}

struct Selects(Receiver<u32>);

impl Waits for Selects {
    fn new() -> Self {
        Self(Receives::new().0)
    }

    fn wait(&self) {
        let never = chan::never::<u32>();
        select! {
            recv(self.0) -> got => assert_eq!(got, Ok(1)),
            recv(never) -> got => unreachable!("{got:?}"),
        }
    }
}

struct WaitsInTime(Receiver<u32>);

impl Waits for WaitsInTime {
    fn new() -> Self {
        Self(Receives::new().0)
    }

    fn wait(&self) {
        assert_eq!(self.0.recv_timeout(Duration::from_secs(60)), Ok(1));
    }
}

struct Joins(std::sync::Mutex<Option<JoinHandle<u32>>>);

impl Waits for Joins {
    fn new() -> Self {
        Self(std::sync::Mutex::new(Some(go(|| 1))))
    }

    fn wait(&self) {
        let joined = self.0.lock().expect("not poisoned").take().expect("it waits once");
        assert_eq!(joined.join().expect("no panic"), 1);
    }
}

struct Locks(Arc<Mutex<()>>);

impl Waits for Locks {
    fn new() -> Self {
        let mutex = Arc::new(Mutex::new(()));
        let theirs = mutex.clone();
        let (locked, is_locked) = chan::bounded(0);
        go(move || {
            let _held = theirs.lock();
            locked.send(()).expect("the waker is being made");
            yield_now();
            yield_now();
        });
        is_locked.recv().expect("the sibling sends");
        Self(mutex)
    }

    fn wait(&self) {
        drop(self.0.lock());
    }
}

struct WaitsForToken(Token);

impl Waits for WaitsForToken {
    fn new() -> Self {
        let token = Token::new();
        let theirs = token.clone();
        go(move || theirs.cancel());
        Self(token)
    }

    fn wait(&self) {
        self.0.wait();
    }
}

struct Sleeps;

impl Waits for Sleeps {
    fn new() -> Self {
        Self
    }

    fn wait(&self) {
        sleep(Duration::from_millis(20));
    }
}

struct TheWaker<W> {
    waits: W,
    serves: Serves,
    /// Only the sender's call counts. A poll that gives its turn calls its waker, too.
    sends: AtomicBool,
    gave_turn: AtomicBool,
}

impl<W: Waits> Wake for TheWaker<W> {
    fn wake(self: Arc<Self>) {
        if !self.sends.load(SeqCst) {
            return self.gave_turn.store(true, SeqCst);
        }
        self.serves.0.switches.store(0, SeqCst);
        self.serves.0.armed.store(true, SeqCst);
        self.waits.wait();
    }
}

fn served_meanwhile<W: Waits>(mode: Mode, procs: usize) {
    let serves = Serves::default();
    let (tx, rx) = chan::bounded(0);
    assert!(serves.0.outer.set(rx.clone()).is_ok());
    let rt = Runtime::builder(mode).procs(procs).carry(serves.clone()).build().expect("a runtime");
    let outer = rt.handle().go(move || {
        let (sends, gave_turn) = (AtomicBool::new(false), AtomicBool::new(false));
        let the_waker = Arc::new(TheWaker { waits: W::new(), serves, sends, gave_turn });
        let waker = Waker::from(the_waker.clone());
        let mut future = Box::pin(rx.recv_async());
        loop {
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            if !the_waker.gave_turn.swap(false, SeqCst) {
                break;
            }
        }
        the_waker.sends.store(true, SeqCst);
        tx.send(7)
    });
    assert_eq!(outer.join().expect("no panic"), Ok(()));
    rt.shutdown(Duration::from_secs(30)).expect("everything has ended");
}

fn in_each_mode<W: Waits>() {
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4] {
            served_meanwhile::<W>(mode, procs);
        }
    }
}

#[test]
fn a_waker_that_receives_parks() {
    in_each_mode::<Receives>();
    in_each_mode::<WaitsInTime>();
}

#[test]
fn a_waker_that_sends_parks() {
    in_each_mode::<Sends>();
}

#[test]
fn a_waker_that_selects_parks() {
    in_each_mode::<Selects>();
}

#[test]
fn a_waker_that_joins_parks() {
    in_each_mode::<Joins>();
}

#[test]
fn a_waker_that_locks_parks() {
    in_each_mode::<Locks>();
}

#[test]
fn a_waker_that_waits_for_a_token_parks() {
    in_each_mode::<WaitsForToken>();
}

#[test]
fn a_waker_that_sleeps_parks() {
    in_each_mode::<Sleeps>();
}
