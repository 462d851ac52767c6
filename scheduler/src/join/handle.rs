//! The handle of a goroutine: its [`Packet`](super::Packet) without the closure's type.
//!
//! # Safety
//!
//! A pointer to a packet becomes a pointer to one of the packet's own traits. A result is moved out
//! of its packet by whoever has taken the outcome, while it has a share of the packet.
#![expect(unsafe_code, reason = "casts pointers to packets, and moves results out of them")]

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, thread};

use super::wait::JoinWait;
use super::{JoinError, Joinable, TakenOutcome};
use crate::ds::pair_arc::{Counted, PairArc};
use crate::ds::slot::read;
use crate::proc::colocate::Host;
use crate::proc::yield_now::{give_turn, poll_turn, preempt_point};

/// The joiner's share of a packet, and the goroutine's number.
pub(crate) struct Joint<'a, T> {
    pub(super) packet: PairArc<dyn Joinable<T> + 'a>,
    pub(super) id: u64,
}

impl<T> fmt::Debug for Joint<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id)
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl<'a, T> Joint<'a, T> {
    pub(crate) fn new<J: Joinable<T> + 'a>(packet: PairArc<J>, id: u64) -> Self {
        // SAFETY: the cast only adds the vtable of a trait that the value has. A `Joinable` is
        // `Send` and `Sync`.
        let packet = unsafe { packet.cast(|packet| packet as *mut Counted<dyn Joinable<T> + 'a>) };
        Self { packet, id }
    }

    pub(crate) fn join(mut self) -> thread::Result<T> {
        preempt_point();
        let taken = match self.outcome_if_alone() {
            Some(taken) => taken,
            None => {
                let _no_load = JoinWait::begin(self.id, None);
                self.packet.join(None).expect("there is no deadline")
            }
        };
        // SAFETY: the outcome was just taken, and this has a share of the packet.
        unsafe { read(taken) }
    }

    /// Returns the outcome, if the goroutine has ended and dropped its share, as mostly before a
    /// join. Takes no lock.
    #[inline]
    fn outcome_if_alone(&mut self) -> Option<TakenOutcome<T>> {
        self.packet.get_mut_if_unique().and_then(Joinable::outcome)
    }

    /// Returns the outcome of a goroutine that has ended. Waits for nothing and gives no turn, so a
    /// poll may call it.
    pub(crate) fn take_ended(mut self) -> thread::Result<T> {
        let taken = self.outcome_if_alone().or_else(|| self.packet.try_join());
        // SAFETY: as above.
        unsafe { read(taken.expect("it has ended")) }
    }

    pub(crate) fn try_join(self) -> Result<thread::Result<T>, Self> {
        match self.packet.try_join() {
            // SAFETY: as above.
            Some(taken) => Ok(unsafe { read(taken) }),
            None => {
                give_turn();
                Err(self)
            }
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.packet.is_finished()
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn cancel(&self) -> bool {
        self.packet.cancel()
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<thread::Result<T>> {
        ready!(poll_turn(cx));
        match self.packet.poll(cx.waker()) {
            // SAFETY: as above.
            Poll::Ready(taken) => Poll::Ready(unsafe { read(taken) }),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The right to wait for a goroutine and to have what it returned. Dropping it detaches the
/// goroutine. A panic that nobody joins is a warning ([`Warnings`](crate::Warnings)): the
/// goroutine's number and name, where it was made, and what it panicked with.
///
/// It is also a future, for any executor: the same outcome as [`join`](Self::join)'s. Dropping it
/// before it is ready loses nothing but the outcome. As the futures of other operations, it is
/// pending once when the turn is asked for, and wakes itself, also where the goroutine has ended:
/// who polls once and never again has [`try_join`](Self::try_join). The waker is called by the
/// goroutine that ends; one that panics there ends the process, and so does the drop of an outcome
/// that nobody joins.
#[doc(alias("task", "fiber", "green thread", "coroutine", "goroutine"))]
pub struct JoinHandle<T>(pub(super) Joint<'static, T>);

// The outcome is reached when the goroutine has ended, and is taken whole.
impl<T> std::panic::UnwindSafe for JoinHandle<T> {}
impl<T> std::panic::RefUnwindSafe for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn new<J: Joinable<T> + 'static>(packet: PairArc<J>, id: u64) -> Self {
        Self(Joint::new(packet, id))
    }

    /// As [`Joint::take_ended`].
    pub(crate) fn take_ended(self) -> thread::Result<T> {
        self.0.take_ended()
    }

    /// Returns the goroutine as a host, beside which others may settle.
    pub(crate) fn host(&self) -> PairArc<dyn Host> {
        // SAFETY: the cast exchanges the vtable for that of a supertrait, which is `Send` and
        // `Sync` as well.
        unsafe { self.0.packet.clone().cast(|packet| packet as *mut Counted<dyn Host>) }
    }

    /// Waits until the goroutine has ended; what it returned, or the payload of its panic. A
    /// goroutine that calls this parks; any other thread blocks.
    ///
    /// # Errors
    ///
    /// The payload the goroutine unwound with, as in `std::thread`; [`Cancelled`](crate::Cancelled)
    /// if it was cancelled or its runtime shut down first, [`NotStarted`](crate::NotStarted) if
    /// there was no memory for its stack or no thread for it.
    ///
    /// # Panics
    ///
    /// Unwinds with [`Cancelled`](crate::Cancelled) if the calling goroutine is cancelled while it
    /// waits. Panics if the goroutine would join itself, or if its outcome was taken by polling the
    /// handle.
    ///
    /// ```
    /// use gosched::{Cancelled, Mode, go, run, time};
    /// use std::time::Duration;
    ///
    /// run(Mode::threads(), || {
    ///     let panics = go(|| -> u8 { panic!("no more paper") });
    ///     let waits = go(|| time::sleep(Duration::MAX));
    ///     waits.cancel();
    ///
    ///     let payload = panics.join().unwrap_err();
    ///     assert_eq!(payload.downcast_ref::<&str>(), Some(&"no more paper"));
    ///     assert!(waits.join().unwrap_err().is::<Cancelled>());
    /// });
    /// ```
    #[doc(alias = "await")]
    pub fn join(self) -> thread::Result<T> {
        self.0.join()
    }

    /// As [`join`](Self::join), with an error that says why there is no result, and that `?` makes
    /// a `Box<dyn Error>` of. For the other ways to join there is `From`:
    /// `outcome.map_err(JoinError::from)`.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if the goroutine panicked, was cancelled or could not be
    /// started.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    ///
    /// ```
    /// use gosched::{Mode, go, run, time};
    /// use std::time::Duration;
    ///
    /// run(Mode::threads(), || {
    ///     let waits = go(|| time::sleep(Duration::MAX));
    ///     waits.cancel();
    ///     assert!(waits.wait().unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn wait(self) -> Result<T, JoinError> {
        self.join().map_err(JoinError::from)
    }

    /// As [`join`](Self::join), if the goroutine has ended. If not, a goroutine whose slice is
    /// over gives its turn.
    ///
    /// # Errors
    ///
    /// The handle, if it has not.
    ///
    /// # Panics
    ///
    /// If the outcome was taken by polling the handle.
    pub fn try_join(self) -> Result<thread::Result<T>, Self> {
        match self.0.try_join() {
            Ok(outcome) => Ok(outcome),
            Err(handle) => Err(Self(handle)),
        }
    }

    /// True if the goroutine has ended, so that `join` would not wait. Never suspends: a loop that
    /// asks until then calls [`yield_now`](crate::yield_now), or
    /// [`try_join`](Self::try_join), which gives turns.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The goroutine's number: what [`current_id`](crate::current_id) gives in it. Unique in the
    /// process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id()
    }

    /// Asks the goroutine to end. Never blocks.
    ///
    /// If it waits, it is woken, and the call that it waits in unwinds with
    /// [`Cancelled`](crate::Cancelled); if it runs, the next call that would wait does. If it has
    /// not begun, it never does, and its closure is dropped. What was handed to it at the same
    /// moment it gets first: nothing is lost. A payload that it catches leaves the cancel pending,
    /// so that its next wait unwinds as well; [`shield`](crate::cancel::shield) keeps the cancel
    /// off for a while.
    ///
    /// Returns whether the goroutine was asked in time. It notices at its next wait, if there is
    /// one, and may return a result before. False if it has ended; false also with `panic =
    /// "abort"` once it has begun, because nothing is unwound then.
    #[doc(alias("abort", "kill"))]
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

    /// # Panics
    ///
    /// Does not; polled again after it was ready, it stays pending.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
