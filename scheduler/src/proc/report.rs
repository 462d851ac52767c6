//! The report of a goroutine that keeps its siblings waiting.
//!
//! A goroutine does so when it computes, when it blocks its thread, and when it waits in place:
//! while it unwinds, in a call-back of C, or in a blocking call on its own thread (`in_place`). If
//! it waits for one of those behind it, all wait for ever: a pool whose destructor joins its
//! workers, in a goroutine that panics.
//!
//! When a goroutine has kept its thread for long, sysmon collects what the report says by
//! [`Overstay::of`], and calls [`spawn_report`](Overstay::spawn_report). Events are user code: a
//! subscriber may take locks, allocate, or panic. Sysmon runs none, since the whole runtime relies
//! on it; a thread made for the occasion emits the event and ends.
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
use crate::gmp::progress::{Keeping, Keeps};
use crate::gmp::sched::Sched;
use crate::proc::events::{self, Overstayed};
use crate::proc::new_thread;

/// How many of the goroutines that wait a report names at most.
const NAMED: usize = 8;

/// A goroutine that has kept its thread for long with settled siblings behind it.
#[derive(Debug)]
pub(crate) struct Overstay {
    goroutine: u64,
    made: Option<&'static Location<'static>>,
    name: Option<Arc<Name>>,
    lasted: Duration,
    doing: Doing,
    /// Goroutines settled on the same thread.
    siblings: Vec<u64>,
    /// Goroutines that have not begun.
    not_begun: Vec<u64>,
    sched: Arc<Sched>,
}

/// What such a goroutine does.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Computes,
    Blocks,
    WaitsInPlace(Keeping),
}

impl Overstay {
    /// Returns what there is to report of the goroutine that has the thread of `m`. `None` if
    /// nobody listens, nobody waits, or the goroutine has suspended meanwhile.
    pub(crate) fn of(
        sched: &Sched,
        m: &'static M,
        lasted: Duration,
        blocked: bool,
    ) -> Option<Self> {
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
        if siblings.is_empty() && not_begun.is_empty() {
            // Who waited has found another thread.
            return None;
        }
        Some(Self {
            goroutine,
            made: occupant.view.made_at,
            name: sched.names.all().into_iter().find(|name| name.id() == goroutine),
            lasted,
            doing: match (occupant.in_place, blocked) {
                (true, _) => Doing::WaitsInPlace(m.progress.keeping()),
                (false, true) => Doing::Blocks,
                (false, false) => Doing::Computes,
            },
            siblings,
            not_begun,
            sched: sched.arc(),
        })
    }

    /// Emits the event, from a thread of its own. `lock`: it has lasted for so long that a lock may
    /// be the reason.
    pub(crate) fn spawn_report(self, lock: bool) {
        let sched = self.sched.clone();
        let name = format!("{}-report", sched.config.name);
        // Without a thread this report is lost.
        let _detached = new_thread::make_outside(&sched, name, move || self.emit(lock));
    }

    fn emit(&self, lock: bool) {
        let made_at = self.made.map_or_else(|| "somewhere".to_owned(), ToString::to_string);
        let who = Overstayed {
            goroutine: self.goroutine,
            made_at: &made_at,
            name: self.name.as_ref().map_or("", |name| &name.text),
            lasted_ms: self.lasted.as_millis() as u64,
            not_begun: &self.not_begun,
            siblings: &self.siblings,
            remedy: self.doing.remedy(lock),
        };
        let text = format!(
            "gosched: a goroutine {} and keeps those settled on the same thread waiting{}",
            self.doing.text(),
            who.remedy
        );
        events::overstayed(self.sched.config.warnings, &who, &text);
    }
}

impl Doing {
    /// Returns the words that follow "a goroutine".
    fn text(self) -> String {
        let Doing::WaitsInPlace(Keeping { keeps, waits_for, joins }) = self else {
            let blocks = matches!(self, Doing::Blocks);
            return if blocks { "blocks its thread" } else { "computes" }.to_owned();
        };
        let waits_for = match joins {
            0 => waits_for.text().to_owned(),
            joins => format!("the end of goroutine {joins}"),
        };
        match keeps {
            Keeps::Unwinds => format!("waits in place for {waits_for} while it unwinds"),
            Keeps::Nested => format!(
                "waits in place for {waits_for} in a call-back of C, or inside of an operation \
                 that may not switch,"
            ),
            Keeps::Blocks => "is in a call of `blocking` on its own thread, to which it is locked \
                              or because no helper is free,"
                .to_owned(),
        }
    }

    /// Returns what helps. `lock`: it has lasted for so long that a lock may be the reason.
    fn remedy(self, lock: bool) -> &'static str {
        match self {
            Doing::Blocks if lock => {
                "; one of these may hold the std lock it waits for: such a lock must not be held \
                 over a wait (use gosched::sync)"
            }
            Doing::Computes | Doing::Blocks => " (use blocking, Builder::own_thread, or yield_now)",
            Doing::WaitsInPlace(Keeping { keeps: Keeps::Unwinds, .. }) => {
                ", for ever if it waits for one of them (use JoinHandle::join_on_drop, or scope, \
                 for what a destructor joins)"
            }
            Doing::WaitsInPlace(Keeping { keeps: Keeps::Nested, .. }) => {
                ", for ever if it waits for one of them (use Builder::own_thread for what C calls \
                 back and waits)"
            }
            Doing::WaitsInPlace(Keeping { keeps: Keeps::Blocks, .. }) => {
                ", for ever if it waits for one of them (use Builder::own_thread in place of \
                 lock_thread, or raise max_blocking_threads)"
            }
        }
    }
}
