//! What is told of a goroutine that keeps its siblings waiting.
//!
//! Events are user code: a subscriber may take locks, allocate, or panic. Sysmon, on which
//! everybody relies, runs none; a thread made for the occasion tells, and ends.
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
use crate::proc::events::{self, Overstayed};

/// At most so many siblings are named.
const NAMED: usize = 8;

/// A goroutine that ran for long with settled siblings behind it.
#[derive(Debug)]
pub(crate) struct Overstay {
    goroutine: u64,
    made: Option<&'static Location<'static>>,
    ran: Duration,
    blocked: bool,
    /// Goroutines settled on the same thread.
    siblings: Vec<u64>,
    thread: String,
}

impl Overstay {
    /// What there is to tell; nothing if nobody listens, or the goroutine has suspended meanwhile.
    pub(crate) fn of(sched: &Sched, m: &'static M, ran: Duration, blocked: bool) -> Option<Self> {
        if !events::warnings_are_heard() {
            return None;
        }
        let (goroutine, made) = sched.running_on(m)?;
        let mut siblings = Vec::with_capacity(NAMED);
        sched.slab.each(|g| {
            // SAFETY: records live as long as the slab.
            let g = unsafe { g.as_ref() };
            let (id, here) = (g.id(), g.settled_on() == m.number());
            if here && id != 0 && id != goroutine && siblings.len() < NAMED {
                siblings.push(id);
            }
        });
        Some(Self {
            goroutine,
            made,
            ran,
            blocked,
            siblings,
            thread: format!("{}-report", sched.config.name),
        })
    }

    /// Tells it, from a thread of its own. `lock`: it has lasted so long that a lock may be the
    /// reason.
    pub(crate) fn tell(self, lock: bool) {
        let name = self.thread.clone();
        // No thread, no report; the next look tries again if it still lasts.
        let _detached = spawn_thread(name, move || self.emit(lock));
    }

    fn emit(&self, lock: bool) {
        let made_at = self.made.map_or_else(|| "somewhere".to_owned(), ToString::to_string);
        let doing = if self.blocked { "blocks its thread" } else { "computes" };
        let advice = if lock && self.blocked {
            "; one of these may hold the std lock it waits for: such a lock must not be held over a \
             wait (use gosched::sync)"
        } else {
            " (use blocking, Builder::own_thread, or yield_now)"
        };
        let who = Overstayed {
            goroutine: self.goroutine,
            made_at: &made_at,
            ran_ms: self.ran.as_millis() as u64,
            siblings: &self.siblings,
        };
        events::overstayed(
            &who,
            &format_args!(
                "gosched: a goroutine {doing} and keeps those settled on the same thread \
                 waiting{advice}"
            ),
        );
    }
}
