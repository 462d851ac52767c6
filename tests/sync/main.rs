//! Locks and their like, between goroutines and threads, in every mode and with 1, 2, 4 and 8 Ps.

mod condvar;
mod futures;
mod groups;
mod mutex;
mod once;
mod owned;
mod parker;
mod rwlock;
mod semaphore;
mod starvation;
mod upgradable;
mod user_panics;

/// Waits until something that another thread does has happened; for threads only.
fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}
