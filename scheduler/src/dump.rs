//! What there is in a runtime: every goroutine, where it was made, and what it does.
//!
//! Taken from the records, which stay mapped, and the table of names: no goroutine is stopped or
//! asked, and no lock is taken that one of them might wait under. So each is as it was at a moment
//! of its own, and one that ends meanwhile may be missing.
//!
//! A stack may vanish while it is looked at. So nothing is read in it: the record holds an address
//! in it, the pool says which stack that is, if it still is one, and the kernel how many of its
//! pages are in memory. If the record then says that the goroutine is where it was, that number is
//! of its stack; if not, it is dropped. Rejected: a mark in the stack that is looked for from its
//! deep end, which must be mapped for it, and written when it begins. The depth at each switch: a
//! store that every switch would pay for.
//!
//! # Safety
//!
//! Reads G records, which live as long as their runtime; of each what every thread may look at.
#![expect(unsafe_code, reason = "reads G records")]

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use gosched_runtime_sys::stack;

use crate::current;
use crate::g::G;
use crate::g::look::Look;
use crate::names::Name;
use crate::sched::Sched;
use crate::thread_g;
use crate::why::Why;

/// The goroutines of a runtime, in the order of their numbers. Its `Display` has a line for each.
///
/// ```
/// use gosched::{Mode, chan, go, goroutine::dump, run};
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
    /// Where it was made: the call of `go`, of `run`, or their like. `None` for a thread in a
    /// callback.
    pub made_at: Option<&'static Location<'static>>,
    /// What its [`Builder`](crate::goroutine::Builder) said that it is called.
    pub name: Option<String>,
    /// Its stack; `None` if it has not begun, or is a thread: then its stack is the thread's.
    pub stack: Option<StackUse>,
}

/// How much of its own stack a goroutine has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackUse {
    /// Bytes that there are.
    pub size: usize,
    /// Bytes to the deepest page that is in memory: its high-water mark, in whole pages. More than
    /// its own, if an earlier goroutine went deeper on the same stack and those pages were not
    /// given back yet; less, if pages were swapped out.
    pub used: usize,
}

/// What a goroutine does.
///
/// One that blocks in [`blocking`](crate::blocking()) waits for "a call that blocks" if its closure
/// runs on a helper thread, and is [`Runnable`](State::Runnable) if the closure runs in place.
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

/// The goroutines of the runtime that the caller is in; none on a thread that is in no runtime. For
/// each that has a stack of its own it asks the system how much of it was used, which takes a
/// microsecond.
#[must_use]
pub fn dump() -> Dump {
    // Kept by its count: collecting allocates, and what is called then is not to find the runtime
    // borrowed.
    let sched = current::with(|cx| Some(cx?.sched().arc()));
    sched.map(|sched| Dump::with_stacks(&sched)).unwrap_or_default()
}

impl Dump {
    /// Of all goroutines of `sched`, without their stacks: for who only wants to know what they do.
    pub(crate) fn of(sched: &Sched) -> Dump {
        Self::collect(sched, |_, _| None)
    }

    /// Of all goroutines of `sched`, with all there is to tell.
    pub(crate) fn with_stacks(sched: &Sched) -> Dump {
        Self::collect(sched, |g, look| StackUse::of(sched, g, look))
    }

    fn collect(sched: &Sched, stack: impl Fn(&G, &Look) -> Option<StackUse>) -> Dump {
        let names = sched.names.all();
        let mut goroutines = Vec::new();
        sched.slab.each(|g| {
            // SAFETY: records live as long as the slab.
            let g = unsafe { g.as_ref() };
            goroutines.extend(g.look().map(|look| Snapshot::of(look, &names, stack(g, &look))));
        });
        goroutines.sort_by_key(|goroutine: &Snapshot| goroutine.id);
        // Threads that act for a goroutine have its number: those of `Mode::threads`, whose records
        // in the slab never begin, and those that make a blocking call for a goroutine, which
        // waits.
        for thread in thread_g::entered_in(sched) {
            let Some(acting) = thread.g().look().map(|look| Snapshot::of(look, &names, None))
            else {
                continue;
            };
            match goroutines.binary_search_by_key(&acting.id, |goroutine| goroutine.id) {
                Ok(at) if goroutines[at].state == State::NotStarted => {
                    goroutines[at].state = acting.state
                }
                Ok(_) => {}
                Err(at) => goroutines.insert(at, acting),
            }
        }
        Dump { goroutines }
    }

    /// Whether every one of them waits, and none for a waker that may be anywhere, or a call that
    /// will end.
    pub(crate) fn all_wait_for_each_other(&self) -> bool {
        let from_outside = [Why::Future.text(), Why::Blocking.text()];
        let waits = |state| matches!(state, State::Waiting(why) if !from_outside.contains(&why));
        self.goroutines.iter().all(|goroutine| waits(goroutine.state))
    }
}

impl Snapshot {
    /// `names`: in the order of their goroutines' numbers.
    fn of(look: Look, names: &[Arc<Name>], stack: Option<StackUse>) -> Self {
        let state = match (look.begun, look.parked) {
            (false, _) => State::NotStarted,
            (true, false) => State::Runnable,
            (true, true) => State::Waiting(look.why.text()),
        };
        let name = names.binary_search_by_key(&look.id, |name| name.id()).ok();
        let name = name.map(|at| names[at].text.to_string());
        Self { id: look.id, state, made_at: look.made_at, name, stack }
    }
}

impl StackUse {
    /// Of the goroutine that was looked at; `None` if it has none, or has ended meanwhile.
    fn of(sched: &Sched, g: &G, look: &Look) -> Option<Self> {
        let range = sched.stacks.stack_at(look.stack())?;
        let stack = Self { size: range.len(), used: stack::used(range) };
        g.is_still(look).then_some(stack)
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
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        match self.state {
            State::NotStarted => f.write_str(" has not begun")?,
            State::Runnable => f.write_str(" runs, or is ready to")?,
            State::Waiting(why) => write!(f, " waits for {why}")?,
        }
        match self.made_at {
            Some(place) => write!(f, ", made at {place}")?,
            None => f.write_str(", a thread in a callback")?,
        }
        match self.stack {
            Some(StackUse { size, used }) => {
                write!(f, ", {used} of {size} bytes of its stack used")
            }
            None => Ok(()),
        }
    }
}
