//! Making goroutines.
//!
//! # Safety
//!
//! A new packet is filled with its closure.
#![expect(unsafe_code, reason = "fills new packets; a promise for one goroutine")]

use std::panic::Location;

use crate::gmp::body::{Entry, SharedBody};
use crate::gmp::current;
use crate::gmp::g::Kind;
use crate::gmp::sched::Sched;
use crate::join::{JoinHandle, filled_pair};
use crate::proc::{spawn, thread_backed};

/// Runs `f` as a new goroutine of the runtime that the caller is in: a goroutine's, or that of the
/// callback it is in.
///
/// Never blocks and never switches; the goroutine starts when an M takes it.
///
/// # Panics
///
/// If the calling thread is in no runtime; there, [`Handle::go`](crate::Handle::go) serves.
///
/// ```
/// let sum = gosched::run(gosched::Mode::threads(), || {
///     let parts: Vec<_> = (0..4).map(|i| gosched::go(move || i * 10)).collect();
///     parts.into_iter().map(|part| part.join().unwrap()).sum::<i32>()
/// });
/// assert_eq!(sum, 60);
/// ```
#[doc(alias("spawn", "task", "fiber", "green thread", "coroutine", "goroutine"))]
#[track_caller]
pub fn go<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let [body, packet] = filled_pair!(f, ());
    JoinHandle::new(packet, go_here(None, SharedBody::new(body)))
}

/// As [`go`], and the goroutine may resume on any thread, whatever the runtime's mode (in
/// `Mode::threads` it is a thread).
///
/// # Panics
///
/// As [`go`].
///
/// # Safety
///
/// The promise of [`Mode::migratory`](crate::Mode::migratory) for this goroutine: nothing bound to
/// a thread is held across a suspension by `f` or anything it calls.
#[doc(alias("spawn", "work stealing"))]
#[track_caller]
pub unsafe fn go_migratory<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let [body, packet] = filled_pair!(f, ());
    JoinHandle::new(packet, go_here(Some(Kind::Migratory), SharedBody::new(body)))
}

/// Makes a goroutine of the caller's runtime that runs `body`; its number.
#[track_caller]
fn go_here(kind: Option<Kind>, body: SharedBody) -> u64 {
    let entry = Entry::Shared(body);
    let place = Location::caller();
    let made = current::with(|cx| {
        let cx = cx.filter(|cx| cx.g().is_some())?;
        Some(spawn_as(cx.sched(), Some(cx), kind, entry, place))
    });
    made.expect(
        "gosched::go was called on a thread that is in no runtime; \
         use Handle::go, Runtime::run or Bridge::enter",
    )
}

/// Makes a goroutine of `sched` that runs `entry`; its number.
#[track_caller]
pub(crate) fn spawn_in(sched: &Sched, entry: Entry) -> u64 {
    let place = Location::caller();
    current::with(|cx| {
        let here = cx.filter(|cx| std::ptr::eq(cx.sched(), sched));
        spawn_as(sched, here, None, entry, place)
    })
}

/// `place`: in the program.
fn spawn_as(
    sched: &Sched,
    here: Option<&current::Current>,
    kind: Option<Kind>,
    entry: Entry,
    place: &'static Location<'static>,
) -> u64 {
    let mode = sched.config.mode;
    if mode.is_threads() {
        return thread_backed::spawn_thread(sched, entry, place);
    }
    let usual = if mode.is_migratory() { Kind::Migratory } else { Kind::Settled };
    spawn::spawn(sched, here, kind.unwrap_or(usual), entry, place)
}

/// The number of the calling goroutine, unique in the process; `None` on a thread that runs none.
#[doc(alias("current", "goid", "task id", "thread id"))]
#[must_use]
pub fn current_id() -> Option<u64> {
    current::with(|cx| Some(cx?.g()?.id()))
}
