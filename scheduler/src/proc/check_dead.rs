//! Deadlock detection: nothing runs, and nothing that the runtime knows of can change that.
//!
//! # Who calls it, and when
//!
//! An M calls [`check`] when it has put itself among the sleepers, before it sleeps
//! (`Dispatch::sleep`). The lock under which Ms fall asleep makes that one moment: the M that falls
//! asleep last finds all Ms of the runtime there, so no M runs a goroutine.
//!
//! # What vetoes
//!
//! What can still wake a goroutine is outside of the dispatch then. The runtime is not dead while
//! it knows of something that may: free work or a timer; a thread inside the runtime, in a callback
//! or a blocking call; a bridge, through which a thread may come in; a goroutine that waits for a
//! future, whose waker may be anywhere; a goroutine that waits for a blocking call which a thread
//! is about to make.
//!
//! Of plain threads, other runtimes and their channels the runtime knows nothing. So a runtime in
//! which all goroutines wait is no proof of a deadlock, and by default it is only reported, as an
//! event. It is a proof under `Deadlock::Panic`: with that the builder promised that none of those
//! wakes a goroutine. Then the runtime is closed, everything is cancelled, and `run` panics with
//! the report.
//!
//! # What goes unnoticed
//!
//! Nothing is checked where goroutines are threads, nor while a goroutine waits in place: its
//! thread is no sleeper of the dispatch. A deadlock may go unnoticed; none is found where there is
//! none.
//!
//! # Rejected
//!
//! Looking at all records whenever an M falls asleep: a server with a million goroutines would walk
//! them each time it has nothing to do. The records are looked at once everything else says that it
//! is over.

use crate::ds::timers::NEVER;
use crate::dump::Dump;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::mode::Deadlock;
use crate::proc::{events, new_thread, shutdown};

/// How many goroutines a report names at most.
const NAMED: usize = 100;

/// True if a deadlock was found and the runtime was closed for it: then the caller does not sleep.
///
/// The caller is an M that is about to sleep, and is among the sleepers.
#[inline]
pub(crate) fn check(sched: &Sched) -> bool {
    match sched.config.deadlock {
        Deadlock::Ignore => false,
        Deadlock::Report => events::reports_are_heard() && report_once(sched),
        Deadlock::Panic => all_wait(sched) && end_runtime(sched),
    }
}

/// True if no goroutine runs and the runtime knows of nothing that could wake one.
fn all_wait(sched: &Sched) -> bool {
    sched.dispatch.all_asleep(sched.m_count())
        && !sched.closing()
        && sched.live() > 0
        && !sched.has_free_work()
        && sched.first_timer() == NEVER
        && sched.deadlocks.bridges() == 0
        && !thread_g::any_registered(sched)
}

/// Emits the event, the first time, from a thread of its own, since events are user code. Always
/// false: the M sleeps.
#[cold]
fn report_once(sched: &Sched) -> bool {
    if !all_wait(sched) || !sched.deadlocks.first_time() {
        return false;
    }
    let text = text(&Dump::of(sched));
    let name = format!("{}-report", sched.config.name);
    let _no_thread_no_report = new_thread::make(sched, name, move || events::all_wait(&text));
    false
}

/// Closes the runtime, if each goroutine waits for another. Its root goroutines panic with the
/// report, all others are cancelled.
#[cold]
fn end_runtime(sched: &Sched) -> bool {
    let dump = Dump::of(sched);
    if !dump.all_wait_for_each_other() || !sched.deadlocks.first_time() {
        return false;
    }
    sched.deadlocks.declare(format!("gosched: deadlock, all goroutines wait\n{}", text(&dump)));
    shutdown::cancel_all(sched);
    true
}

/// Lists the goroutines of `dump`, a line each.
fn text(dump: &Dump) -> String {
    let lines = dump.goroutines.iter().take(NAMED).map(|goroutine| format!("{goroutine}\n"));
    let mut text: String = lines.collect();
    if dump.goroutines.len() > NAMED {
        text += &format!("and {} more\n", dump.goroutines.len() - NAMED);
    }
    text
}
