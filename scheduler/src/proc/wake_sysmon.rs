//! Telling sysmon that something waits, and making its thread.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::thread::spawn_thread;

use crate::ds::sysmon_note::WakeOutcome;
use crate::gmp::sched::Sched;
use crate::policy;
use crate::proc::start_m::keep;

/// After something was left behind that waits for user code to end: sysmon looks after it. Makes
/// its thread if there is none.
#[inline]
pub(crate) fn wake_sysmon(sched: &Sched) {
    if sched.sysmon_note.wake() == WakeOutcome::StartThread {
        start_sysmon(sched);
    }
}

/// The same for a deadline, if no sleeping M keeps it.
#[inline]
pub(crate) fn wake_sysmon_for_deadline(sched: &Sched, first: u64) {
    if first < sched.timekeeper.until()
        && sched.sysmon_note.wake_for_deadline(first) == WakeOutcome::StartThread
    {
        start_sysmon(sched);
    }
}

#[cold]
fn start_sysmon(sched: &Sched) {
    let now = monotonic_ns();
    if now >= sched.sysmon_not_before.load(Relaxed) {
        if spawn_sysmon(sched).is_ok() {
            return;
        }
        sched.sysmon_not_before.store(now + policy::retake::RETRY_NS, Relaxed);
    }
    // Without it the runtime works; nobody takes a P from a goroutine that keeps it.
    sched.sysmon_note.not_made();
}

fn spawn_sysmon(sched: &Sched) -> io::Result<()> {
    let owner = sched.arc();
    let name = format!("{}-sysmon", sched.config.name);
    let join = spawn_thread(name, move || (owner.sysmon_main)(&owner))?;
    keep(sched, join);
    Ok(())
}
