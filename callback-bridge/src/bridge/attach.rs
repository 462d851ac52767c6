//! A thread that stays a goroutine until a guard is dropped.
//!
//! # Who owns what
//!
//! The first guard of a thread enters, and the last one leaves, whichever that is. What they share,
//! an [`Attachment`], has the M and is counted by the guards. A guard that is made where the thread
//! is attached finds it by the thread's word. Calls of `enter` in between are nested calls, as they
//! are in any goroutine.
//!
//! A guard that is made in a goroutine that no guard made is a part of it, as a nested call is. It
//! pins the goroutine, because C's frames may lie between here and its end.
//!
//! Guards do not leave their thread. Attachments of one thread are in different runtimes, and are
//! left in the reverse order: a thread leaves from its innermost place, or the process ends with a
//! message. So the word always has the innermost one.
//!
//! # A guard that is forgotten
//!
//! The attachment owns a share of the runtime, not a borrow, and is never freed then. The thread is
//! a goroutine until it ends; the M is lost, and a shutdown tells of a callback that is inside.
//!
//! # Safety
//!
//! The thread's word is null or the address of the contents of an `Rc` of this thread, which resets
//! the word before it goes.
#![expect(unsafe_code, reason = "an Rc reached through the thread's word")]

use super::{Binding, Bridge};
use crate::binding::{self, Entered};
use crate::enter::{HeldM, Way, drop_m, need_m};
use crate::error::EnterError;
use crate::extra::entrance::Entrance;
use crate::extra::process::Process;
use gosched_runtime_sys::errno;
use gosched_runtime_sys::thread::tls;
use gosched_scheduler::embed::{self, Caller, ForeignM, Handle, Pin};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// A thread that is a goroutine until this is dropped; from [`Bridge::attach`].
///
/// A thread may have several. The last one that is dropped makes the thread C's again, whatever
/// their order.
#[must_use = "the thread is detached when this is dropped"]
#[doc(alias("Ensure", "Release", "PyGILState", "DetachCurrentThread"))]
pub struct Attached {
    /// None in `drop` only.
    inside: Option<Inside>,
}

/// The fields are dropped in this order.
struct Inside {
    part: Part,
    _counted: Counted,
}

/// A guard is counted in until this is dropped.
struct Counted(Arc<Entrance>);

impl Drop for Counted {
    #[inline]
    fn drop(&mut self) {
        self.0.count_out();
    }
}

/// What one guard keeps.
#[expect(dead_code, reason = "the values are there to be dropped")]
enum Part {
    Shared(Rc<Attachment>),
    Nested(Pin),
}

/// A thread that is a goroutine by guards.
struct Attachment {
    /// None in `drop` only.
    entered: Option<Result<Entered, HeldM>>,
    foreign: ForeignM,
    /// Its own: the guards may have come in by different entrances.
    handle: Handle,
    process: &'static Process,
    /// The thread's word from before.
    outer: *const (),
}

// What it keeps is left in one piece, and a panic on the way changes nothing of it.
impl std::panic::UnwindSafe for Attached {}
impl std::panic::RefUnwindSafe for Attached {}

impl Bridge {
    /// Makes the calling thread a goroutine until the guard is dropped.
    ///
    /// For a host with pairs of calls, such as JNI's `AttachCurrentThread` and
    /// `DetachCurrentThread` or CPython's `PyGILState_Ensure` and `Release`. For one call,
    /// [`enter`](Self::enter) is the better form: what is called between the guards is not caught
    /// when it panics. A wait there that is cancelled, as by a shutdown, unwinds up to a
    /// `catch_unwind` of the caller's. Or put what waits into an [`enter`](Self::enter).
    ///
    /// Guards nest, and share the thread with [`enter`](Self::enter): a call in between is a part
    /// of the same goroutine, with the same number and locals. On a thread that is a goroutine of
    /// this runtime without a guard, the guard is a part of that goroutine, and has to be dropped
    /// in it. If it is dropped elsewhere, or not before the goroutine's end, the process ends with
    /// a message; so it does if a guard of another runtime that was made later is still there, or
    /// an `enter` in which the thread's last guard is dropped.
    ///
    /// `errno` is the same afterwards as before. Pthread cancellation is held off until the thread
    /// is C's again. An attached thread is inside: a shutdown and [`close`](Self::close) wait for
    /// it. A thread that ends while it is attached is not detached by that.
    ///
    /// ```
    /// use gosched::callback::Bridge;
    /// use gosched::{Mode, Runtime, chan, go};
    ///
    /// let runtime = Runtime::builder(Mode::threads()).build()?;
    /// let bridge = Bridge::new(&runtime);
    /// let attached = bridge.attach().expect("the runtime is up");
    /// let (tx, rx) = chan::bounded(1);
    /// let sent = go(move || tx.send(5)); // `go` knows the runtime.
    /// assert_eq!(rx.recv(), Ok(5));
    /// sent.join().unwrap().unwrap();
    /// drop(attached);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter) has before it runs anything.
    #[doc(alias("Ensure", "PyGILState", "AttachCurrentThread"))]
    #[inline]
    pub fn attach(&self) -> Result<Attached, EnterError> {
        let errno = errno::get();
        let attached = self.attach_by();
        errno::set(errno);
        attached
    }

    #[inline]
    fn attach_by(&self) -> Result<Attached, EnterError> {
        let entrance = self.entrance()?;
        // SAFETY: used before `counted` is dropped.
        let handle = unsafe { entrance.count_in() }?;
        let counted = Counted(self.entrances.share(entrance));
        let way = Way::Sure(handle, entrance.process);
        let part = match embed::caller(handle) {
            Caller::Goroutine => Part::of_goroutine(),
            Caller::Outside if self.binding == Binding::UntilThreadExit => {
                Part::new(binding::enter_open(way)?, handle, entrance.process)
            }
            Caller::Outside | Caller::Elsewhere => {
                Part::new(Err(need_m(way)?), handle, entrance.process)
            }
        };
        Ok(Attached { inside: Some(Inside { part, _counted: counted }) })
    }
}

impl Part {
    /// The calling thread is a goroutine already.
    #[inline]
    fn of_goroutine() -> Self {
        let attached = tls::attached().cast::<Attachment>();
        // SAFETY: null, or the contents of an `Rc` of this thread.
        match unsafe { attached.as_ref() } {
            Some(there) if there.foreign.is_innermost() => {
                // SAFETY: as above, and made by `Rc::as_ptr`.
                unsafe { Rc::increment_strong_count(attached) };
                // SAFETY: the count was raised for it.
                Self::Shared(unsafe { Rc::from_raw(attached) })
            }
            _ => Self::Nested(Pin::new()),
        }
    }

    /// The calling thread has just entered this runtime.
    #[inline]
    fn new(entered: Result<Entered, HeldM>, handle: &Handle, process: &'static Process) -> Self {
        let foreign = match &entered {
            Ok(entered) => entered.foreign(),
            Err(held) => held.m.foreign,
        };
        let shared = Rc::new(Attachment {
            entered: Some(entered),
            foreign,
            handle: handle.clone(),
            process,
            outer: tls::attached(),
        });
        tls::set_attached(Rc::as_ptr(&shared).cast());
        Self::Shared(shared)
    }
}

impl Drop for Attachment {
    #[inline]
    fn drop(&mut self) {
        // First: destructors of goroutine-locals may attach again, to what is still a goroutine.
        tls::set_attached(self.outer);
        let way = Way::Sure(&self.handle, self.process);
        match self.entered.take() {
            // SAFETY: entered with the same runtime.
            Some(Ok(entered)) => unsafe { binding::leave(entered, way) },
            // SAFETY: as above.
            Some(Err(held)) => unsafe { drop_m(held, way) },
            None => {}
        }
    }
}

impl Drop for Attached {
    #[inline]
    fn drop(&mut self) {
        let errno = errno::get();
        drop(self.inside.take());
        errno::set(errno);
    }
}

impl fmt::Debug for Attached {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nested = self.inside.as_ref().is_some_and(|it| matches!(it.part, Part::Nested(_)));
        f.debug_struct("Attached").field("nested", &nested).finish_non_exhaustive()
    }
}
