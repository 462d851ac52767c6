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

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use crate::go::go;
use crate::join::JoinHandle;
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
    fn wake(self: Arc<Self>) {
        self.wake_up();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_up();
    }
}

/// Runs a future to its end on the calling goroutine or thread. While the future is pending, a
/// goroutine parks and its thread runs others; a plain thread blocks.
///
/// Any future will do. One that needs a reactor of its own, as tokio's timers and sockets do, needs
/// that reactor's context as well. Its wakers may be called from anywhere, late, or never. Code in
/// the future may wait as goroutines do.
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
