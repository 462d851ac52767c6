//! A list of a runtime's goroutines: where each was spawned, and what it does.
//!
//! The data come from the G records, which stay mapped, and from the table of names. No goroutine
//! is stopped or asked, and no lock is taken under which a goroutine might wait. So each goroutine
//! is shown as it was at a moment of its own, and one that ends meanwhile may be missing.
//!
//! A stack may be unmapped during the dump, so nothing is read in it. The record holds an address
//! in the stack. The pool says which stack that is, if it still is one, and the kernel how many of
//! its pages are in memory. If the record then still holds the same goroutine at the same place,
//! the number is of its stack; if not, the number is dropped.
//!
//! Rejected: a mark in the stack, to be looked for from the deep end. The deep end would have to be
//! mapped for it, and written when the goroutine begins. Also rejected: storing the depth at each
//! switch, because every switch would pay for the store.
//!
//! # Safety
//!
//! Reads G records, which live as long as their runtime, and of each record only the atomic fields.
#![expect(unsafe_code, reason = "reads G records")]

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use gosched_runtime_sys::memory::stack;

use crate::gmp::current;
use crate::gmp::g::G;
use crate::gmp::g::view::GView;
use crate::gmp::names::Name;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::gmp::wait_reason::WaitReason;

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
#[doc(alias("stack trace", "goroutine profile"))]
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
#[doc(alias("stack trace", "goroutine profile", "taskdump", "backtrace"))]
#[must_use]
pub fn dump() -> Dump {
    // A share of the runtime, not a borrow: collecting allocates, and the user's allocator may call
    // into the runtime.
    let sched = current::with(|cx| Some(cx?.sched().arc()));
    sched.map(|sched| Dump::with_stacks(&sched)).unwrap_or_default()
}

impl Dump {
    /// Lists all goroutines of `sched`, without their stacks.
    pub(crate) fn of(sched: &Sched) -> Dump {
        Self::collect(sched, |_, _| None)
    }

    /// Lists all goroutines of `sched`, with their stacks.
    pub(crate) fn with_stacks(sched: &Sched) -> Dump {
        Self::collect(sched, |g, view| StackUse::of(sched, g, view))
    }

    fn collect(sched: &Sched, stack: impl Fn(&G, &GView) -> Option<StackUse>) -> Dump {
        let names = sched.names.all();
        let mut goroutines = Vec::new();
        sched.slab.each(|g| {
            // SAFETY: records live as long as the slab.
            let g = unsafe { g.as_ref() };
            goroutines.extend(g.view().map(|view| Snapshot::of(view, &names, stack(g, &view))));
        });
        goroutines.sort_by_key(|goroutine: &Snapshot| goroutine.id);
        // A thread that acts for a goroutine has the goroutine's number. In `Mode::threads` the
        // goroutine's own record in the slab never begins. In a blocking call it is parked.
        for thread in thread_g::registered_in(sched) {
            let Some(acting) = thread.g().view().map(|view| Snapshot::of(view, &names, None))
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

    /// True if every goroutine waits, and none of them for a future or a blocking call: the waker
    /// of a future may be anywhere, and a blocking call will end.
    pub(crate) fn all_wait_for_each_other(&self) -> bool {
        let from_outside = [WaitReason::Future.text(), WaitReason::Blocking.text()];
        let waits = |state| matches!(state, State::Waiting(why) if !from_outside.contains(&why));
        self.goroutines.iter().all(|goroutine| waits(goroutine.state))
    }
}

impl Snapshot {
    /// Makes the snapshot of a view. `names` are in the order of their goroutines' numbers.
    fn of(view: GView, names: &[Arc<Name>], stack: Option<StackUse>) -> Self {
        let state = match (view.begun, view.parked) {
            (false, _) => State::NotStarted,
            (true, false) => State::Runnable,
            (true, true) => State::Waiting(view.wait_reason.text()),
        };
        let name = names.binary_search_by_key(&view.id, |name| name.id()).ok();
        let name = name.map(|at| names[at].text.to_string());
        Self { id: view.id, state, made_at: view.made_at, name, stack }
    }
}

impl StackUse {
    /// Returns the stack use of the goroutine in `view`. `None` if it has no stack of its own, or
    /// has ended meanwhile.
    fn of(sched: &Sched, g: &G, view: &GView) -> Option<Self> {
        let range = sched.stacks.stack_at(view.stack())?;
        let stack = Self { size: range.len(), used: stack::used(range) };
        g.is_still(view).then_some(stack)
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
