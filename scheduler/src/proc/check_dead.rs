//! What is done about a runtime that stands still ([`standstill`](super::standstill)).
//!
//! # Who calls it
//!
//! [`act`] is `Sched::stands_still`: the agent that found the standstill calls it. It runs nothing
//! of the user's and waits for nothing. What is to be told is told from a thread of its own, since
//! events are user code.
//!
//! # What is done
//!
//! - *Report.* A deadlock is a warning, the first time. If somebody outside may wake a goroutine,
//!   the goroutines are listed at level `DEBUG`: that is the normal state of a server that plain
//!   threads hand work to.
//! - *Panic.* The runtime is closed, everything is cancelled, and `run` panics with the report.
//! - *What cannot be unwound.* A goroutine that panics already, or is shielded, goes on waiting.
//!   Then no agent is awake a second time. `gosched::run` would never return, so the process ends,
//!   as Go's does, with the exit code of a panic. In a host's runtime it is told.
//!
//! # Rejected
//!
//! Ending the process at once, for `gosched::run`: destructors in `main` would not run, and a test
//! could not catch the panic.

use gosched_runtime_sys::thread::end_process;

use crate::dump::Dump;
use crate::gmp::current;
use crate::gmp::g::G;
use crate::gmp::sched::Sched;
use crate::gmp::sched::deadlocks::Standstill;
use crate::mode::{Deadlock, Warnings};
use crate::proc::{events, new_thread, shutdown};

/// How many goroutines a report names at most.
const NAMED: usize = 100;

/// The exit code of a Rust program that panics.
const PANICKED: i32 = 101;

/// Acts on a standstill. True if it cancelled the goroutines, which then unwind.
#[cold]
pub(crate) fn act(sched: &Sched, what: Standstill) -> bool {
    let deadlocks = &sched.deadlocks;
    match what {
        Standstill::Listed if deadlocks.list_first() => {
            report(sched, |_, text| events::all_wait(text));
        }
        Standstill::Told if deadlocks.tell_first() => report(sched, events::deadlock),
        Standstill::Ended if deadlocks.tell_first() => {
            deadlocks.declare(format!("gosched: deadlock, all goroutines wait\n{}", list(sched)));
            shutdown::cancel_all(sched);
            return true;
        }
        Standstill::Stuck if deadlocks.stuck_first() => stuck(sched),
        _ => {}
    }
    false
}

/// Tells `what` with a list of the goroutines, from a thread of its own.
fn report(sched: &Sched, what: fn(Warnings, &str)) {
    let (text, warnings) = (list(sched), sched.config.warnings);
    let name = format!("{}-report", sched.config.name);
    let _no_thread_no_report = new_thread::make_outside(sched, name, move || what(warnings, &text));
}

/// Ends the process of `gosched::run`, which would never return. Tells a host.
fn stuck(sched: &Sched) {
    if sched.config.deadlock == Deadlock::PanicIfProven {
        events::say(format!("gosched: deadlock, these do not unwind\n{}", list(sched)));
        end_process(PANICKED);
    }
    report(sched, events::stuck);
}

/// Lists the goroutines, a line each. The calling one, which found that they wait, is among them.
fn list(sched: &Sched) -> String {
    let me = current::with(|cx| cx.and_then(|cx| cx.g()).map_or(0, G::id));
    let dump = Dump::of_standstill(sched, me);
    let lines = dump.goroutines.iter().take(NAMED).map(|goroutine| format!("{goroutine}\n"));
    let mut text: String = lines.collect();
    if dump.goroutines.len() > NAMED {
        text += &format!("and {} more\n", dump.goroutines.len() - NAMED);
    }
    text
}
