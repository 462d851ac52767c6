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
use std::time::Duration;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::memory::stack;

use crate::gmp::current;
use crate::gmp::g::G;
use crate::gmp::g::view::GView;
use crate::gmp::m::M;
use crate::gmp::names::Name;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g;

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
    /// How long it has waited, at least. `None` if it does not wait, has waited for less than a
    /// second, or nobody has looked at the clock meanwhile: the runtime does so once a second while
    /// it has to watch what runs, when all goroutines of a thread wait, and for each dump. So the
    /// second dump of a program knows which waits are older than the first one.
    pub waited: Option<Duration>,
    /// The goroutine that has its thread: it has settled on that thread, and is ready to run there.
    pub behind: Option<u64>,
    /// It has not begun and waits for a thread on which no others have settled, because of this.
    pub apart: Option<&'static str>,
    /// No other goroutine runs on its thread while it waits: it panics, was called back by C, or is
    /// locked to the thread and alone there.
    pub keeps_thread: bool,
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
/// runs on a helper thread, and is [`Running`](State::Running) if the closure runs in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It has not begun.
    NotStarted,
    /// It is ready to run, and waits for a thread: see [`Snapshot::behind`].
    Runnable,
    /// It runs.
    Running,
    /// It waits, for this.
    Waiting(&'static str),
}

/// The goroutines of the runtime that the caller is in; none on a thread that is in no runtime. For
/// each that has a stack of its own it asks the system how much of it was used, which takes a
/// microsecond.
#[doc(alias("stack trace", "goroutine profile", "taskdump", "backtrace"))]
#[must_use]
#[inline]
pub fn dump() -> Dump {
    // A share of the runtime, not a borrow: collecting allocates, and the user's allocator may call
    // into the runtime.
    let sched = current::with(|cx| Some(cx?.sched().arc()));
    sched.map(|sched| Dump::with_stacks(&sched)).unwrap_or_default()
}

impl Dump {
    /// Lists all goroutines of `sched`, of which none runs, without their stacks. `me` looks that
    /// up for a wait of its own.
    pub(crate) fn of_standstill(sched: &Sched, me: u64) -> Dump {
        Self::collect(sched, Some(me), &|_, _| None)
    }

    /// Lists all goroutines of `sched`, with their stacks.
    #[inline]
    pub(crate) fn with_stacks(sched: &Sched) -> Dump {
        Self::collect(sched, None, &|g, view| StackUse::of(sched, g, view))
    }

    /// `waits` is the number of a goroutine that is to be shown in its last wait.
    fn collect(
        sched: &Sched,
        waits: Option<u64>,
        stack: &dyn Fn(&G, &GView) -> Option<StackUse>,
    ) -> Dump {
        let around = Around::of(sched);
        let view = |g: &G| {
            let mut view = g.view()?;
            view.parked |= Some(view.id) == waits;
            Some(view)
        };
        let mut goroutines = Vec::new();
        sched.slab.each(|g| {
            // SAFETY: records live as long as the slab.
            let g = unsafe { g.as_ref() };
            goroutines.extend(view(g).map(|view| Snapshot::of(&view, &around, stack(g, &view))));
        });
        goroutines.sort_unstable_by_key(|goroutine: &Snapshot| goroutine.id);
        // A thread that acts for a goroutine has the goroutine's number. In `Mode::threads` the
        // goroutine's own record in the slab never begins. In a blocking call it is parked.
        for thread in thread_g::registered_in(sched) {
            let Some(view) = view(thread.g()) else { continue };
            let mut acting = Snapshot::of(&view, &around, None);
            if acting.state == State::Runnable {
                acting.state = State::Running;
            }
            match goroutines.binary_search_by_key(&acting.id, |goroutine| goroutine.id) {
                Ok(at) if goroutines[at].state == State::NotStarted => {
                    let Snapshot { state, waited, .. } = acting;
                    goroutines[at] = Snapshot { state, waited, ..goroutines[at].clone() };
                }
                Ok(_) => {}
                Err(at) => goroutines.insert(at, acting),
            }
        }
        Dump { goroutines }
    }
}

/// What a dump finds around the goroutines.
struct Around<'a> {
    sched: &'a Sched,
    /// In the order of their goroutines' numbers.
    names: Vec<Arc<Name>>,
    ms: Vec<OnM>,
    /// The numbers of those that are to begin apart, in their order.
    apart: Vec<u64>,
    now: u64,
    /// Since when all Ms sleep, if they do.
    quiet_since: Option<u64>,
}

/// What a dump finds on an M.
struct OnM {
    number: u16,
    /// The number of the goroutine that has the thread, and whether the thread sleeps with it.
    occupant: Option<(u64, bool)>,
    asleep_since: Option<u64>,
}

impl<'a> Around<'a> {
    fn of(sched: &'a Sched) -> Self {
        let now = monotonic_ns();
        thread_g::mark_waits(sched, now);
        let mut list = Vec::new();
        sched.list_ms(&mut list);
        let on = |m: &&'static M| OnM {
            number: m.number(),
            occupant: sched.occupant(m).map(|on| (on.view.id, on.in_place)),
            asleep_since: m.asleep_since(),
        };
        let ms: Vec<OnM> = list.iter().map(on).collect();
        let quiet_since = ms
            .iter()
            .map(|m| m.asleep_since)
            .try_fold(0, |latest, since| since.map(|since| latest.max(since)));
        let quiet_since = quiet_since.filter(|_| !ms.is_empty());
        Self { sched, names: sched.names.all(), ms, apart: sched.apart.ids(), now, quiet_since }
    }

    /// Returns why the goroutine in `view` waits for a thread of its own, if it does.
    fn apart(&self, view: &GView) -> Option<&'static str> {
        self.apart.binary_search(&view.id).ok().filter(|_| !view.begun)?;
        Some(self.sched.call_sites.why_apart(view.made_at?))
    }

    /// Returns how long the goroutine in `view` has waited at least, if that is a second.
    ///
    /// It has waited since its wait was marked, since its thread fell asleep, and since the last
    /// thread did.
    fn waited(&self, view: &GView) -> Option<Duration> {
        let marked = self.sched.wait_ages.time(view.wait_mark);
        let asleep = self.home(view).and_then(|m| m.asleep_since);
        // No M has run a goroutine that is its thread.
        let quiet = self.quiet_since.filter(|_| self.sched.stacks.stack_at(view.stack()).is_some());
        let since = [marked, asleep, quiet].into_iter().flatten().min()?;
        let waited = Duration::from_nanos(self.now.saturating_sub(since));
        (waited >= Duration::from_secs(1)).then_some(waited)
    }

    /// Returns the M that the goroutine has settled on.
    fn home(&self, view: &GView) -> Option<&OnM> {
        self.ms.iter().find(|m| m.number == view.settled_on)
    }
}

impl Snapshot {
    fn of(view: &GView, around: &Around<'_>, stack: Option<StackUse>) -> Self {
        let has_thread = |m: &&OnM| m.occupant.is_some_and(|(id, _)| id == view.id);
        let on = around.ms.iter().find(has_thread);
        let state = match (view.begun, view.parked, on) {
            (false, ..) => State::NotStarted,
            (true, true, _) => State::Waiting(view.wait_reason.text()),
            (true, false, Some(_)) => State::Running,
            (true, false, None) => State::Runnable,
        };
        let before = || around.home(view)?.occupant.map(|(id, _)| id);
        let waits = matches!(state, State::Waiting(_));
        let name = around.names.binary_search_by_key(&view.id, |name| name.id()).ok();
        Self {
            id: view.id,
            state,
            made_at: view.made_at,
            name: name.map(|at| around.names[at].text.to_string()),
            waited: if waits { around.waited(view) } else { None },
            behind: if state == State::Runnable { before() } else { None },
            apart: around.apart(view),
            keeps_thread: waits
                && on.and_then(|m| m.occupant).is_some_and(|(_, in_place)| in_place),
            stack,
        }
    }
}

impl StackUse {
    /// Returns the stack use of the goroutine in `view`. `None` if it has no stack of its own, or
    /// has ended meanwhile.
    #[inline]
    fn of(sched: &Sched, g: &G, view: &GView) -> Option<Self> {
        let range = sched.stacks.stack_at(view.stack())?;
        let stack = Self { size: range.len(), used: stack::used(range) };
        g.is_still(view).then_some(stack)
    }
}

impl fmt::Display for Dump {
    #[inline]
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
            State::Runnable => f.write_str(" is ready to run")?,
            State::Running => f.write_str(" runs")?,
            State::Waiting(why) => write!(f, " waits for {why}")?,
        }
        if let Some(id) = self.behind {
            write!(f, " when goroutine {id} gives their thread up")?;
        }
        if let Some(why) = self.apart {
            write!(f, " and waits for a thread of its own ({why})")?;
        }
        if self.keeps_thread {
            f.write_str(" and keeps its thread")?;
        }
        if let Some(waited) = self.waited {
            write!(f, ", for {} s or longer", waited.as_secs())?;
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
