//! One case of a select: receiving from a channel or sending into it, without the type of its
//! values.
//!
//! A select holds the locks of all its channels at once while it looks, so a case keeps its
//! channel's guard in itself between [`lock`](Case::lock) and [`unlock`](Case::unlock). Cases of
//! the same channel share one guard, which the first of them keeps; so the state is passed to the
//! others as a pointer.
//!
//! # Safety
//!
//! A state pointer comes from [`Case::state`] of a case whose channel has the same address, and
//! that channel's lock is held; two channels that exist at the same time have two addresses, so it
//! is the state of this very channel. Nodes are linked and left under that lock.

#![expect(unsafe_code, reason = "channels' states travel without their type")]

mod recv;
mod send;

use std::ptr::NonNull;
use std::time::Instant;

pub(super) use recv::RecvCase;
pub(super) use send::SendCase;

use super::standby::Standby;
use crate::wait::observers::Observer;
use crate::wait::owed::Panics;
use crate::wait::race::Race;
use crate::wait::waiter::{Unpark, Wakeup};

/// Which way a case's values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Recv,
    Send,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// The case has its outcome.
    Done,
    /// Whoever stood at the other side was served elsewhere meanwhile.
    Lost,
    /// The buffer must be grown first, without the lock.
    Grow,
}

/// A case, as the select sees it.
///
/// # Safety
///
/// `channel` is the address of the channel, which exists as long as the case. `state` is the state
/// in it. Only [`RecvCase`] has the way `Recv`, and only [`SendCase`] the other.
pub(super) unsafe trait Case<K: Unpark> {
    /// What tells channels apart, and orders their locks.
    fn channel(&self) -> *const ();

    fn direction(&self) -> Direction;

    /// Returns a case of the same channel that goes the same way, without a value. Reads nothing
    /// that the lock guards, nor what another thread could change.
    fn empty<'c>(&self) -> Box<dyn Case<K> + 'c>
    where
        Self: 'c;

    /// Takes the channel's lock and keeps it.
    fn lock(&self);

    /// Gives it back, if this case keeps it.
    fn unlock(&self);

    /// The state under the lock that this case keeps. Valid until the lock is given back, or this
    /// is called again.
    fn state(&self) -> NonNull<()>;

    /// Whether an attempt would not have to wait.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`.
    unsafe fn is_ready(&self, state: NonNull<()>) -> bool;

    /// Sends or receives.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`.
    unsafe fn attempt(&self, state: NonNull<()>) -> Tried;

    /// Begins to wait as the `number`th of the race. Returns when to look again.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`. Case and race stay in place until
    /// [`withdraw`](Self::withdraw) was called, or [`is_served`](Self::is_served) said yes.
    unsafe fn wait(
        &self,
        state: NonNull<()>,
        target: K,
        race: &Race,
        number: usize,
    ) -> Option<Instant>;

    /// Whether a waker won the race for it and is through with it.
    fn is_served(&self) -> bool;

    /// Takes the outcome out of a served node. False: there is none, and the select looks again.
    #[must_use]
    fn take_outcome(&self) -> bool;

    /// Waits until no waker is at work on the channel.
    fn wait_for_waker(&self);

    /// Ends a wait that was not served. Takes the lock.
    fn withdraw(&self);

    /// Whom it let go, to be woken without the lock. Frees what the channel needs no more.
    fn wakeup(&self) -> [Option<Wakeup<K>>; 2];

    /// Gives the channel's buffer more room. Without the lock.
    fn grow(&self);

    /// Drops an outcome that nobody asked for.
    fn discard(&self);

    /// As [`is_ready`](Self::is_ready), in a select that is polled: what is reserved for it counts,
    /// and what is reserved for another future does not.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`.
    unsafe fn is_ready_polled(&self, state: NonNull<()>, standby: &Standby<K>) -> bool;

    /// Waits as the `number`th of the race, or goes on waiting, with the waker of this poll.
    /// Returns when to look again.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`. Case, standby and race stay in place until
    /// [`leave_polled`](Self::leave_polled) was called.
    unsafe fn wait_polled(
        &self,
        state: NonNull<()>,
        standby: &Standby<K>,
        race: &Race,
        number: usize,
    ) -> Option<Instant>;

    /// Ends the wait, if there is one. A wake-up that the case had goes to the next future, unless
    /// the case was `done`.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`.
    unsafe fn leave_polled(&self, state: NonNull<()>, standby: &Standby<K>, done: bool);

    /// True if a case that was served when its wait was ended has sent its value. One that could
    /// not is chosen no more.
    fn has_sent(&self) -> bool;

    /// Begins to observe, as the `number`th of the race: to wait until this case is ready. Returns
    /// when to look again.
    ///
    /// # Safety
    ///
    /// As the head of this file says of `state`. Node and race stay in place until
    /// [`stop_observing`](Self::stop_observing) was called.
    unsafe fn observe(
        &self,
        state: NonNull<()>,
        node: &Observer<K>,
        target: K,
        race: &Race,
        number: usize,
    ) -> Option<Instant>;

    /// Stops observing. Takes the lock. If the case was told that it is ready, returns whom to tell
    /// next.
    fn stop_observing(&self, node: &Observer<K>) -> Option<Wakeup<K>>;

    /// Ends the turn of a future on this case's channel. Without the lock.
    fn end_turn(&self) -> Panics;
}
