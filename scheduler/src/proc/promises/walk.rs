//! The walk over the stack of a goroutine that begins what may suspend.
//!
//! # What is walked
//!
//! The frames on the goroutine's own stack. A goroutine whose code is on another stack at the
//! moment, or that may not switch, waits in place and breaks no promise.
//!
//! # Names
//!
//! Finding the name of a frame reads the program's debug information, which takes milliseconds and
//! more stack than a goroutine may have. It is done on a thread made for that, once for each
//! address; [`NAMES`] keeps what was found. A stack that was seen before is only walked.
//!
//! # Safety
//!
//! Reads the running goroutine's own part.
#![expect(unsafe_code, reason = "reads the running G's own part")]

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::known::{Promise, broken_in, plain};
use crate::gmp::current::{self, Current};
use crate::gmp::g::{Kind, StackRange, running_kind};
use crate::gmp::sched::Sched;
use crate::mode::Warnings;
use crate::proc::events;

/// The most frames that are looked at.
const DEEPEST: usize = 512;

/// What is at an address of the program: a function, and those that were inlined into it, the
/// innermost first.
type Functions = Vec<Function>;

#[derive(Clone, Debug)]
struct Function {
    path: String,
    /// The file and the line of the call in it.
    at: String,
}

/// What was found at the addresses that were asked for. Taken for short, with nothing of the
/// user's inside.
static NAMES: Mutex<Option<HashMap<usize, Functions>>> = Mutex::new(None);

/// The stacks that were looked at, as hashes, and the violations that were told.
static SEEN: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

/// The stacks on which goroutines were made, by their hashes. As many as the program has ways to
/// where it makes one.
static MAKERS: Mutex<Option<HashMap<u64, Vec<usize>>>> = Mutex::new(None);

/// What the calling goroutine is, if it is to be checked.
struct Checked {
    goroutine: u64,
    made_at: Option<&'static Location<'static>>,
    /// The key of its maker's stack, or zero.
    made_on: u64,
    stack: StackRange,
    migrates: bool,
    own: Vec<String>,
    warnings: Warnings,
}

impl Checked {
    /// None where nothing is checked: the runtime was not asked to, or a wait would not switch.
    fn of_caller() -> Option<Self> {
        let here = 0_u8;
        let here = (&raw const here).addr();
        current::with(|cx| {
            let cx = cx?;
            let own = config_of(cx.sched())?;
            let (g, owned) = (cx.g()?, cx.owned()?);
            let switches = owned.suspender.get().is_some() && owned.pins.get() == 0;
            let on_its_stack = (owned.stack.low..owned.stack.high).contains(&here);
            (switches && on_its_stack && !thread::panicking()).then(|| Self {
                goroutine: g.id(),
                made_at: g.made_at(),
                made_on: g.made_on(),
                stack: owned.stack,
                // SAFETY: the running G of this thread.
                migrates: unsafe { running_kind(g) } == Kind::Migratory,
                own: own.to_vec(),
                warnings: cx.sched().config.warnings,
            })
        })
    }
}

fn config_of(sched: &Sched) -> Option<&[String]> {
    sched.config.checked.as_deref()
}

/// See [`super::maker`]. Returns the key of the stack, or zero if the runtime is not to check.
pub(super) fn stack_of_maker(sched: &Sched, cx: Option<&Current>) -> u64 {
    if config_of(sched).is_none() {
        return 0;
    }
    let here = 0_u8;
    let here = (&raw const here).addr();
    let own = cx.and_then(Current::owned).map(|owned| owned.stack);
    let whole = StackRange { guard: 0, low: 0, high: usize::MAX };
    let stack = own.filter(|stack| (stack.low..stack.high).contains(&here)).unwrap_or(whole);
    let addresses = addresses(stack);
    let key = hash_of(&addresses).max(1);
    lock(&MAKERS).get_or_insert_default().entry(key).or_insert(addresses);
    key
}

/// See [`super::at_wait`].
pub(super) fn at_wait() {
    if let Some(checked) = Checked::of_caller() {
        check(&checked);
    }
}

#[cold]
fn check(checked: &Checked) {
    let addresses = addresses(checked.stack);
    if !is_new((&addresses, checked.migrates, &checked.own)) {
        return;
    }
    let frames = names_of(&addresses);
    let functions = || frames.iter().flatten();
    let Some((at, promise)) = functions().enumerate().find_map(|(at, function)| {
        let promise = broken_in(&function.path, &function.at, checked.migrates, &checked.own)?;
        Some((at, promise))
    }) else {
        return;
    };
    // One place in the program that waits in one function is one violation, however it got there.
    let waits = functions().find(|function| !is_ours(function));
    let found = functions().nth(at).map(|function| &function.path);
    if !is_new((waits.map(|waits| &waits.at), found)) {
        return;
    }
    events::broken_promise(
        checked.warnings,
        checked.goroutine,
        &told(checked, promise, &frames, at),
    );
}

/// Returns what the warning says.
fn told(checked: &Checked, promise: Promise, frames: &[Functions], found: usize) -> String {
    let mode = if checked.migrates { "Mode::migratory" } else { "Mode::settled" };
    let mut text = format!(
        "gosched: goroutine {} breaks promise {} ({mode}, see docs/soundness.md)",
        checked.goroutine,
        promise.text(),
    );
    list(&mut text, frames, Some(found));
    let made_at = checked.made_at.map_or_else(|| "somewhere".to_owned(), ToString::to_string);
    text.push_str(&format!("\n      the goroutine was made at {made_at}"));
    let maker = lock(&MAKERS).as_ref().and_then(|makers| makers.get(&checked.made_on)).cloned();
    if let Some(maker) = maker {
        text.push_str(", by");
        list(&mut text, &names_of(&maker), None);
    }
    text
}

/// Adds a stack, from where the user's code called us.
fn list(text: &mut String, frames: &[Functions], marked: Option<usize>) {
    let functions = frames.iter().flatten().enumerate();
    for (at, function) in functions.skip_while(|(_, function)| is_ours(function)) {
        let mark = if Some(at) == marked { "-->" } else { "   " };
        let _a_string_takes_it =
            write!(text, "\n  {mark} {}\n          at {}", function.path, function.at);
    }
}

/// True if the function belongs to what stands between the user's call and this walk.
fn is_ours(function: &Function) -> bool {
    const SOURCES: &str = match file!().split_at_checked(file!().len() - HERE.len()) {
        Some((sources, _)) => sources,
        None => file!(),
    };
    const HERE: &str = "proc/promises/walk.rs";
    function.path.starts_with("gosched")
        || [SOURCES, "/library/core/", "/library/std/", "/library/alloc/", "/backtrace-"]
            .iter()
            .any(|sources| function.at.contains(sources))
}

/// Returns the addresses of the frames on the stack, the innermost first.
#[inline(never)]
fn addresses(stack: StackRange) -> Vec<usize> {
    let mut addresses = Vec::with_capacity(64);
    backtrace::trace(|frame| {
        // Above the goroutine's first frame lie those of the thread that resumed it.
        let on_it = (stack.low..stack.high).contains(&frame.sp().addr());
        if on_it {
            addresses.push(frame.ip().addr());
        }
        on_it && addresses.len() < DEEPEST
    });
    addresses
}

/// Returns what is at the addresses.
fn names_of(addresses: &[usize]) -> Vec<Functions> {
    let mut unknown: Vec<usize> = Vec::new();
    {
        let mut names = lock(&NAMES);
        let names = names.get_or_insert_default();
        unknown.extend(addresses.iter().filter(|address| !names.contains_key(*address)));
    }
    if !unknown.is_empty() {
        let looked_up = thread::scope(|s| {
            let looks = s.spawn(|| {
                unknown.iter().map(|address| (*address, look_up(*address))).collect::<Vec<_>>()
            });
            looks.join().unwrap_or_default()
        });
        lock(&NAMES).get_or_insert_default().extend(looked_up);
    }
    let names = lock(&NAMES);
    let known = |address| names.as_ref().and_then(|names| names.get(address)).cloned();
    addresses.iter().map(|address| known(address).unwrap_or_default()).collect()
}

fn look_up(address: usize) -> Functions {
    let mut functions = Functions::new();
    // It takes the address to return to, and looks before it.
    backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
        let path = symbol.name().map_or_else(String::new, |name| plain(&format!("{name:#}")));
        let file = symbol.filename().map_or_else(|| "?".into(), |file| file.display().to_string());
        functions.push(Function { path, at: format!("{file}:{}", symbol.lineno().unwrap_or(0)) });
    });
    functions
}

/// True the first time that it is called with this.
fn is_new(what: impl Hash) -> bool {
    let hash = hash_of(what);
    lock(&SEEN).get_or_insert_default().insert(hash)
}

fn hash_of(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
