//! What a goroutine and its `JoinHandle` share: the closure before, the outcome after, and who waits for it.
//!
//! # Safety
//!
//! Waiting in a list asks for the lock that the list is in, and for both to stay: they are one packet, which the waiter
//! holds.
#![expect(unsafe_code, reason = "waits in the packet's list")]

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use gosched_runtime_sys::primitive::{Mutex, MutexGuard};

use crate::g::{Begin, Body};
use crate::proc::park::{Cancelled, Parking, Target, Wake};
use crate::waiter::{self, WaitList, Waited};

/// Where a goroutine's outcome stands.
enum Stage<F, T> {
    /// It has not begun.
    Closure(F),
    Running,
    Outcome(thread::Result<T>),
    /// Taken by the joiner.
    Taken,
}

struct State<F, T> {
    stage: Stage<F, T>,
    joiner: WaitList<(), Target>,
    /// Of the task that polls the handle: a future hands nothing over, it is woken and looks again.
    waker: Option<Waker>,
}

/// One allocation per goroutine: its closure, later its outcome.
pub(crate) struct Packet<F, T>(Mutex<State<F, T>>);

/// The joiner's side of a [`Packet`], without the closure's type.
pub(crate) trait Joinable<T>: Send + Sync {
    /// Blocks until the goroutine has ended.
    fn join(&self) -> thread::Result<T>;
    /// Whether it has ended; if not, `waker` is woken when it has.
    fn poll(&self, waker: &Waker) -> Poll<thread::Result<T>>;
    /// Whether it has ended.
    fn is_finished(&self) -> bool;
}

impl<F, T> Packet<F, T> {
    pub(crate) fn new(f: F) -> Self {
        Self(Mutex::new(State { stage: Stage::Closure(f), joiner: WaitList::new(), waker: None }))
    }

    fn complete(&self, outcome: thread::Result<T>) {
        let mut state = self.0.lock();
        state.stage = Stage::Outcome(outcome);
        let wake: Option<Wake> = state.joiner.pop().map(waiter::Popped::dismiss);
        let waker = state.waker.take();
        drop(state);
        if let Some(wake) = wake {
            wake.now();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<F: FnOnce() -> T, T> Body for Packet<F, T> {
    fn run(&self, id: u64, begin: Begin) {
        let mut state = self.0.lock();
        if !matches!(state.stage, Stage::Closure(_)) {
            return;
        }
        let Stage::Closure(f) = std::mem::replace(&mut state.stage, Stage::Running) else {
            unreachable!("just looked")
        };
        drop(state);
        let outcome = match begin {
            Begin::Run => catch_unwind(AssertUnwindSafe(f)),
            Begin::Cancelled => dropped(f, Box::new(Cancelled { g: id })),
            Begin::Failed(error) => dropped(f, Box::new(NotStarted(error))),
        };
        self.complete(outcome);
    }
}

/// The outcome of a closure that is dropped instead of run; what its drop throws takes precedence.
fn dropped<F, T>(f: F, why: Box<dyn std::any::Any + Send>) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(|| drop(f)))?;
    Err(why)
}

impl<F: Send, T: Send> Joinable<T> for Packet<F, T> {
    fn join(&self) -> thread::Result<T> {
        loop {
            let mut state = self.0.lock();
            if let Some(outcome) = take(&mut state) {
                return outcome;
            }
            let (parking, state) = match Parking::begin_at_once() {
                Some(parking) => (parking, state),
                None => {
                    // It takes a lock of its own.
                    drop(state);
                    let parking = Parking::begin();
                    let mut state = self.0.lock();
                    if let Some(outcome) = take(&mut state) {
                        return outcome;
                    }
                    (parking, state)
                }
            };
            // SAFETY: the guard is of this lock, whose one list lives in this packet, which the caller holds.
            let waited = unsafe { waiter::wait(&self.0, state, |state| &mut state.joiner, None, &parking) };
            if let Waited::Cancelled(_) = waited {
                waiter::Parks::raise(&parking);
            }
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<thread::Result<T>> {
        // Wakers are the user's: cloned before the lock is taken, the one before dropped after it is free.
        let mut waker = Some(waker.clone());
        let mut state = self.0.lock();
        if let Some(outcome) = take(&mut state) {
            drop(state);
            return Poll::Ready(outcome);
        }
        std::mem::swap(&mut state.waker, &mut waker);
        drop(state);
        drop(waker);
        Poll::Pending
    }

    fn is_finished(&self) -> bool {
        matches!(self.0.lock().stage, Stage::Outcome(_) | Stage::Taken)
    }
}

fn take<F, T>(state: &mut MutexGuard<'_, State<F, T>>) -> Option<thread::Result<T>> {
    match std::mem::replace(&mut state.stage, Stage::Taken) {
        Stage::Outcome(outcome) => Some(outcome),
        other => {
            state.stage = other;
            None
        }
    }
}

/// The payload of a goroutine that never began, because there was no memory for its stack or no thread for it: what
/// `join` then gives back in place of a panic's payload.
#[derive(Debug)]
pub struct NotStarted(pub io::Error);

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the goroutine could not be started: {}", self.0)
    }
}

impl std::error::Error for NotStarted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The right to wait for a goroutine and to have what it returned. Dropping it detaches the goroutine.
///
/// It is also a future, for any executor: the same outcome as [`join`](Self::join)'s. Dropping it before it is ready loses
/// nothing but the outcome. The waker is called by the goroutine that ends; one that panics there ends the process, and so
/// does the drop of an outcome that nobody joins.
pub struct JoinHandle<T> {
    packet: Arc<dyn Joinable<T>>,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(packet: Arc<dyn Joinable<T>>) -> Self {
        Self { packet }
    }

    /// Waits until the goroutine has ended; what it returned, or the payload of its panic. A goroutine that calls this
    /// parks; any other thread blocks.
    ///
    /// # Errors
    ///
    /// The payload the goroutine unwound with, as in `std::thread`; [`Cancelled`] if its runtime shut down first,
    /// [`NotStarted`] if there was no memory for its stack or no thread for it.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`] if the calling goroutine is cancelled while it waits.
    pub fn join(self) -> thread::Result<T> {
        self.packet.join()
    }

    /// Whether the goroutine has ended, so that `join` would not wait. Never blocks.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.packet.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

    /// # Panics
    ///
    /// Does not; polled again after it was ready, it stays pending.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.packet.poll(cx.waker())
    }
}
