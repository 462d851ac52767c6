//! Waking sysmon when something is left behind user code, and making its thread.
//!
//! # Who calls it
//!
//! Whoever leaves something behind that waits for user code to end:
//!
//! - an M that switches to a G while others are ready behind it, in its own queue or its P's
//!   (`run`, `fast_rounds`);
//! - whoever makes a settled G ready whose M is awake (`wake`);
//! - a publisher of free work that finds no idle P (`wake`);
//! - whoever puts an M into the line (`wake`, `run`);
//! - an M that is about to run a goroutine while a timer is left that no sleeping M keeps (`run`);
//! - `set_procs`, if Ps in use are too many.
//!
//! # The handshake
//!
//! This is the *behind* pair, of which the proof is at the head of `ds::sysmon_note`:
//!
//! ```text
//! the caller, wake_sysmon                       sysmon
//!   1 leave something behind                      1 word = ASLEEP
//!   2 light fence                                 2 heavy fence
//!   3 read the word: if ASLEEP, wake sysmon;      3 look at what waits; sleep if nothing does
//!     if ABSENT, make its thread
//! ```
//!
//! The left side runs at every switch to a goroutine that others wait behind, so its fence is the
//! light one of the pair.
//!
//! # Who owns what
//!
//! The word is ABSENT at first: a runtime in which nothing ever waits behind user code, or is sent
//! to an M that is awake, has no such thread. A caller that finds ABSENT exchanges it for AWAKE, so
//! of several callers one makes the thread. If it cannot, it writes ABSENT again
//! ([`not_made`](crate::ds::sysmon_note::SysmonNote::not_made)), and a later caller tries once
//! `RETRY_NS` have passed. The runtime works without sysmon: then nothing takes a P from a
//! goroutine that keeps it.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use gosched_runtime_sys::clock::monotonic_ns;

use crate::ds::sysmon_note::WakeOutcome;
use crate::gmp::sched::Sched;
use crate::policy;
use crate::proc::new_thread;

/// Wakes sysmon if it sleeps; makes its thread if there is none. Called after something was left
/// that waits for user code to end.
#[inline]
pub(crate) fn wake_sysmon(sched: &Sched) {
    if sched.sysmon_note.wake() == WakeOutcome::StartThread {
        start_sysmon(sched);
    }
}

/// Wakes sysmon if it would sleep past the deadline `first` and the runtime's slack, unless a
/// sleeping M keeps it.
///
/// Called in each round of an M with timers, so nobody counts here whether so many are due that the
/// slack is taken. A slack longer than [`LATE_NS`](policy::LATE_NS) is not waited for.
#[inline]
pub(crate) fn wake_sysmon_for_deadline(sched: &Sched, first: u64) {
    let latest = first.saturating_add(sched.config.timer_slack_ns.min(policy::LATE_NS));
    if latest < sched.timekeeper.until()
        && sched.sysmon_note.wake_for_deadline(latest) == WakeOutcome::StartThread
    {
        start_sysmon(sched);
    }
}

/// Makes sysmon's thread, unless a try failed just now.
#[cold]
fn start_sysmon(sched: &Sched) {
    let now = monotonic_ns();
    if now >= sched.sysmon_not_before.load(Relaxed) {
        if spawn_sysmon(sched).is_ok() {
            sched.has_sysmon.store(true, Relaxed);
            return;
        }
        sched.sysmon_not_before.store(now + policy::retake::RETRY_NS, Relaxed);
    }
    // The runtime works without it. Nothing then takes a P from a goroutine that keeps it.
    sched.sysmon_note.not_made();
}

fn spawn_sysmon(sched: &Sched) -> io::Result<()> {
    let owner = sched.arc();
    let name = format!("{}-sysmon", sched.config.name);
    let main = move || {
        new_thread::ask_for_slice(&owner);
        (owner.sysmon_main)(&owner);
    };
    let join = new_thread::make(sched, name, main)?;
    new_thread::keep_handle(sched, join);
    Ok(())
}
