//! The report of a goroutine that keeps its siblings waiting.
//!
//! When a goroutine has run for long, sysmon collects what the report says by [`Overstay::of`], and
//! calls [`spawn_report`](Overstay::spawn_report). Events are user code: a subscriber may take
//! locks, allocate, or panic. Sysmon runs none, since the whole runtime relies on it; a thread made
//! for the occasion emits the event and ends.
//!
//! # Safety
//!
//! Walks the records of a runtime that its caller is in.
#![expect(unsafe_code, reason = "reads G records")]

use std::panic::Location;
use std::time::Duration;

use gosched_runtime_sys::thread::spawn_thread;

use crate::gmp::m::M;
use crate::gmp::sched::Sched;
use crate::mode::Warnings;
use crate::proc::events::{self, Overstayed};

/// How many siblings a report names at most.
const NAMED: usize = 8;

/// Returns the numbers of some goroutines, other than `goroutine`, that have settled on `m`.
pub(crate) fn settled_beside(sched: &Sched, m: &M, goroutine: u64) -> Vec<u64> {
    let mut siblings = Vec::with_capacity(NAMED);
    sched.slab.each(|g| {
        // SAFETY: records live as long as the slab.
        let g = unsafe { g.as_ref() };
        let (id, here) = (g.id(), g.settled_on() == m.number());
        if here && id != 0 && id != goroutine && siblings.len() < NAMED {
            siblings.push(id);
        }
    });
    siblings
}

/// A goroutine that has run for long with settled siblings behind it.
#[derive(Debug)]
pub(crate) struct Overstay {
    goroutine: u64,
    made: Option<&'static Location<'static>>,
    ran: Duration,
    blocked: bool,
    /// Goroutines settled on the same thread.
    siblings: Vec<u64>,
    thread: String,
    warnings: Warnings,
}

impl Overstay {
    /// Returns what there is to report of the goroutine on `m`. `None` if nobody listens, or
    /// the goroutine has suspended meanwhile.
    pub(crate) fn of(sched: &Sched, m: &'static M, ran: Duration, blocked: bool) -> Option<Self> {
        if !events::warnings_are_heard(sched.config.warnings) {
            return None;
        }
        let (goroutine, made) = sched.running_on(m)?;
        let siblings = settled_beside(sched, m, goroutine);
        Some(Self {
            goroutine,
            made,
            ran,
            blocked,
            siblings,
            thread: format!("{}-report", sched.config.name),
            warnings: sched.config.warnings,
        })
    }

    /// Emits the event, from a thread of its own. `lock`: the goroutine has run for so long that a
    /// lock may be the reason.
    pub(crate) fn spawn_report(self, lock: bool) {
        let name = self.thread.clone();
        // Without a thread this report is lost. The one after a second is another try.
        let _detached = spawn_thread(name, move || self.emit(lock));
    }

    fn emit(&self, lock: bool) {
        let made_at = self.made.map_or_else(|| "somewhere".to_owned(), ToString::to_string);
        let doing = if self.blocked { "blocks its thread" } else { "computes" };
        let advice = if lock && self.blocked {
            "; one of these may hold the std lock it waits for: such a lock must not be held over \
             a wait (use gosched::sync)"
        } else {
            " (use blocking, Builder::own_thread, or yield_now)"
        };
        let who = Overstayed {
            goroutine: self.goroutine,
            made_at: &made_at,
            ran_ms: self.ran.as_millis() as u64,
            siblings: &self.siblings,
        };
        let text = format!(
            "gosched: a goroutine {doing} and keeps those settled on the same thread \
             waiting{advice}"
        );
        events::overstayed(self.warnings, &who, &text);
    }
}
