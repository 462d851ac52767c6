//! Whoever is at the other end of a scenario.
//!
//! The other side's part is written once, as a future over the operations of [`Side`]. A tokio task
//! awaits them; for the others each blocks where it stands, as it does for users, so that their
//! future is ready when it is polled for the first time.

use std::any::Any;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex as StdMutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use c_side::thread::{CThread, Plan};
use gosched::callback::{Binding, Bridge, EnterError};
use gosched::chan::{Receiver, RecvError, SendError, Sender};
use gosched::sync::{
    Barrier, Mutex, MutexGuard, Notify, Permit, RwLock, RwLockReadGuard, RwLockWriteGuard,
    Semaphore, WaitGroup,
};
use gosched::{JoinHandle, Mode, Runtime, goroutine, select};
use test_support::{each_procs, migratory, settled};

/// What the other side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Goroutine,
    /// A thread that C made, inside a callback.
    Callback(Binding),
    /// A thread of `std`.
    Thread,
    /// A task of tokio.
    Task,
}

/// One run of a scenario: a runtime, and what the other side is.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) rt: &'a Runtime,
    pub(crate) side: Side,
}

/// Runs a scenario with each kind of other side, in the modes with shared threads with 1, 2, 4 and
/// 8 Ps, and with a thread for each goroutine.
pub(crate) fn each_side(scenario: impl Fn(Pair)) {
    each_of(
        &[Side::Goroutine, Side::Callback(Binding::PerCall), Side::Thread, Side::Task],
        scenario,
    );
}

/// The same without tasks: for what has no future.
pub(crate) fn each_blocking_side(scenario: impl Fn(Pair)) {
    each_of(&[Side::Goroutine, Side::Callback(Binding::PerCall), Side::Thread], scenario);
}

fn each_of(sides: &[Side], scenario: impl Fn(Pair)) {
    for mode in [settled(), migratory()] {
        each_procs(mode, |rt| sides.iter().for_each(|side| scenario(Pair { rt, side: *side })));
    }
    // Where there is nothing to share, the number of Ps is of no account; there the callbacks stay
    // bound.
    let rt = Runtime::builder(Mode::threads()).procs(2).build().expect("a runtime is built");
    for side in sides {
        let side = if *side == Side::Callback(Binding::PerCall) {
            Side::Callback(Binding::UntilThreadExit)
        } else {
            *side
        };
        scenario(Pair { rt: &rt, side });
    }
    rt.shutdown(std::time::Duration::from_secs(30)).expect("nobody is left");
}

/// The other side's own runtime, for all tests.
static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("tokio's runtime is built")
});

/// The other side while it is at work. Its result is to be asked for.
#[must_use]
pub(crate) enum Running<R> {
    Goroutine(JoinHandle<R>),
    Callback(CThread, Arc<StdMutex<Option<Result<R, EnterError>>>>),
    Thread(thread::JoinHandle<R>),
    Task(tokio::task::JoinHandle<R>),
}

impl Pair<'_> {
    /// Starts one other side.
    pub(crate) fn start<R: Send + 'static, F: Future<Output = R> + Send + 'static>(
        self,
        part: impl FnOnce(Side) -> F + Send + 'static,
    ) -> Running<R> {
        let side = self.side;
        match side {
            Side::Goroutine => Running::Goroutine(self.rt.handle().go(move || at_once(part(side)))),
            Side::Callback(binding) => {
                let bridge = Bridge::new(self.rt).with_binding(binding);
                let result = Arc::new(StdMutex::new(None));
                let (theirs, mut part) = (Arc::clone(&result), Some(part));
                let callback = move |_| {
                    let part = part.take().expect("it is called once");
                    let outcome = bridge.enter(|| at_once(part(side)));
                    *theirs.lock().expect("nobody panics with it") = Some(outcome);
                    0
                };
                let thread = CThread::spawn(Plan { calls: 1, ..Plan::default() }, callback);
                Running::Callback(thread.expect("C makes a thread"), result)
            }
            Side::Thread => Running::Thread(thread::spawn(move || at_once(part(side)))),
            Side::Task => Running::Task(TOKIO.spawn(part(side))),
        }
    }

    /// One other side beside one goroutine: what both return.
    pub(crate) fn beside<P, G, F>(
        self,
        part: impl FnOnce(Side) -> F + Send + 'static,
        goroutine: impl FnOnce() -> G + Send + 'static,
    ) -> (P, G)
    where
        P: Send + 'static,
        G: Send + 'static,
        F: Future<Output = P> + Send + 'static,
    {
        let other_side = self.start(part);
        let ours = self.rt.handle().go(goroutine).join();
        (other_side.join(), ours.unwrap_or_else(|payload| resume_unwind(payload)))
    }
}

impl<R: Send + 'static> Running<R> {
    /// What it returned. Panics as it did.
    pub(crate) fn join(self) -> R {
        let panicked = |payload: Box<dyn Any + Send>| -> R { resume_unwind(payload) };
        match self {
            Self::Goroutine(goroutine) => goroutine.join().unwrap_or_else(panicked),
            Self::Callback(thread, result) => {
                thread.join().expect("C joins it");
                match result.lock().expect("nobody panicked with it").take().expect("it was called")
                {
                    Ok(result) => result,
                    Err(EnterError::Panicked(payload)) => panicked(payload),
                    Err(EnterError::Cancelled(how)) => panicked(Box::new(how)),
                    Err(error) => panic!("it could not enter: {error}"),
                }
            }
            Self::Thread(thread) => thread.join().unwrap_or_else(panicked),
            Self::Task(task) => {
                TOKIO.block_on(task).unwrap_or_else(|error| panicked(error.into_panic()))
            }
        }
    }
}

/// The result of a future whose operations block.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("only a task's operations are pending"),
    }
}

/// The operations, as each kind of other side has them.
impl Side {
    pub(crate) async fn send<T>(self, tx: &Sender<T>, value: T) -> Result<(), SendError<T>> {
        if self == Self::Task { tx.send_async(value).await } else { tx.send(value) }
    }

    pub(crate) async fn recv<T>(self, rx: &Receiver<T>) -> Result<T, RecvError> {
        if self == Self::Task { rx.recv_async().await } else { rx.recv() }
    }

    /// Receives from whichever has something, and says from which. A task polls both, and drops
    /// what lost.
    pub(crate) async fn recv_either<T>(
        self,
        rxs: [&Receiver<T>; 2],
    ) -> (usize, Result<T, RecvError>) {
        let [a, b] = rxs;
        if self != Self::Task {
            return select! { recv(a) -> got => (0, got), recv(b) -> got => (1, got) };
        }
        let (mut one, mut other) = (pin!(a.recv_async()), pin!(b.recv_async()));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(got) = one.as_mut().poll(cx) {
                return Poll::Ready((0, got));
            }
            other.as_mut().poll(cx).map(|got| (1, got))
        })
        .await
    }

    pub(crate) async fn lock<T>(self, mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        if self == Self::Task { mutex.lock_async().await } else { mutex.lock() }
            .expect("nobody panics with it")
    }

    pub(crate) async fn acquire(self, semaphore: &Semaphore) -> Permit<'_> {
        if self == Self::Task { semaphore.acquire_async().await } else { semaphore.acquire() }
            .expect("nobody closes it")
    }

    pub(crate) async fn read<T>(self, lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
        if self == Self::Task { lock.read_async().await } else { lock.read() }
            .expect("nobody panics with it")
    }

    pub(crate) async fn write<T>(self, lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
        if self == Self::Task { lock.write_async().await } else { lock.write() }
            .expect("nobody panics with it")
    }

    pub(crate) async fn wait(self, group: &WaitGroup) {
        if self == Self::Task { group.wait_async().await } else { group.wait() }
    }

    pub(crate) async fn meet(self, barrier: &Barrier) -> bool {
        if self == Self::Task { barrier.wait_async().await } else { barrier.wait() }.is_leader()
    }

    pub(crate) async fn notified(self, notify: &Notify) {
        if self == Self::Task { notify.notified().await } else { notify.wait() }
    }

    /// Lets others run.
    pub(crate) async fn yield_now(self) {
        if self == Self::Task { tokio::task::yield_now().await } else { gosched::yield_now() }
    }
}

#[test]
fn each_side_is_what_it_is_called() {
    each_side(|pair| {
        let side = pair.side;
        let part = async move |_: Side| {
            let on_tokio = tokio::runtime::Handle::try_current().is_ok();
            (goroutine::current_id().is_some(), on_tokio)
        };
        let is_a_goroutine = matches!(side, Side::Goroutine | Side::Callback(_));
        assert_eq!(pair.start(part).join(), (is_a_goroutine, side == Side::Task), "{side:?}");
    });
}

#[test]
fn a_panic_of_the_other_side_comes_out() {
    each_side(|pair| {
        let running = pair.start(async |_| resume_unwind(Box::new(7_u32)));
        let join = std::panic::AssertUnwindSafe(|| running.join());
        let payload = std::panic::catch_unwind::<_, ()>(join).expect_err("it panicked");
        assert_eq!(payload.downcast_ref(), Some(&7_u32), "{:?}", pair.side);
    });
}
