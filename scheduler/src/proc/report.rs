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
use std::sync::Arc;
use std::time::Duration;

use crate::gmp::m::M;
use crate::gmp::names::Name;
use crate::gmp::sched::Sched;
use crate::gmp::wait_reason::WaitReason;
use crate::proc::events::{self, Overstayed};
use crate::proc::new_thread;

/// How many of the goroutines that wait a report names at most.
const NAMED: usize = 8;

/// A goroutine that has run for long with settled siblings behind it.
#[derive(Debug)]
pub(crate) struct Overstay {
    goroutine: u64,
    made: Option<&'static Location<'static>>,
    name: Option<Arc<Name>>,
    ran: Duration,
    doing: Doing,
    /// Goroutines settled on the same thread.
    siblings: Vec<u64>,
    /// Goroutines that have not begun.
    not_begun: Vec<u64>,
    sched: Arc<Sched>,
}

/// What such a goroutine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Computes,
    Blocks,
    /// Its thread sleeps in its place, while it waits for this.
    Waits(WaitReason),
}

impl Overstay {
    /// Returns what there is to report of the goroutine on `m`. `None` if nobody listens, or
    /// the goroutine has suspended meanwhile.
    pub(crate) fn of(sched: &Sched, m: &'static M, ran: Duration, blocked: bool) -> Option<Self> {
        if !events::warnings_are_heard(sched.config.warnings) {
            return None;
        }
        let occupant = sched.occupant(m)?;
        let goroutine = occupant.view.id;
        let (mut siblings, mut not_begun) = (Vec::new(), Vec::new());
        sched.slab.each(|g| {
            // SAFETY: records live as long as the slab.
            let Some(view) = unsafe { g.as_ref() }.view() else { return };
            let waiting = if !view.begun {
                &mut not_begun
            } else if view.settled_on == m.number() && view.id != goroutine {
                &mut siblings
            } else {
                return;
            };
            if waiting.len() < NAMED {
                waiting.push(view.id);
            }
        });
        Some(Self {
            goroutine,
            made: occupant.view.made_at,
            name: sched.names.all().into_iter().find(|name| name.id() == goroutine),
            ran,
            doing: match (occupant.in_place, occupant.view.parked, blocked) {
                (true, true, _) => Doing::Waits(occupant.view.wait_reason),
                (true, false, _) | (false, _, true) => Doing::Blocks,
                (false, _, false) => Doing::Computes,
            },
            siblings,
            not_begun,
            sched: sched.arc(),
        })
    }

    /// Emits the event, from a thread of its own. `lock`: the goroutine has run for so long that a
    /// lock may be the reason.
    pub(crate) fn spawn_report(self, lock: bool) {
        let sched = self.sched.clone();
        let name = format!("{}-report", sched.config.name);
        // Without a thread this report is lost. The one after a second is another try.
        let _detached = new_thread::make_outside(&sched, name, move || self.emit(lock));
    }

    fn emit(&self, lock: bool) {
        let made_at = self.made.map_or_else(|| "somewhere".to_owned(), ToString::to_string);
        let who = Overstayed {
            goroutine: self.goroutine,
            made_at: &made_at,
            name: self.name.as_ref().map_or("", |name| &name.text),
            ran_ms: self.ran.as_millis() as u64,
            not_begun: &self.not_begun,
            siblings: &self.siblings,
        };
        let doing = match self.doing {
            Doing::Computes => "computes".to_owned(),
            Doing::Blocks => "blocks its thread".to_owned(),
            Doing::Waits(why) => format!("waits in place for {}", why.text()),
        };
        let text = format!(
            "gosched: a goroutine {doing} and keeps those settled on the same thread waiting{}",
            self.doing.remedy(lock)
        );
        events::overstayed(self.sched.config.warnings, &who, &text);
    }
}

impl Doing {
    /// Returns what helps. `lock`: it has lasted for so long that a lock may be the reason.
    fn remedy(self, lock: bool) -> &'static str {
        match self {
            Doing::Blocks if lock => {
                "; one of these may hold the std lock it waits for: such a lock must not be held \
                 over a wait (use gosched::sync)"
            }
            Doing::Computes | Doing::Blocks => " (use blocking, Builder::own_thread, or yield_now)",
            Doing::Waits(_) => {
                ": it panics, has locked its thread, or was called back (use Builder::own_thread, \
                 or scope for what a destructor joins)"
            }
        }
    }
}
