//! The report of a goroutine that waits without leaving its thread to those settled there.
//!
//! A goroutine waits so while it unwinds, in a call-back of C, or in a blocking call on its own
//! thread (`in_place`). One that is ready behind it cannot run. If it is the one that is waited
//! for, both wait for ever: a pool whose destructor joins its workers, in a goroutine that panics.
//!
//! As in [`report`](super::report), sysmon collects and a thread of its own tells.

use std::panic::Location;
use std::time::Duration;

use gosched_runtime_sys::thread::spawn_thread;

use crate::gmp::m::M;
use crate::gmp::progress::{Keeping, Keeps};
use crate::gmp::sched::Sched;
use crate::mode::Warnings;
use crate::proc::events::{self, KeptWaiting};
use crate::proc::report::settled_beside;

/// A goroutine that waits in place, with settled siblings behind it.
#[derive(Debug)]
pub(crate) struct Kept {
    goroutine: u64,
    made: Option<&'static Location<'static>>,
    keeping: Keeping,
    waited: Duration,
    siblings: Vec<u64>,
    thread: String,
    warnings: Warnings,
}

impl Kept {
    /// Returns what there is to report of the goroutine for which the thread of `m` sleeps or
    /// blocks. `None` if nobody listens, or it has gone on meanwhile.
    pub(crate) fn of(sched: &Sched, m: &'static M, waited: Duration) -> Option<Self> {
        if !events::warnings_are_heard(sched.config.warnings) {
            return None;
        }
        let (goroutine, made) = sched.in_place_on(m)?;
        Some(Self {
            goroutine,
            made,
            keeping: m.progress.keeping(),
            waited,
            siblings: settled_beside(sched, m, goroutine),
            thread: format!("{}-report", sched.config.name),
            warnings: sched.config.warnings,
        })
    }

    /// Emits the event, from a thread of its own.
    pub(crate) fn spawn_report(self) {
        let name = self.thread.clone();
        // Without a thread this report is lost.
        let _detached = spawn_thread(name, move || self.emit());
    }

    fn emit(&self) {
        let made_at = self.made.map_or_else(|| "somewhere".to_owned(), ToString::to_string);
        let Keeping { keeps, waits_for, joins } = self.keeping;
        let what = match (keeps, joins) {
            (Keeps::Blocks, _) => "is in a call of `blocking` on its own thread".to_owned(),
            (_, 0) => format!("waits for {}", waits_for.text()),
            (_, joins) => format!("waits for the end of goroutine {joins}"),
        };
        let (doing, advice) = match keeps {
            Keeps::Unwinds => (
                "while it unwinds",
                "what is joined in a destructor is joined by JoinHandle::join_on_drop, or in a \
                 gosched::scope",
            ),
            Keeps::Nested => (
                "in a call-back of C, or inside of an operation that may not switch",
                "a call that C makes back must not wait for goroutines of its own thread",
            ),
            Keeps::Blocks => (
                "because it is locked to the thread, or no helper is free",
                "use Builder::own_thread in place of lock_thread, or raise max_blocking_threads",
            ),
        };
        let who = KeptWaiting {
            goroutine: self.goroutine,
            made_at: &made_at,
            waited_ms: self.waited.as_millis() as u64,
            siblings: &self.siblings,
        };
        let text = format!(
            "gosched: a goroutine {what} {doing}, and keeps those settled on the same thread \
             waiting, perhaps for ever if it waits for one of them ({advice})"
        );
        events::kept_waiting(self.warnings, &who, &text);
    }
}
