//! What a goroutine and its `JoinHandle` share: the closure before, the outcome after, and who
//! waits for it.
//!
//! # Safety
//!
//! Waiting in a list asks for the lock that the list is in, and for both to stay: they are one
//! packet, which the waiter holds.
#![expect(unsafe_code, reason = "waits in the packet's list")]

mod handle;
mod host;
mod timed;

use std::any::Any;
use std::borrow::Borrow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use crate::ds::pair_arc::PairArc;
use crate::gmp::body::{Begin, Body, NotStarted};
use crate::gmp::g::{CancelScope, Cancelled};
use crate::gmp::m::M;
use crate::gmp::wait_reason::WaitReason;
use crate::proc::cancel::can_unwind;
use crate::proc::claimed::Claimed;
use crate::proc::colocate::{Host, Pending, host_begins};
use crate::proc::locals;
use crate::proc::park::{self, Parking};
use crate::proc::target::Target;
use crate::wait::park::Park;
use crate::wait::parked::{Look, WaitIn, WaitedFor, wait_for};
use crate::wait::waiter::{self, Unpark, WaitList};

pub use handle::JoinHandle;
pub(crate) use handle::Joint;

/// Who runs a goroutine, as the one who cancels it needs it.
pub(crate) trait Cancels: Unpark {
    /// Asks it to end. Runs no user code.
    ///
    /// # Safety
    ///
    /// It has begun, and does not end while this runs.
    #[must_use = "the goroutine never runs again unless it is woken"]
    unsafe fn cancel(self) -> Self::Wake;
}

impl Cancels for Target {
    unsafe fn cancel(self) -> Claimed {
        // SAFETY: this function's contract.
        unsafe { self.request_cancel() }
    }
}

/// What is left to do once nothing of a goroutine is left: neither its closure, nor an outcome that
/// nobody joins.
pub(crate) trait OnEnd: Clone {
    /// It unwound, and nobody has asked for that.
    fn unjoined_panic(&self) {}
    /// Nothing of it is left, unless its handle has the outcome.
    fn released(self) {}
}

impl OnEnd for () {}

/// A packet of more bytes stays on the heap: it would be copied for little, and fill the stack.
const LARGE: usize = 512;

/// Where a goroutine's outcome stands.
enum Stage<F, T, K> {
    /// It has not begun; or never will, because it was cancelled.
    Closure {
        f: F,
        withdrawn: bool,
        /// Those who are to settle where it does.
        beside: Pending,
    },
    /// By whom, if it may be cancelled.
    Running(Option<K>),
    Outcome(thread::Result<T>),
    /// Taken by the joiner.
    Taken,
}

struct State<F, T, K: Unpark> {
    stage: Stage<F, T, K>,
    joiner: WaitList<(), K>,
    /// Of the task that polls the handle: a future hands nothing over, it is woken and looks again.
    waker: Option<Waker>,
}

/// One allocation per goroutine: its closure, later its outcome. A goroutine without a handle takes
/// its packet from the heap onto its stack, into the page that is touched anyhow: one that waits
/// then has no other memory than its stack and record.
///
/// The lock is also what makes a cancel safe. Whoever runs the goroutine is in the state from its
/// first instruction to its last; it is put there, taken out and cancelled under the lock. So a
/// cancel reaches the goroutine that it was meant for, and never the next one on the same record,
/// without a count or a reference that each goroutine would pay for.
pub(crate) struct Packet<F, T, K: Unpark = Target, A: OnEnd = ()> {
    state: Mutex<State<F, T, K>>,
    after: A,
}

/// The joiner's side of a [`Packet`], without the closure's type.
pub(crate) trait Joinable<T>: Host {
    /// The outcome, if it has ended, for whoever is left alone with it.
    fn outcome(&mut self) -> Option<thread::Result<T>>;
    /// Blocks until the goroutine has ended, or the deadline, if there is one, has passed.
    fn join(&self, deadline: Option<Instant>) -> Option<thread::Result<T>>;
    /// The outcome, if it has ended.
    fn try_join(&self) -> Option<thread::Result<T>>;
    /// Whether it has ended; if not, `waker` is woken when it has.
    fn poll(&self, waker: &Waker) -> Poll<thread::Result<T>>;
    /// Whether it has ended.
    fn is_finished(&self) -> bool;
    /// Asks the goroutine to end. Whether it will.
    fn cancel(&self) -> bool;
}

impl<F, T, K: Cancels, A: OnEnd> Packet<F, T, K, A> {
    pub(crate) fn new(f: F, after: A) -> Self {
        let state = State {
            stage: Stage::Closure { f, withdrawn: false, beside: None },
            joiner: WaitList::new(),
            waker: None,
        };
        Self { state: Mutex::new(state), after }
    }

    /// The goroutine's life. `runner` is who runs it.
    pub(crate) fn run_to_end(&self, id: u64, begin: Begin, runner: Option<K>)
    where
        F: FnOnce() -> T,
    {
        let mut state = self.state.lock();
        let Stage::Closure { withdrawn, .. } = state.stage else { return };
        let runs = matches!(begin, Begin::Run) && (!withdrawn || mutated("join.withdrawn_runs"));
        let running = Stage::Running(runner.filter(|_| runs));
        let Stage::Closure { f, beside, .. } = std::mem::replace(&mut state.stage, running) else {
            unreachable!("just looked")
        };
        drop(state);
        host_begins(beside, runs);
        let cancelled = |scope| Box::new(Cancelled { g: id, scope });
        let outcome = match begin {
            Begin::Run if runs => catch_unwind(AssertUnwindSafe(f)),
            Begin::Run => dropped(f, cancelled(CancelScope::Goroutine)),
            Begin::Cancelled => dropped(f, cancelled(CancelScope::Runtime)),
            Begin::Failed(error) => dropped(f, Box::new(NotStarted(error))),
        };
        locals::end(id);
        self.complete(outcome);
    }

    fn complete(&self, outcome: thread::Result<T>) {
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

    /// Has a visitor wait for the goroutine to begin, or calls on whoever runs it, if somebody
    /// does: under the lock, so that the goroutine does not end meanwhile.
    pub(crate) fn with_runner<V, R>(
        &self,
        visitor: V,
        waits: impl FnOnce(V, &mut Pending) -> R,
        calls: impl FnOnce(V, Option<&K>) -> R,
    ) -> R {
        let mut state = self.state.lock();
        match &mut state.stage {
            Stage::Closure { beside, .. } => waits(visitor, beside),
            Stage::Running(host) if mutated("join.visits_unlocked") => {
                let host = host.clone();
                drop(state);
                calls(visitor, host.as_ref())
            }
            Stage::Running(host) => calls(visitor, host.as_ref()),
            Stage::Outcome(_) | Stage::Taken => calls(visitor, None),
        }
    }

    /// Asks the goroutine to end; whether it will.
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
        // SAFETY: before it ends it takes the lock, for `complete`. (Records stay, so that the
        // mistake above is no worse than a cancel that somebody else gets.)
        let wake = unsafe { runner.cancel() };
        drop(state);
        K::wake(wake);
        can_unwind()
    }

    /// A goroutine, to its last act: its closure was run or dropped, and an outcome without a
    /// handle is dropped here.
    pub(crate) fn run_and_release(held: impl Borrow<Self>, id: u64, begin: Begin, runner: Option<K>)
    where
        F: FnOnce() -> T,
    {
        let gone = RunOnDrop(Some(held.borrow().after.clone()));
        // Dropped last, also if what is dropped before it unwinds.
        let _gone = Some(gone).filter(|_| !mutated("scope.gone_too_early"));
        let held = held;
        held.borrow().run_to_end(id, begin, runner);
    }

    /// Waits for the outcome, until the deadline if there is one; each wait begins under the lock
    /// where it can, else with `begin`, without the lock.
    pub(crate) fn join_by<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl Fn() -> P,
    ) -> Option<thread::Result<T>> {
        loop {
            let place = WaitIn {
                why: WaitReason::Join,
                ..WaitIn::behind(|state: &mut State<F, T, K>| &mut state.joiner)
            };
            let look = |state: &mut State<F, T, K>| match take(state) {
                Some(outcome) => Look::Done(outcome),
                None => Look::Wait(None),
            };
            // SAFETY: this lock's one list, which lives in this packet, which the caller holds. The
            // closure does nothing.
            match unsafe { wait_for(&self.state, place, &begin, deadline, look, || None) } {
                WaitedFor::AtOnce(outcome) => return Some(outcome),
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
        match body.try_unwrap() {
            Ok(get_mut_if_unique) => Self::run_and_release(get_mut_if_unique, id, begin, runner),
            Err(shared) => Self::run_and_release(shared, id, begin, runner),
        }
    }
}

/// The calling goroutine, while it waits for another one's end, is no load to the M that it has
/// settled on.
struct JoinWait(Option<&'static M>);

impl JoinWait {
    fn begin() -> Self {
        let m = park::current_home();
        m.inspect(|m| m.enter_join());
        Self(m)
    }
}

impl Drop for JoinWait {
    fn drop(&mut self) {
        self.0.inspect(|m| m.leave_join());
    }
}

/// Tells that nothing is left.
struct RunOnDrop<A: OnEnd>(Option<A>);

impl<A: OnEnd> Drop for RunOnDrop<A> {
    fn drop(&mut self) {
        if let Some(after) = self.0.take() {
            after.released();
        }
    }
}

impl<F, T, K: Unpark, A: OnEnd> Drop for Packet<F, T, K, A> {
    fn drop(&mut self) {
        if let Stage::Outcome(Err(payload)) = &self.state.get_mut().stage
            && !payload.is::<Cancelled>()
        {
            self.after.unjoined_panic();
        }
    }
}

/// The outcome of a closure that is dropped instead of run; what its drop throws takes precedence.
fn dropped<F, T>(f: F, why: Box<dyn Any + Send>) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(|| drop(f)))?;
    Err(why)
}

impl<F: Send, T: Send, A: OnEnd + Send + Sync> Joinable<T> for Packet<F, T, Target, A> {
    fn join(&self, deadline: Option<Instant>) -> Option<thread::Result<T>> {
        let _inert = JoinWait::begin();
        self.join_by(deadline, Parking::begin)
    }

    fn outcome(&mut self) -> Option<thread::Result<T>> {
        take(self.state.get_mut())
    }

    fn try_join(&self) -> Option<thread::Result<T>> {
        take(&mut self.state.lock())
    }

    fn poll(&self, waker: &Waker) -> Poll<thread::Result<T>> {
        // Wakers are the user's: cloned before the lock is taken, the one before dropped after it
        // is free.
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock();
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
        matches!(self.state.lock().stage, Stage::Outcome(_) | Stage::Taken)
    }

    fn cancel(&self) -> bool {
        self.request_cancel()
    }
}

fn take<F, T, K: Unpark>(state: &mut State<F, T, K>) -> Option<thread::Result<T>> {
    match std::mem::replace(&mut state.stage, Stage::Taken) {
        Stage::Outcome(outcome) => Some(outcome),
        other => {
            state.stage = other;
            None
        }
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use crate::testing::TestWaiter;

    #[test]
    fn only_who_runs_it_is_cancelled() {
        let seat = TestWaiter::new();
        let packet = Packet::<_, _, TestWaiter>::new(|| 5, ());
        packet.run_to_end(1, Begin::Run, Some(seat.clone()));
        seat.reset();
        assert!(!packet.request_cancel(), "it has ended");
        let theirs = Packet::<_, _, TestWaiter>::new(|| 6, ());
        assert!(theirs.request_cancel(), "it will never begin");
        theirs.run_to_end(2, Begin::Run, Some(seat));
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
                .expect("it ran"),
            5
        );
    }

    /// A million of them, beside as many records, are what many goroutines cost outside of their
    /// stacks.
    #[test]
    fn what_a_handle_shares_is_small() {
        assert!(size_of::<Packet<(), ()>>() <= 80, "{} bytes", size_of::<Packet<(), ()>>());
    }
}
