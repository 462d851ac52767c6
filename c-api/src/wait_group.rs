//! Counting down to zero, and waiting for that.
//!
//! # Safety
//!
//! Handles are what the header says.
#![expect(unsafe_code, reason = "exported names; handles of C")]

use gosched::sync;

use crate::code::{Code, GOSCHED_NOT_HELD, GOSCHED_PANICKED, GOSCHED_TIMED_OUT};
use crate::failure::Failure;
use crate::guard::{caught, give, give_back, guarded, hold, nanoseconds, place, share};

/// A count, and those that wait until it is zero.
#[derive(Debug)]
pub struct WaitGroup(sync::WaitGroup);

/// Makes a wait group with a count of zero, and leaves it in *group.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_wait_group_new(group: *mut *mut WaitGroup) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let out = unsafe { place(group) }?;
        out.write(give(WaitGroup(sync::WaitGroup::new()))?);
        Ok(())
    })
}

/// Counts count more.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_wait_group_add(group: *mut WaitGroup, count: usize) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { hold(group) }?.0.add(count);
        Ok(())
    })
}

/// Counts one down. The last one wakes those that wait. GOSCHED_NOT_HELD if the count is zero.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_wait_group_done(group: *mut WaitGroup) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let group = unsafe { hold(group) }?;
        if group.0.count() == 0 {
            return Err(Failure::plain(GOSCHED_NOT_HELD));
        }
        // Another one may have been faster.
        let counted = caught(|| {
            group.0.done();
            Ok(())
        });
        counted.map_err(|failure| match failure.code() {
            GOSCHED_PANICKED => Failure::plain(GOSCHED_NOT_HELD),
            _ => failure,
        })
    })
}

/// Waits until the count is zero. GOSCHED_CANCELLED.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_wait_group_wait(group: *mut WaitGroup) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { hold(group) }?.0.wait();
        Ok(())
    })
}

/// As gosched_wait_group_wait, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_wait_group_wait_timeout(
    group: *mut WaitGroup,
    timeout_ns: u64,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let waited = unsafe { hold(group) }?.0.wait_timeout(nanoseconds(timeout_ns));
        waited.map_err(|_late| Failure::plain(GOSCHED_TIMED_OUT))
    })
}

/// Adds a reference to the group and returns it. Each reference is freed once. NULL stays NULL.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_wait_group_share(group: *mut WaitGroup) -> *mut WaitGroup {
    // SAFETY: the header's contract.
    unsafe { share(group) }
}

/// Gives a reference back. NULL is ignored.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_wait_group_free(group: *mut WaitGroup) {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { give_back(group) }
    });
}
