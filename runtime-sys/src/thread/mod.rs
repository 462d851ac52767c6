//! The calling thread: what is known of it, what it keeps, how it is made and how it ends.
//!
//! | module | what it holds |
//! |---|---|
//! | [`tls`] | all thread-locals of the workspace but those of `last_code` |
//! | `bounds` | [`current_stack_bounds`]: where the thread's stack lies |
//! | `cpus` | [`usable_cpus`]: how many processors it may use |
//! | `spawn` | [`spawn_thread`]: a new thread, or an error |
//! | [`exit`] | a hook on the end of any thread, also of one that C made |
//! | [`last_code`] | a hook before the thread-locals are destroyed, and what the thread was made for |
//! | [`fork`] | whether this process is a forked child |
//! | [`pthread_cancel`] | cancellation, held off for a while |
//!
//! What may enter: code about one operating-system thread. M records belong to `scheduler/src`.
//! Begin with `tls.rs`: its head says what a goroutine that changes threads may not do.
//!
//! # Safety
//!
//! `sched_yield` has no precondition.
#![expect(unsafe_code, reason = "sched_yield")]

mod bounds;
mod cpus;
pub mod exit;
pub mod fork;
pub mod last_code;
pub mod pthread_cancel;
mod spawn;
pub mod tls;

pub use bounds::{StackBounds, current_stack_bounds, prepare_stack_bounds};
pub use cpus::{Cpus, usable_cpus};
pub use spawn::spawn_thread;

/// Gives the processor to another thread.
pub fn yield_thread() {
    // SAFETY: has no precondition.
    unsafe { libc::sched_yield() };
}

/// Returns the kernel's number of the calling thread. Async-signal-safe.
pub fn id() -> i32 {
    crate::sys::thread_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_different_numbers() {
        let other = std::thread::spawn(id).join().expect("thread");
        assert!(other > 0 && other != id() && id() == id());
    }
}
