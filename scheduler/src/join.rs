//! The packet that a goroutine and its `JoinHandle` share: the goroutine's closure, later its
//! outcome, and the joiner that waits for that.
//!
//! # Safety
//!
//! A wait in a list needs the lock that the list is under, and both must stay. They are in one
//! packet, which the waiter holds. What lies in the slot, and whose it is, is what the stage says.
#![expect(unsafe_code, reason = "waits in the packet's list; the stage guards the slot")]

mod error;
mod handle;
mod host;
mod on_drop;
mod place;
mod timed;
mod unjoined;
mod wait;

use std::any::Any;
use std::borrow::Borrow;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use crate::ds::pair_arc::PairArc;
use crate::ds::slot::{LARGE, Slot, TakenOutcome};
use crate::gmp::body::{Begin, Body, NotStarted};
use crate::gmp::g::{CancelScope, Cancelled};
use crate::gmp::wait_reason::WaitReason;
use crate::proc::cancel::can_unwind;
use crate::proc::claimed::Claimed;
use crate::proc::colocate::{Host, Pending, host_begins};
use crate::proc::locals;
use crate::proc::park::Parking;
use crate::proc::target::Target;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::waiter::{self, Unpark, WaitList};

pub use error::JoinError;
pub use handle::JoinHandle;
pub(crate) use handle::Joint;
pub use on_drop::JoinOnDrop;
pub(crate) use place::filled_pair;
use unjoined::{Failure, is_panic};

/// A running goroutine, as its canceller needs it.
pub(crate) trait Cancels: Unpark {
    /// Asks the goroutine to end. Runs no user code.
    ///
    /// # Safety
    ///
    /// The goroutine has begun, and does not end during the call.
    #[must_use = "the goroutine never runs again unless it is woken"]
    unsafe fn cancel(self) -> Self::Wake;
}

impl Cancels for Target {
    unsafe fn cancel(self) -> Claimed {
        // SAFETY: this function's contract.
        unsafe { self.request_cancel() }
    }
}

/// Called when nothing of a goroutine is left: neither its closure, nor an outcome without a
/// joiner.
pub(crate) trait OnEnd: Clone {
    /// Whether a panic that nobody joins is told. A scope panics for it.
    const TELLS: bool;

    /// The goroutine panicked; nobody has its payload yet.
    fn panicked(&self) {}
    /// The joiner has the payload of the goroutine's panic.
    fn panic_joined(&self) {}
    /// Nothing of the goroutine is left, unless its handle has the outcome.
    fn released(self) {}
}

impl OnEnd for () {
    const TELLS: bool = true;
}

/// The stage of a goroutine's life.
enum Stage<K> {
    /// The goroutine has not begun. Its closure lies in the slot.
    Closure {
        /// The goroutine was cancelled, and will never begin.
        withdrawn: bool,
        /// The goroutines that are to settle where this one does.
        beside: Pending,
    },
    /// The goroutine runs, and the slot is its own. The target that a canceller needs; `None` if it
    /// may not be cancelled.
    Running(Option<K>),
    /// The goroutine has ended. If it returned a result, that lies in the slot.
    Outcome(Result<(), Failure>),
    /// The joiner took the outcome, and moves the result out of the slot.
    Taken,
}

struct State<K: Unpark> {
    stage: Stage<K>,
    joiner: WaitList<(), K>,
    /// The waker of the task that polls the handle. A future is handed nothing: it is woken and
    /// polls again.
    waker: Option<Waker>,
}

/// One allocation per goroutine: its closure, later its outcome.
///
/// A goroutine without a handle moves its packet from the heap to its stack, into a page that is in
/// use anyway. Such a goroutine, while it waits, has no memory but its stack and record.
///
/// The lock also makes a cancel safe. The state holds the goroutine's target from its first
/// instruction to its last. The target is put there, taken out and cancelled under the lock. So a
/// cancel reaches the goroutine that it was meant for, and never the next goroutine on the same
/// record. No goroutine pays for a count or a reference.
pub(crate) struct Packet<F, T, K: Unpark = Target, A: OnEnd = ()> {
    state: Mutex<State<K>>,
    /// Whose this is, and what lies in it, the stage says.
    slot: Slot<F, T>,
    after: A,
}

/// The joiner's side of a [`Packet`], without the closure's type.
pub(crate) trait Joinable<T>: Host {
    /// Takes the outcome, if the goroutine has ended. For the last holder of the packet.
    fn outcome(&mut self) -> Option<TakenOutcome<T>>;
    /// Waits until the goroutine has ended, or the deadline has passed, and takes the outcome.
    fn join(&self, deadline: Option<Instant>) -> Option<TakenOutcome<T>>;
    /// Takes the outcome, if the goroutine has ended.
    fn try_join(&self) -> Option<TakenOutcome<T>>;
    /// Takes the outcome, if the goroutine has ended; else keeps `waker`, to be woken when it has.
    fn poll(&self, waker: &Waker) -> Poll<TakenOutcome<T>>;
    /// True if the goroutine has ended.
    fn is_finished(&self) -> bool;
    /// Asks the goroutine to end. True if it will.
    fn cancel(&self) -> bool;
}

impl<F, T, K: Cancels, A: OnEnd> Packet<F, T, K, A> {
    #[cfg(test)]
    pub(crate) fn new(f: F, after: A) -> Self {
        Self { state: State::unstarted(), slot: Slot::new(f), after }
    }

    /// Runs the goroutine's closure, or drops it, as `begin` says, and keeps the outcome. A
    /// canceller reaches the goroutine through `runner`.
    pub(crate) fn run_to_end(&self, id: u64, begin: Begin, runner: Option<K>)
    where
        F: FnOnce() -> T,
    {
        let mut state = self.state.lock();
        let Stage::Closure { withdrawn, .. } = state.stage else { return };
        let runs = matches!(begin, Begin::Run) && (!withdrawn || mutated("join.withdrawn_runs"));
        let running = Stage::Running(runner.filter(|_| runs));
        let Stage::Closure { beside, .. } = std::mem::replace(&mut state.stage, running) else {
            unreachable!("just looked")
        };
        drop(state);
        host_begins(beside, runs);
        let outcome = if runs {
            // SAFETY: the stage was `Closure`, and this call has changed it.
            unsafe { self.slot.call() }
        } else {
            let scope = match begin {
                Begin::Run => Ok(CancelScope::Goroutine),
                Begin::Cancelled => Ok(CancelScope::Runtime),
                Begin::Failed(error) => Err(error),
            };
            let why: Box<dyn Any + Send> = match scope {
                Ok(scope) => Box::new(Cancelled { g: id, scope }),
                Err(error) => Box::new(NotStarted(error)),
            };
            // SAFETY: as above. If the drop of the closure panics, that is the outcome.
            unsafe { self.slot.drop_closure() }.and(Err(why))
        };
        locals::end(id);
        self.complete(id, outcome);
    }

    /// Stores the outcome, and wakes the joiner and the task that polls the handle.
    fn complete(&self, id: u64, outcome: thread::Result<()>) {
        if is_panic(&outcome) {
            self.after.panicked();
        }
        let outcome = outcome.map_err(|payload| Failure::new(A::TELLS, id, payload));
        let mut state = self.state.lock();
        state.stage = Stage::Outcome(outcome);
        let wake = state.joiner.pop().map(waiter::Popped::finish);
        let waker = state.waker.take();
        drop(state);
        if let Some(wake) = wake {
            wake.now();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the outcome, if there is one.
    #[inline]
    fn take(&self, state: &mut State<K>) -> Option<TakenOutcome<T>> {
        take(state, &self.slot, &self.after)
    }

    /// Calls `before` if the goroutine has not begun, else `after`, with the goroutine's target if
    /// it runs and may be cancelled. Both are called under the lock, so that the goroutine does not
    /// end during the call.
    pub(crate) fn with_runner<V, R>(
        &self,
        newcomer: V,
        before: impl FnOnce(V, &mut Pending) -> R,
        after: impl FnOnce(V, Option<&K>) -> R,
    ) -> R {
        let mut state = self.state.lock();
        match &mut state.stage {
            Stage::Closure { beside, .. } => before(newcomer, beside),
            Stage::Running(host) if mutated("join.visits_unlocked") => {
                let host = host.clone();
                drop(state);
                after(newcomer, host.as_ref())
            }
            Stage::Running(host) => after(newcomer, host.as_ref()),
            Stage::Outcome(_) | Stage::Taken => after(newcomer, None),
        }
    }

    /// Asks the goroutine to end. True if it will.
    pub(crate) fn request_cancel(&self) -> bool {
        let mut state = self.state.lock();
        let runner = match &mut state.stage {
            Stage::Closure { withdrawn, .. } => {
                *withdrawn = true;
                return true;
            }
            Stage::Running(None) => return true,
            Stage::Running(Some(runner)) => runner.clone(),
            Stage::Outcome(_) | Stage::Taken => return false,
        };
        let state = Some(state).filter(|_| !mutated("join.cancel_unlocked"));
        // SAFETY: before the goroutine ends, it takes the lock, in `complete`. (Records stay, so
        // the mutant above only cancels another goroutine by mistake.)
        let wake = unsafe { runner.cancel() };
        drop(state);
        K::wake(wake);
        can_unwind()
    }

    /// Does the same as [`run_to_end`](Self::run_to_end), then drops the goroutine's share of the
    /// packet, and then calls [`OnEnd::released`]. An outcome without a handle is dropped here.
    pub(crate) fn run_and_release(held: impl Borrow<Self>, id: u64, begin: Begin, runner: Option<K>)
    where
        F: FnOnce() -> T,
    {
        let gone = RunOnDrop(Some(held.borrow().after.clone()));
        // Declared first, so dropped last, also if the drop of the packet unwinds.
        let _gone = Some(gone).filter(|_| !mutated("scope.gone_too_early"));
        let held = held;
        held.borrow().run_to_end(id, begin, runner);
    }

    /// Waits for the outcome, until the deadline if there is one. Each wait begins under the lock
    /// if it can; else it begins with `begin`, without the lock.
    pub(crate) fn join_by<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Option<TakenOutcome<T>> {
        loop {
            let place = WaitIn {
                why: WaitReason::Join,
                ..WaitIn::behind(|state: &mut State<K>| &mut state.joiner)
            };
            let look = |state: &mut State<K>| match self.take(state) {
                Some(outcome) => Look::Done(Some(outcome)),
                None if matches!(state.stage, Stage::Taken) => Look::Done(None),
                None => Look::Wait(None),
            };
            // SAFETY: the list is the only one under this lock, and lives in this packet, which the
            // caller holds. The closure does nothing.
            match unsafe { wait_for(&self.state, place, &begin, deadline, look, || None) } {
                WaitedFor::AtOnce(outcome) => {
                    return Some(outcome.unwrap_or_else(|| taken_before()));
                }
                WaitedFor::Served(_) => {}
                WaitedFor::TimedOut => return None,
                WaitedFor::Cancelled(parking) => parking.raise(),
            }
        }
    }
}

impl<F: FnOnce() -> T, T, A: OnEnd> Body for Packet<F, T, Target, A> {
    fn run(&self, id: u64, begin: Begin) {
        self.run_to_end(id, begin, Target::current());
    }

    fn run_shared(body: PairArc<Self>, id: u64, begin: Begin) {
        let runner = Target::current();
        if size_of::<Self>() > LARGE {
            return Self::run_and_release(body, id, begin, runner);
        }
        run_small(body, id, begin, runner);
    }
}

/// Moves the packet to the stack, if the goroutine has no handle, and runs it.
///
/// A function of its own, so that a large packet has no place in its caller's frame.
#[inline]
fn run_small<F: FnOnce() -> T, T, A: OnEnd>(
    body: PairArc<Packet<F, T, Target, A>>,
    id: u64,
    begin: Begin,
    runner: Option<Target>,
) {
    match body.try_unwrap() {
        Ok(unshared) => Packet::run_and_release(unshared, id, begin, runner),
        Err(shared) => Packet::<F, T, Target, A>::run_and_release(shared, id, begin, runner),
    }
}

/// Calls [`OnEnd::released`] in its drop.
struct RunOnDrop<A: OnEnd>(Option<A>);

impl<A: OnEnd> Drop for RunOnDrop<A> {
    fn drop(&mut self) {
        if let Some(after) = self.0.take() {
            after.released();
        }
    }
}

impl<F, T, K: Unpark, A: OnEnd> Drop for Packet<F, T, K, A> {
    /// Drops what lies in the slot: a closure that never ran, or a result without a joiner.
    fn drop(&mut self) {
        match &self.state.get_mut().stage {
            // SAFETY: the stage says that it is there, and nobody else has the packet.
            Stage::Closure { .. } => unsafe { self.slot.closure().drop_in_place() },
            // SAFETY: as above.
            Stage::Outcome(Ok(())) => unsafe { self.slot.value().drop_in_place() },
            Stage::Running(_) | Stage::Outcome(Err(_)) | Stage::Taken => {}
        }
    }
}

impl<F, T, K: Unpark, A: OnEnd> Packet<F, T, K, A> {
    /// Writes all of a new packet but its closure.
    #[inline]
    fn init_but_closure(packet: *mut Self, after: A) {
        // SAFETY: a projection inside of the allocation that is being filled; so is the next.
        let state = unsafe { &raw mut (*packet).state };
        // SAFETY: nothing lies there yet.
        unsafe { state.write(State::unstarted()) };
        // SAFETY: as above.
        let place = unsafe { &raw mut (*packet).after };
        // SAFETY: nothing lies there yet.
        unsafe { place.write(after) };
    }
}

impl<K: Unpark> State<K> {
    /// The state of a goroutine that has not begun.
    #[inline]
    fn unstarted() -> Mutex<Self> {
        Mutex::new(Self {
            stage: Stage::Closure { withdrawn: false, beside: None },
            joiner: WaitList::new(),
            waker: None,
        })
    }
}

impl<F: Send, T: Send, A: OnEnd + Send + Sync> Joinable<T> for Packet<F, T, Target, A> {
    fn join(&self, deadline: Option<Instant>) -> Option<TakenOutcome<T>> {
        self.join_by(deadline, Parking::begin)
    }

    fn outcome(&mut self) -> Option<TakenOutcome<T>> {
        let Self { state, slot, after } = self;
        take(state.get_mut(), slot, after)
    }

    fn try_join(&self) -> Option<TakenOutcome<T>> {
        let mut state = self.state.lock();
        let outcome = self.take(&mut state);
        let taken = outcome.is_none() && matches!(state.stage, Stage::Taken);
        drop(state);
        if taken { taken_before() } else { outcome }
    }

    fn poll(&self, waker: &Waker) -> Poll<TakenOutcome<T>> {
        // A waker's code is the user's. So it is cloned before the lock is taken, and the old waker
        // is dropped after the lock is free.
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock();
        if let Some(outcome) = self.take(&mut state) {
            drop(state);
            return Poll::Ready(outcome);
        }
        std::mem::swap(&mut state.waker, &mut waker);
        drop(state);
        drop(waker);
        Poll::Pending
    }

    fn is_finished(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Outcome(_) | Stage::Taken)
    }

    fn cancel(&self) -> bool {
        self.request_cancel()
    }
}

/// Takes the outcome of the packet that these are parts of, if there is one.
#[inline]
fn take<F, T, K: Unpark, A: OnEnd>(
    state: &mut State<K>,
    slot: &Slot<F, T>,
    after: &A,
) -> Option<TakenOutcome<T>> {
    let Stage::Outcome(outcome) = &mut state.stage else { return None };
    let outcome = std::mem::replace(outcome, Ok(())).map_err(Failure::into_payload);
    if is_panic(&outcome) {
        after.panic_joined();
    }
    state.stage = Stage::Taken;
    Some(outcome.map(|()| slot.value()))
}

/// Panics: the outcome that is asked for was given to a poll of the handle.
#[cold]
fn taken_before() -> ! {
    panic!("gosched: the goroutine's outcome was taken by polling its handle")
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use crate::testing::TestWaiter;

    #[test]
    fn a_cancel_reaches_only_the_goroutine_that_it_is_meant_for() {
        let runner = TestWaiter::new();
        let packet = Packet::<_, _, TestWaiter>::new(|| 5, ());
        packet.run_to_end(1, Begin::Run, Some(runner.clone()));
        runner.reset();
        assert!(!packet.request_cancel(), "it has ended");
        let theirs = Packet::<_, _, TestWaiter>::new(|| 6, ());
        assert!(theirs.request_cancel(), "it will never begin");
        theirs.run_to_end(2, Begin::Run, Some(runner));
        let outcome = theirs.join_by(None, || -> &TestWaiter { unreachable!("it has ended") });
        let payload = outcome
            .expect("it has ended")
            .expect_err("cancelled")
            .downcast::<Cancelled>()
            .expect("cancelled");
        assert_eq!((payload.g, payload.scope), (2, CancelScope::Goroutine));
        assert_eq!(
            packet
                .join_by(None, || -> &TestWaiter { unreachable!("it has ended") })
                .expect("it has ended")
                .map(|value| {
                    // SAFETY: the packet is still there, and the outcome was taken just now.
                    unsafe { value.read() }
                })
                .expect("it ran"),
            5
        );
    }

    /// A million goroutines cost a million packets and as many records, beside their stacks.
    #[test]
    fn what_a_handle_shares_is_small() {
        assert!(size_of::<Packet<(), ()>>() <= 80, "{} bytes", size_of::<Packet<(), ()>>());
    }
}
