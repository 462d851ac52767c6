//! What there is in a runtime: every goroutine, where it was made, and what it does.
//!
//! Taken from the records alone, which stay mapped: no goroutine is stopped or asked, and no lock is taken that one of them
//! might hold. So each is as it was at a moment of its own, and one that ends meanwhile may be missing.
//!
//! # Safety
//!
//! Reads G records, which live as long as their runtime; of each what every thread may look at.
#![expect(unsafe_code, reason = "reads G records")]

use std::fmt;
use std::panic::Location;

use crate::current;
use crate::g::G;
use crate::sched::Sched;
use crate::thread_g;
use crate::why::Why;

/// The goroutines of a runtime, in the order of their numbers. Its `Display` has a line for each.
///
/// ```
/// use gosched_scheduler::{Mode, chan, dump, go, run};
///
/// let text = run(Mode::threads(), || {
///     let (tx, rx) = chan::bounded::<u32>(0);
///     let waits = go(move || rx.recv());
///     let text = dump().to_string();
///     drop(tx);
///     waits.join().unwrap().unwrap_err();
///     text
/// });
/// assert!(text.contains("goroutine "), "{text}");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Dump {
    /// Each of them.
    pub goroutines: Vec<Snapshot>,
}

/// A goroutine as it was at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its number.
    pub id: u64,
    /// What it did.
    pub state: State,
    /// Where it was made: the call of `go`, of `run`, or their like. `None` for a thread in a callback.
    pub made_at: Option<&'static Location<'static>>,
}

/// What a goroutine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It has not begun.
    NotStarted,
    /// It runs, or is ready to.
    Runnable,
    /// It waits, for this.
    Waiting(&'static str),
}

/// The goroutines of the runtime that the caller is in; none on a thread that is in no runtime.
#[must_use]
pub fn dump() -> Dump {
    // Kept by its count: collecting allocates, and what is called then is not to find the runtime borrowed.
    let sched = current::with(|cx| Some(cx?.sched().arc()));
    sched.map(|sched| Dump::of(&sched)).unwrap_or_default()
}

impl Dump {
    /// Of all goroutines of `sched`.
    pub(crate) fn of(sched: &Sched) -> Dump {
        let mut goroutines = Vec::new();
        sched.slab.each(|g| {
            // SAFETY: records live as long as the slab.
            goroutines.extend(Snapshot::of(unsafe { g.as_ref() }));
        });
        goroutines.sort_by_key(|goroutine: &Snapshot| goroutine.id);
        // Threads that act for a goroutine have its number: those of `Mode::threads`, whose records in the slab never begin, and
        // those that make a blocking call for a goroutine, which waits.
        for thread in thread_g::entered_in(sched) {
            let Some(acting) = Snapshot::of(thread.g()) else { continue };
            match goroutines.binary_search_by_key(&acting.id, |goroutine| goroutine.id) {
                Ok(at) if goroutines[at].state == State::NotStarted => goroutines[at].state = acting.state,
                Ok(_) => {}
                Err(at) => goroutines.insert(at, acting),
            }
        }
        Dump { goroutines }
    }

    /// Whether every one of them waits, and none for a waker that may be anywhere, or a call that will end.
    pub(crate) fn all_wait_for_each_other(&self) -> bool {
        let from_outside = [Why::Future.text(), Why::Blocking.text()];
        let waits = |state| matches!(state, State::Waiting(why) if !from_outside.contains(&why));
        self.goroutines.iter().all(|goroutine| waits(goroutine.state))
    }
}

impl Snapshot {
    fn of(g: &G) -> Option<Self> {
        let look = g.look()?;
        let state = match (look.begun, look.parked) {
            (false, _) => State::NotStarted,
            (true, false) => State::Runnable,
            (true, true) => State::Waiting(look.why.text()),
        };
        Some(Self { id: look.id, state, made_at: look.made_at })
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.goroutines.iter().try_for_each(|goroutine| writeln!(f, "{goroutine}"))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {}", self.id)?;
        match self.state {
            State::NotStarted => f.write_str(" has not begun")?,
            State::Runnable => f.write_str(" runs, or is ready to")?,
            State::Waiting(why) => write!(f, " waits for {why}")?,
        }
        match self.made_at {
            Some(place) => write!(f, ", made at {place}"),
            None => f.write_str(", a thread in a callback"),
        }
    }
}
