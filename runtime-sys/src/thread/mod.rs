//! The calling thread: what is known of it, what it keeps, how it is made and how it ends.
//!
//! | module | what it holds |
//! |---|---|
//! | [`tls`] | all thread-locals of the workspace but those of `last_code`; what handlers may read |
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

mod bounds;
mod cpus;
#[cfg_attr(all(windows, not(gosched_no_exit_hook)), path = "../sys/windows/thread_exit.rs")]
#[cfg_attr(any(not(any(unix, windows)), gosched_no_exit_hook), path = "../sys/absent/exit.rs")]
pub mod exit;
pub mod fork;
pub mod last_code;
pub mod pthread_cancel;
mod spawn;
pub mod tls;

use std::time::Duration;

pub use bounds::{StackBounds, current_stack_bounds};
pub use cpus::{Cpus, usable_cpus};
pub use spawn::spawn_thread;

/// Gives the processor to another thread.
pub fn yield_thread() {
    std::thread::yield_now();
}

/// Asks the system to give the calling thread slices of this length, and its children the usual
/// ones. Where the system has no such thing, nothing happens.
pub fn set_time_slice(slice: Duration) {
    crate::sys::set_time_slice(slice.as_nanos().try_into().unwrap_or(u64::MAX));
}

/// Returns the kernel's number of the calling thread. Async-signal-safe.
pub fn id() -> i32 {
    crate::sys::thread_id()
}

/// Calls `f` with the kernel's number of each thread of the process, until it returns false. True
/// if it never did. False as well where the system does not list them. Allocates nothing.
pub fn each_of_process(f: impl FnMut(i32) -> bool) -> bool {
    crate::sys::each_thread(f)
}

/// True if the thread of this process with that number has ended, or runs only the kernel's code of
/// its end. Allocates nothing.
pub fn is_exiting(thread: i32) -> bool {
    crate::sys::is_exiting(thread)
}

/// Ends the process with this exit code, without running anything of it.
pub fn end_process(code: i32) -> ! {
    crate::sys::end_process(code)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn threads_have_different_numbers() {
        let other = std::thread::spawn(id).join().expect("thread");
        assert!(other > 0 && other != id() && id() == id());
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    #[cfg_attr(gosched_no_thread_list, ignore = "the part is taken away")]
    fn every_thread_is_listed_once() {
        let ((ask, asked), (say, said)) = (channel::<()>(), channel());
        let asked = Arc::new(Mutex::new(asked));
        let threads: Vec<_> = (0..300)
            .map(|_| {
                let (say, asked) = (say.clone(), asked.clone());
                std::thread::spawn(move || {
                    say.send(id()).expect("it is awaited");
                    let _until_the_end = asked.lock().expect("no panic").recv();
                })
            })
            .collect();
        let ids: Vec<i32> = said.iter().take(threads.len()).collect();
        let mut listed = Vec::new();
        assert!(each_of_process(|id| {
            listed.push(id);
            true
        }));
        for id in ids.into_iter().chain([id()]) {
            assert_eq!(listed.iter().filter(|other| **other == id).count(), 1, "{id}");
        }
        drop(ask);
        threads.into_iter().for_each(|thread| thread.join().expect("thread"));
        let mut seen = 0;
        assert!(!each_of_process(|_| {
            seen += 1;
            false
        }));
        assert_eq!(seen, 1);
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    #[cfg_attr(gosched_no_thread_list, ignore = "the part is taken away")]
    fn a_thread_that_was_joined_has_ended() {
        assert!(!is_exiting(id()));
        for _ in 0..1000 {
            let ended = std::thread::spawn(id).join().expect("thread");
            let began = std::time::Instant::now();
            while !is_exiting(ended) {
                // The C library may return from the join a moment before the thread is marked.
                assert!(began.elapsed() < std::time::Duration::from_secs(10));
            }
        }
    }
}
