//! The time slice that a thread asks for, on Linux 6.12 and later.
//!
//! # Safety
//!
//! The kernel fills or reads as many bytes of a structure as it is told, and keeps no pointer.
#![expect(unsafe_code, reason = "system calls that C libraries have no functions for")]

use std::mem::size_of;

use libc::sched_attr;

/// The calling thread.
const MYSELF: libc::pid_t = 0;

/// Asks the kernel to give the calling thread slices of so many nanoseconds, and its children the
/// usual ones. An older kernel takes no notice.
///
/// A thread of another policy than the two common ones is left as it is, and so is one of a higher
/// priority than usual: its children would lose that.
pub(crate) fn set_time_slice(ns: u64) {
    let Some(mut attributes) = attributes() else { return };
    let common = [libc::SCHED_OTHER, libc::SCHED_BATCH];
    if !common.contains(&(attributes.sched_policy as i32)) || attributes.sched_nice < 0 {
        return;
    }
    attributes.sched_runtime = ns;
    attributes.sched_flags |= libc::SCHED_FLAG_RESET_ON_FORK as u64;
    // SAFETY: see the file's head.
    let _or_the_usual_ones =
        unsafe { libc::syscall(libc::SYS_sched_setattr, MYSELF, &raw const attributes, 0) };
}

/// Returns how the calling thread is scheduled; none where the kernel does not say.
fn attributes() -> Option<sched_attr> {
    let size = size_of::<sched_attr>() as u32;
    let mut attributes = sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    let into = &raw mut attributes;
    // SAFETY: see the file's head.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, MYSELF, into, size, 0) };
    (result == 0).then_some(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: u64 = 150_000;

    fn slice() -> u64 {
        attributes().expect("the kernel says").sched_runtime
    }

    /// Runs `body` on a thread of its own.
    fn apart<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(body).join().expect("its asserts hold")
    }

    /// True if the kernel has slices for each thread: it says what a thread has.
    fn has_slices() -> bool {
        apart(|| {
            set_time_slice(NS);
            slice() == NS
        })
    }

    #[test]
    fn a_thread_has_the_slice_and_those_that_it_makes_have_not() {
        if !has_slices() {
            return;
        }
        let usual = slice();
        assert_ne!(usual, NS);
        apart(move || {
            set_time_slice(NS);
            assert_eq!(slice(), NS);
            assert_eq!(apart(slice), usual);
            // Once more, and with another one.
            set_time_slice(2 * NS);
            assert_eq!(slice(), 2 * NS);
        });
        assert_eq!(slice(), usual);
    }

    #[test]
    fn a_thread_of_another_policy_or_of_higher_priority_keeps_everything() {
        let unchanged = || {
            let before = attributes().expect("the kernel says");
            set_time_slice(NS);
            let after = attributes().expect("the kernel says");
            let all = |of: &sched_attr| (of.sched_policy, of.sched_flags, of.sched_nice);
            assert_eq!(all(&before), all(&after));
            assert_eq!(before.sched_runtime, after.sched_runtime);
        };
        apart(move || {
            // The kernel's `struct sched_param`. Musl's function always fails, so the call is ours.
            let (call, idle): (_, libc::c_int) = (libc::SYS_sched_setscheduler, 0);
            // SAFETY: of the calling thread, with a parameter that exists.
            let set = unsafe { libc::syscall(call, 0, libc::SCHED_IDLE, &raw const idle) };
            assert_eq!(set, 0);
            unchanged();
        });
        apart(move || {
            // SAFETY: of the calling thread. Without the privilege it changes nothing.
            if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -5) } == 0 {
                unchanged();
            }
        });
    }
}
