//! How a runtime ends.
//!
//! First nothing new starts, then every G is cancelled - all of them, before any is waited for, so
//! that a G that waits for another does not hold the end up - then their ends are awaited. Parked
//! Gs unwind; running ones end in their own time, up to a grace. What has not ended then is left
//! alone, thread, stack and runtime together: unwinding it from outside would be unsound, and so
//! would freeing its stack.
//!
//! # Safety
//!
//! Cancelling claims Gs; a claimed G is made runnable at once.
#![expect(unsafe_code, reason = "cancels Gs through their records")]

use std::mem;
use std::sync::atomic::{Ordering::SeqCst, fence};
use std::time::{Duration, Instant};

use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::proc::target;

/// From here on nothing new starts in `sched`, and everything that waits in it is woken to unwind.
pub(crate) fn cancel_all(sched: &Sched) {
    sched.close();
    // ORDERING[idle.handshake]: after `close`, before the records are looked at; pairs with the
    // fence in `Idle::submit`, which comes after a G was made: it is made after this cancel, which
    // it then did not see, only if it sees the close.
    fence(SeqCst);
    sched.slab.each(|g| {
        // SAFETY: a record of this runtime.
        let wake = unsafe { target::cancel(g, sched) };
        wake.now();
    });
    for entered in thread_g::registered_in(sched) {
        // SAFETY: a thread-backed G's record, which is never freed; it needs no runtime to be
        // woken.
        let wake = unsafe { target::cancel(entered.g().into(), sched) };
        wake.now();
    }
}

/// Cancels everything in `sched` and waits up to `grace` for it to end. What is left: goroutines,
/// threads in callbacks.
pub(crate) fn shut_down(sched: &Sched, grace: Duration) -> Result<(), (u64, usize)> {
    cancel_all(sched);
    drained(sched, grace)?;
    sched.sysmon_note.close();
    sched.dispatch.close();
    sched.threads.close();
    sched.blocking.close();
    // One that is being made meanwhile, by sysmon, comes in another round.
    loop {
        let threads = mem::take(&mut *sched.threads_to_join.lock());
        if threads.is_empty() {
            return Ok(());
        }
        for thread in threads {
            // An M's loop does not panic: that aborts.
            let _ended = thread.join();
        }
    }
}

/// How long shutdown sleeps at a time. Who ends a goroutine or leaves a callback stores that, and
/// looks whether the runtime closes, without a fence in between: 5 ns on every end and every
/// callback would be dearer than this, once. So the two may miss each other, and shutdown looks
/// again. (So may two threads that shut down at once, which sleep on one note.)
const LOOK_AGAIN: Duration = Duration::from_millis(5);

fn drained(sched: &Sched, grace: Duration) -> Result<(), (u64, usize)> {
    // A grace beyond what the clock can count is one without end.
    let deadline = Instant::now().checked_add(grace);
    loop {
        // Goroutines that are threads count as goroutines.
        let inside =
            thread_g::registered_in(sched).iter().filter(|entered| entered.is_foreign()).count();
        let live = sched.live();
        if live == 0 && inside == 0 {
            return Ok(());
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err((live, inside));
        }
        let soon = now + LOOK_AGAIN;
        let _woken_or_not =
            sched.drained.sleep_until(deadline.map_or(soon, |deadline| deadline.min(soon)));
    }
}
