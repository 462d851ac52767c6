//! Waiting: the one wait queue under channels, locks, joins, timers and futures.
//!
//! [`waiter`] has the queue and its node, and the seven invariants that make a hand-over safe;
//! begin there. The other files are the owner's side of a node: [`parked`] for a goroutine or
//! thread that parks, [`polled`] for a future, [`case_node`] and [`race`] for a select that waits
//! in several queues at once, and [`observers`] those who wait for what they do not take.
//! [`reserved`] keeps futures from starving among those that park. [`park`] says what parking needs
//! of the waiter. [`owed`] is how waiters are woken and users' values dropped once a lock is free,
//! and [`wake`] wakes a whole queue. [`alarm`] wakes the futures that have a deadline. [`token`]
//! cancels all that waits under it or for it.
//!
//! Code may enter when every primitive that waits needs it. Each primitive says itself what it
//! waits for, and [`proc::park`](crate::proc::park) how a goroutine gives up its M.

pub(crate) mod alarm;
pub(crate) mod case_node;
pub(crate) mod observers;
pub(crate) mod owed;
pub(crate) mod park;
pub(crate) mod parked;
pub(crate) mod polled;
pub(crate) mod race;
pub(crate) mod reserved;
pub(crate) mod token;
pub(crate) mod waiter;
pub(crate) mod wake;
