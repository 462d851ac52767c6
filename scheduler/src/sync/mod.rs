//! Locks and their like, for goroutines, foreign threads in callbacks, plain threads and futures
//! alike.
//!
//! Names and meaning are those of `std::sync`, with one difference: a waiter parks, and leaves its
//! thread to other goroutines. So a guard may be held over a wait: a channel operation, a sleep,
//! another lock. With `std`'s locks, such a wait blocks the thread on which the holder itself would
//! have to go on.
//!
//! | | what |
//! |---|---|
//! | [`Mutex`], [`Condvar`] | mutual exclusion, and waiting for what it guards |
//! | [`RwLock`] | many readers or one writer; writers that wait come before readers that come later |
//! | [`Semaphore`] | a number of permits |
//! | [`Barrier`], [`WaitGroup`] | waiting for each other, waiting for a number of others |
//! | [`Once`], [`OnceCell`] (or [`OnceLock`]), [`LazyLock`] | what is done once |
//! | [`Notify`] | a signal without content |
//!
//! Common to all:
//!
//! - Without contention, to take or give back a lock or a permit is one atomic step, as is a look
//!   whether something is done. Waiters are served in the order of arrival where nothing else is
//!   said.
//! - An operation that waits has variants with a time limit: `x_timeout` (a `Duration`; zero makes
//!   one attempt, one too long for the clock is none) and `x_deadline` (an `Instant`), and one that
//!   does not wait, `try_x`.
//! - For async tasks there is `x_async` ([`Notify::notified`], of a `Notify`): a future that may be
//!   dropped at any time. There is none of a [`Condvar`], whose guard goes in and comes out, nor of
//!   what is done once, whose closure runs where it was called. No lock and no permit is handed to
//!   a future, which may never be polled again: it comes after those that park, and competes. A
//!   notification alone is a woken future's own, and so is an upgrade of what it reads.
//! - A cancelled goroutine leaves its wait by unwinding, and takes nothing with it: what it was
//!   given meanwhile goes to the next waiter.
//! - Guards and permits are bound to no thread. They are `Send` if what they give access to may be
//!   sent: so they may be held by a goroutine that migrates, and be given back by another than the
//!   one that took them.
//! - A guard borrows its lock. One that holds it, and so may go into a goroutine or a struct, is
//!   had by [`Mutex::lock_arc`], [`RwLock::read_arc`], [`RwLock::write_arc`],
//!   [`RwLock::upgradable_read_arc`] and [`Semaphore::acquire_owned`], each with the same variants.

mod as_std;
mod barrier;
mod condvar;
mod mutex;
mod notify;
mod once;
mod parker;
mod poison;
pub(crate) mod raw;
mod rwlock;
mod semaphore;
mod wait_group;

pub use barrier::{Barrier, BarrierFuture, BarrierTimeoutError, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use mutex::{ArcMutexGuard, LockFuture, Mutex, MutexGuard};
pub use notify::{Notified, Notify, NotifyTimeoutError};
pub use once::{LazyLock, Once, OnceCell, OnceLock, OnceState};
pub use parker::{Parker, Unparker};
pub use rwlock::{
    ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, ArcRwLockWriteGuard, ReadFuture, RwLock,
    RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, UpgradableReadFuture,
    UpgradeFuture, WriteFuture,
};
pub use semaphore::{AcquireError, AcquireFuture, OwnedPermit, Permit, Semaphore};
pub use wait_group::{WaitGroup, WaitGroupFuture, WaitGroupTimeoutError};
