//! `no_wait`: a part of a goroutine, or of a thread, in which nothing waits.
//!
//! # What counts as a wait
//!
//! Every operation that may suspend, whether it would this time or not: a lock that is free is one.
//! So a mistake shows the first time that it is made, and not when two goroutines meet. What only
//! tries is none: inside, it gives no turn, so it cannot suspend. The same goes for a send that
//! never waits.
//!
//! # Who asks
//!
//! All waits pass `yield_now::preempt_point`, which asks one word of the M whether there is
//! anything to look at; this file keeps a bit in that word. Those that begin without it call
//! [`check`]: a sleep, a condition variable, `Runtime::run`. All of them ask before they have linked, locked or begun anything, because from there on an
//! unwinding would leave it behind.
//!
//! # Who owns what
//!
//! It holds for the goroutine that called it, and the goroutine is pinned meanwhile. So it stays on
//! its M, whose bit is true of it, and a wait that asked nobody puts the thread to sleep and
//! switches to no sibling. A thread that runs no goroutine has a word of its own. Another goroutine
//! that the code inside makes, or that a callback into another runtime is, may wait: nothing of
//! this one's runs on that goroutine's stack.
//!
//! While the thread unwinds, waits pass. A second panic would end the process, and a wait of a
//! goroutine that unwinds runs no sibling anyway.
//!
//! # Rejected
//!
//! - A word of the thread for goroutines, too: each operation would read it.
//! - Panicking where a wait parks: there, its node is linked, and nothing may unwind.
//!
//! # Safety
//!
//! A thread's word holds a place in the program, or null: nothing that ends.
#![expect(unsafe_code, reason = "reads the place behind a thread's word")]

use std::panic::Location;
use std::ptr;
use std::thread;

use gosched_runtime_sys::thread::tls;

use crate::gmp::current::{self, left_out_of_turn};
use crate::proc::cancel::{EnteredOn, Raised};
use crate::proc::promises;

/// Where `no_wait` was called.
type Place = &'static Location<'static>;

/// Runs `f`, in which nothing waits: an operation of gosched that may suspend the calling goroutine
/// or block the calling thread panics.
///
/// It is for closures that are handed to other people's code, above all where the promise of
/// [`Mode::settled`](crate::Mode::settled) depends on it: what `f` calls, however deep, is checked
/// in every build. An operation panics whether it would have to wait this time or not:
/// [`lock`](crate::sync::Mutex::lock) of a mutex that is free, a
/// [`recv`](crate::chan::Receiver::recv) where a value is there. These do not wait, and are
/// allowed:
///
/// - what only tries (`try_recv`, `try_lock` and their kind): inside, it gives no turn where it
///   fails;
/// - [`send`](crate::chan::Sender::send) to a channel without a bound, a
///   [`broadcast`](crate::chan::broadcast) or a [`oneshot`](crate::chan::oneshot) channel;
/// - [`go`](crate::go()), unlocking, notifying, cancelling, and polling a future by hand.
///
/// It holds on goroutines, in callbacks, and on threads that run no goroutine, so a test needs no
/// runtime. Calls may be nested. When `f` returns or unwinds it is over. A goroutine that `f` makes
/// is another one, and may wait; so is a callback that C makes meanwhile, if the thread was no
/// goroutine of that runtime before. The standard library's locks and system calls are not
/// gosched's: they block as ever.
///
/// A destructor that may wait panics, too, and skips the wait: a `Runtime` that is dropped inside
/// shuts down all the same, and a registered callback that somebody is in is refused from then on,
/// and its memory stays.
///
/// # Panics
///
/// With what `f` panicked with. An operation inside that may wait panics with a message that says
/// where `no_wait` was called. While the thread is panicking already it does not: a destructor that
/// waits then lets the thread sleep, and no other goroutine run on it.
///
/// ```
/// use gosched::{chan, no_wait, sync::Mutex};
/// use std::panic::catch_unwind;
///
/// let (tx, rx) = chan::unbounded();
/// let mut words = ["much", "a", "few"];
/// words.sort_by_key(|word| no_wait(|| {
///     tx.send(*word).unwrap(); // never waits
///     word.len()
/// }));
/// assert_eq!((words, rx.len() > 0), (["a", "few", "much"], true));
///
/// let mutex = Mutex::new(0);
/// assert!(catch_unwind(|| no_wait(|| *mutex.lock().unwrap())).is_err());
/// ```
#[doc(alias("no_suspend", "nonblocking", "assert_nonblocking"))]
#[track_caller]
pub fn no_wait<R>(f: impl FnOnce() -> R) -> R {
    let _inside = Inside::begin(Location::caller());
    f()
}

/// The stretch in which the calling goroutine, or thread, does not wait.
struct Inside {
    at: Place,
    /// Where the call around this one stands.
    around: Option<Place>,
    /// The goroutine, with the stretch in which it is pinned.
    goroutine: Option<(EnteredOn, Raised)>,
}

impl Inside {
    fn begin(at: Place) -> Self {
        let on = current::with(|cx| {
            let (cx, g) = (cx?, cx?.g()?);
            cx.m.progress.set_no_wait(true);
            Some((EnteredOn::of(g), cx.owned()?.no_wait.replace(Some(at))))
        });
        if let Some((on, around)) = on {
            let pinned = Raised::begin(|owned| &owned.pins);
            return Self { at, around, goroutine: Some((on, pinned)) };
        }
        let around = of_thread();
        tls::set_no_wait(ptr::from_ref(at).cast());
        Self { at, around, goroutine: None }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        match &self.goroutine {
            Some((on, _pinned)) => on.leave(|cx, owned| {
                owned.no_wait.set(self.around);
                if self.around.is_none() {
                    cx.m.progress.set_no_wait(false);
                }
            }),
            // A coroutine of another library has carried the frame to another thread.
            None if of_thread().is_none_or(|at| !ptr::eq(at, self.at)) => left_out_of_turn(),
            None => {
                tls::set_no_wait(self.around.map_or(ptr::null(), |at| ptr::from_ref(at).cast()))
            }
        }
    }
}

/// Returns where the calling thread was forbidden to wait, when it ran no goroutine.
fn of_thread() -> Option<Place> {
    // SAFETY: null, or from the `'static` reference that `Inside::begin` had.
    unsafe { tls::no_wait().cast::<Location<'static>>().as_ref() }
}

/// True if the calling goroutine may be inside of `no_wait`, or is asked for its turn. True on a
/// thread that is in no runtime, which asks its own word out of line: what is inlined stays small.
#[inline(always)]
pub(crate) fn may_be_inside() -> bool {
    current::with(|cx| cx.is_none_or(|cx| cx.m.progress.asks()))
}

/// Returns where the innermost `no_wait` was called that the caller is inside of, if it must not
/// wait for that reason.
pub(crate) fn forbidden_at() -> Option<Place> {
    // On a thread between two goroutines, and in what those carry along, nothing is forbidden.
    let at = current::with(|cx| match cx {
        Some(cx) => cx.owned()?.no_wait.get(),
        None => of_thread(),
    });
    at.filter(|_| !thread::panicking())
}

/// Panics if the caller must not wait. Called by what may wait and does not begin with a
/// `preempt_point`.
#[inline]
pub(crate) fn check() {
    promises::at_wait();
    if may_be_inside()
        && let Some(at) = forbidden_at()
    {
        refuse(at);
    }
}

/// Panics: an operation that may wait was called inside of the `no_wait` at that place.
#[cold]
pub(crate) fn refuse(at: Place) -> ! {
    panic!("gosched: an operation that may wait was called inside of `no_wait`, called at {at}")
}
