//! The locks without their values: state words and wait queues. The loom models run these files.
//!
//! The files above this room wrap them around a `T`, and add poisoning, guards and futures.

pub(crate) mod condvar;
pub(crate) mod mutex;
pub(crate) mod notify;
pub(crate) mod once;
pub(crate) mod rwlock;
pub(crate) mod semaphore;
pub(crate) mod wait_group;
