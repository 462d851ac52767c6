//! Futures in goroutines: a goroutine, or a thread, runs one to its end, and parks where it is
//! pending.
//!
//! A waker holds a `Signal`, shared with the goroutine or thread that polls: one bit, and a wait
//! list as of any primitive. A waker that outlives the future, or the goroutine, sets a bit that
//! nobody reads.
//!
//! *Rejected.* A waker that points to the goroutine and claims it from its park word: the waker may
//! be kept for ever, while the record is another goroutine's by then, and each clone would have to
//! count. The signal costs one allocation for each `block_on` instead.
//!
//! # Safety
//!
//! The one unsafe operation is the call of `parked::wait`: guard and list are of the same signal,
//! which the waiting frame holds.
#![expect(unsafe_code, reason = "waits in the signal's list")]

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use crate::go::go;
use crate::join::JoinHandle;
use crate::proc::no_wait::no_wait;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::proc::yield_now::preempt_point;
use crate::wait::park::{Park, WaitReason};
use crate::wait::parked;
use crate::wait::parked::Waited;
use crate::wait::waiter::{Popped, Unpark, WaitList};

/// The target of a waker: one bit, and the waiter that polls the future.
pub(crate) struct Signal<K: Unpark = Target> {
    state: Mutex<State<K>>,
}

struct State<K: Unpark> {
    /// A waker came while nothing waited: the next wait is over at once.
    woken: bool,
    waiting: WaitList<(), K>,
}

impl<K: Unpark> Signal<K> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { woken: false, waiting: WaitList::new() }) }
    }

    /// Ends the present wait, or else the next one.
    #[inline]
    pub(crate) fn wake_up(&self) {
        let mut state = self.state.lock();
        let wake = state.waiting.pop().map(Popped::finish);
        state.woken = wake.is_none() && !mutated("future.wake_forgotten");
        drop(state);
        if let Some(wake) = wake {
            wake.now();
        }
    }

    /// Waits until a waker comes, unless one came since the last wait.
    pub(crate) fn wait<P: Park<Target = K>>(&self, begin: impl FnOnce() -> P) {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.woken) {
            return;
        }
        let (parking, state) = match P::begin_at_once() {
            Some(parking) => (parking, state),
            None => {
                drop(state);
                let parking = begin();
                let mut state = self.state.lock();
                if std::mem::take(&mut state.woken) && !mutated("future.looks_once") {
                    return;
                }
                (parking, state)
            }
        };
        parking.set_wait_reason(WaitReason::Future);
        // SAFETY: the guard is of this lock. The list is one field of the state, which nothing
        // replaces.
        let waited =
            unsafe { parked::wait(&self.state, state, |state| &mut state.waiting, None, &parking) };
        if let Waited::Cancelled(_) = waited {
            parking.raise();
        }
    }
}

impl Wake for Signal {
    #[inline]
    fn wake(self: Arc<Self>) {
        self.wake_up();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_up();
    }
}

/// Runs a future to its end on the calling goroutine or thread. While the future is pending, a
/// goroutine parks and its thread runs others; a plain thread blocks.
///
/// Any future will do. One that needs a reactor of its own, as tokio's timers and sockets do, needs
/// that reactor's context as well: [`block_on_in`]. Its wakers may be called from anywhere, late,
/// or never. Code in the future may wait as goroutines do.
///
/// # Panics
///
/// With the payload of a panic of the future. Unwinds with [`Cancelled`](crate::Cancelled), and
/// drops the future, if the goroutine is cancelled while it waits.
///
/// ```
/// use gosched::{Mode, future::block_on, go, run};
///
/// let sum = run(Mode::threads(), || {
///     let (one, two) = (go(|| 20), go(|| 22));
///     block_on(async { one.await.unwrap() + two.await.unwrap() })
/// });
/// assert_eq!(sum, 42);
/// ```
#[doc(alias("await", "executor"))]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let signal = Arc::new(Signal::new());
    let waker = Waker::from(signal.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        // A future that wakes itself, as a yield in async code does, is polled without a wait.
        preempt_point();
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        signal.wait(Parking::begin);
    }
}

/// Runs a future to its end as [`block_on`] does, in a context that its polls need: `enter` is
/// called before each poll, and what it returns is dropped after it. While the goroutine waits, and
/// others run on its thread, the context is not there.
///
/// It is what tokio's timers, sockets and client libraries need: `|| handle.enter()`. Two shorter
/// ways are wrong: a guard of `enter` that is held over a wait, and `tokio::runtime::Handle`'s own
/// `block_on`. [docs/soundness.md][tokio] says why.
///
/// A poll runs inside of [`no_wait`](crate::no_wait()): what the future awaits, it awaits, and an
/// operation that parks the goroutine in the middle of a poll panics, because the context would be
/// there for others. The future is dropped in its context, too.
///
/// [tokio]: https://docs.rs/gosched/latest/gosched/docs/soundness/index.html#tokios-context
///
/// # Panics
///
/// As [`block_on`]; if a poll waits; with the payload of a panic of `enter`.
///
/// ```
/// use gosched::{Mode, future::block_on_in, run};
/// use std::cell::Cell;
///
/// thread_local! {
///     static INSIDE: Cell<bool> = const { Cell::new(false) };
/// }
///
/// /// As the guard of tokio's `Handle::enter`.
/// struct Guard;
///
/// impl Drop for Guard {
///     fn drop(&mut self) {
///         INSIDE.set(false);
///     }
/// }
///
/// let enter = || {
///     INSIDE.set(true);
///     Guard
/// };
/// run(Mode::threads(), || {
///     block_on_in(enter, async { assert!(INSIDE.get()) });
///     assert!(!INSIDE.get());
/// });
/// ```
#[doc(alias("tokio", "enter", "compat", "EnterGuard"))]
#[track_caller]
pub fn block_on_in<G, F: Future>(enter: impl FnMut() -> G, future: F) -> F::Output {
    let signal = Arc::new(Signal::new());
    let waker = Waker::from(signal.clone());
    let mut context = Context::from_waker(&waker);
    let mut inside = Inside { future: pin!(Some(future)), enter };
    loop {
        preempt_point();
        if let Poll::Ready(output) = inside.poll(&mut context) {
            return output;
        }
        signal.wait(Parking::begin);
    }
}

/// A future that is polled and dropped in a context.
struct Inside<'a, F, E: FnMut() -> G, G> {
    future: Pin<&'a mut Option<F>>,
    enter: E,
}

impl<F: Future, E: FnMut() -> G, G> Inside<'_, F, E, G> {
    #[track_caller]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, enter } = self;
        no_wait(|| {
            let _context = enter();
            future.as_mut().as_pin_mut().expect("it is there until it is dropped").poll(cx)
        })
    }
}

impl<F, E: FnMut() -> G, G> Drop for Inside<'_, F, E, G> {
    fn drop(&mut self) {
        let Self { future, enter } = self;
        no_wait(|| {
            let _context = enter();
            future.set(None);
        });
    }
}

/// Runs a future as a new goroutine of the runtime that the caller is in.
///
/// # Panics
///
/// As [`go`].
///
/// ```
/// use gosched::{Mode, future::go_future, run};
///
/// let answer = run(Mode::threads(), || go_future(async { 6 * 7 }).join().unwrap());
/// assert_eq!(answer, 42);
/// ```
#[doc(alias("spawn", "async", "task"))]
#[track_caller]
pub fn go_future<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    go(move || block_on(future))
}
