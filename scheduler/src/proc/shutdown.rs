//! How a runtime ends.
//!
//! # The order
//!
//! `Runtime::shutdown` calls [`shut_down`]; [`cancel_all`] is also what a deadlock and the end of
//! `run` call.
//!
//! 1. Nothing new starts: the runtime is closed.
//! 2. Every G is cancelled, all of them before any is waited for. A G that waits for another one
//!    then delays nothing.
//! 3. Their ends are awaited, up to a grace. Parked Gs unwind; running Gs end in their own time.
//! 4. Sysmon, the Ms and the pools' threads end, and are joined.
//!
//! What has not ended within the grace stays: thread, stack and runtime together. Unwinding a
//! goroutine from outside would be unsound, and so would freeing its stack.
//!
//! # The handshakes
//!
//! *Close and start.* The closer closes, fences, and cancels the records it finds. A G is made,
//! then published with a fence (`Idle::submit`), then started by an M that reads whether the
//! runtime closes (`start`). So either the closer finds the record, or the M finds the runtime
//! closed and begins the G as a cancelled one.
//!
//! *Close and enter.* A thread that enters registers, fences, and then reads the state; the closer
//! closes, fences, and then looks for registered threads (`thread_g`). One of the two sees the
//! other.
//!
//! *Drain* is no handshake: see [`LOOK_AGAIN`].
//!
//! # Safety
//!
//! Cancelling claims Gs, and a claimed G is made runnable at once.
#![expect(unsafe_code, reason = "cancels Gs through their records")]

use std::mem;
use std::sync::atomic::{Ordering::SeqCst, fence};
use std::time::{Duration, Instant};

use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::proc::{target, wake};

/// Closes `sched`, and wakes everything that waits in it to unwind. From then on nothing new
/// starts.
pub(crate) fn cancel_all(sched: &Sched) {
    sched.close();
    // ORDERING[idle.handshake]: after `close`, before the records are looked at; pairs with the
    // fence in `Idle::submit`, which comes after a G was made. A G whose record this walk misses
    // was made so late that its start sees the close.
    fence(SeqCst);
    sched.slab.each(|g| {
        // SAFETY: a record of this runtime.
        let wake = unsafe { target::cancel(g, sched) };
        wake.now();
    });
    for entered in thread_g::registered_in(sched) {
        // SAFETY: a thread-backed G's record, which is never freed, and no runtime is needed to
        // wake it.
        let wake = unsafe { target::cancel(entered.g().into(), sched) };
        wake.now();
    }
}

/// Cancels everything in `sched`, waits up to `grace` for it to end, and joins the threads.
///
/// The error is what has not ended: the number of goroutines, and of threads in callbacks.
pub(crate) fn shut_down(sched: &Sched, grace: Duration) -> Result<(), (u64, usize)> {
    cancel_all(sched);
    wait_until_drained(sched, grace)?;
    sched.sysmon_note.close();
    sched.dispatch.close();
    sched.threads.close();
    sched.blocking.close();
    sched.thread_maker.close();
    // Sysmon may be making a thread meanwhile: its handle is found in another pass.
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

/// How long shutdown sleeps at a time, before it looks again.
///
/// A thread that ends a goroutine or leaves a callback stores that and then reads whether the
/// runtime closes, without a fence in between: the fence would cost 5 ns at every end and every
/// callback. So the end and the shutdown may miss each other, and shutdown looks again. So may two
/// threads that shut down at once, since they sleep on one note.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until no goroutine and no thread in a callback is left, up to `grace`.
fn wait_until_drained(sched: &Sched, grace: Duration) -> Result<(), (u64, usize)> {
    // A grace that the clock cannot express has no end.
    let deadline = Instant::now().checked_add(grace);
    loop {
        // Thread-backed goroutines of `Mode::threads` are in `live` already.
        let inside =
            thread_g::registered_in(sched).iter().filter(|entered| entered.is_foreign()).count();
        let live = sched.live();
        if live > 0 && sched.m_count() == 0 {
            // What has not begun has to begin to end. Nobody but this thread may be there to see
            // to it.
            wake::wake_p_if_work(sched);
        }
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
