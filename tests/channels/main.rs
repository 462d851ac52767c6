//! Channels and selects, between goroutines, threads and async tasks, in every mode and with 1, 2,
//! 4 and 8 Ps.

mod big_values;
mod broadcast;
mod callbacks;
mod close;
mod conservation;
mod conservation_of_kinds;
mod futures;
mod inner_waits;
mod no_user_code_under_locks;
mod oneshot;
mod ports;
mod select;
mod select_async;
mod select_biased;
mod select_ready;
mod starvation;
mod timeouts;
mod waker;
mod watch;

/// Waits until something that another thread does has happened; for threads only.
fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}
