//! Nothing runs, and nothing in the runtime is left that could change that.
//!
//! An M looks when it has put itself among the sleepers: the last one of them finds all others
//! there. At that moment no M runs a goroutine, and what could still wake one is outside of the
//! dispatch. Vetoed is what the runtime knows of that: a timer; a thread inside it (in a callback,
//! in a blocking call); a bridge by which one may come; a goroutine that waits for a future, whose
//! waker may be anywhere, or for a blocking call that a thread is on its way to make. Not known are
//! plain threads, other runtimes and their channels, so that being quiet is no proof of a deadlock:
//! it is one for who promised that nobody of those wakes a goroutine (`Deadlock::Panic`).
//!
//! Nobody looks where goroutines are threads, nor while one waits in place: its thread is no
//! sleeper of the dispatch. Then a deadlock goes unnoticed; it is never seen where there is none.
//!
//! Rejected: looking at all records whenever an M sleeps, to find each of them parked: a million of
//! them, for each time a server has nothing to do. They are looked at once everything else says
//! that it is over.

use gosched_runtime_sys::thread::spawn_thread;

use crate::ds::timers::NEVER;
use crate::dump::Dump;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::mode::Deadlock;
use crate::proc::{events, shutdown};

/// How many goroutines a report names.
const NAMED: usize = 100;

/// Called by an M that is about to sleep, and is among the sleepers. True: something was done about
/// it, and it looks again.
#[inline]
pub(crate) fn check(sched: &Sched) -> bool {
    match sched.config.deadlock {
        Deadlock::Ignore => false,
        Deadlock::Report => events::reports_are_heard() && report_once(sched),
        Deadlock::Panic => all_wait(sched) && end(sched),
    }
}

fn all_wait(sched: &Sched) -> bool {
    sched.dispatch.all_asleep(sched.m_count())
        && !sched.closing()
        && sched.live() > 0
        && !sched.has_free_work()
        && sched.first_timer() == NEVER
        && sched.deadlocks.bridges() == 0
        && !thread_g::any_registered(sched)
}

/// Tells of it, the first time, from a thread of its own: events are user code. The M sleeps on.
#[cold]
fn report_once(sched: &Sched) -> bool {
    if !all_wait(sched) || !sched.deadlocks.first_time() {
        return false;
    }
    let text = text(&Dump::of(sched));
    let name = format!("{}-report", sched.config.name);
    let _no_thread_no_report = spawn_thread(name, move || events::all_wait(&text));
    false
}

/// Ends the runtime: its root goroutines panic with the report, all others are cancelled.
#[cold]
fn end(sched: &Sched) -> bool {
    let dump = Dump::of(sched);
    if !dump.all_wait_for_each_other() || !sched.deadlocks.first_time() {
        return false;
    }
    sched.deadlocks.declare(format!("gosched: deadlock, all goroutines wait\n{}", text(&dump)));
    shutdown::cancel_all(sched);
    true
}

fn text(dump: &Dump) -> String {
    let lines = dump.goroutines.iter().take(NAMED).map(|goroutine| format!("{goroutine}\n"));
    let mut text: String = lines.collect();
    if dump.goroutines.len() > NAMED {
        text += &format!("and {} more\n", dump.goroutines.len() - NAMED);
    }
    text
}
