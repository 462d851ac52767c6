//! The owned half of a G, at the top of the G's stack. Only the G's owner reaches it.
//!
//! # Safety
//!
//! `parked_in` points into the runtime in which the G's thread sleeps. `name` points to the
//! argument of [`GOwned::with_name`]. The frame of that call is older than every reader's.
#![expect(unsafe_code, reason = "follows the pointers to the goroutine's name and its runtime")]

use std::any::{Any, TypeId};
use std::cell::{Cell, UnsafeCell};
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicBool, AtomicPtr,
    Ordering::{Relaxed, SeqCst},
    compiler_fence,
};

use super::kind::{GContext, GSuspender, Home, Kind};
use crate::ds::agents::Agents;
use crate::ds::timers::NEVER;
use crate::gmp::names::Name;

/// The owned half of a G that has begun.
#[repr(C)]
pub(crate) struct GOwned {
    pub(super) context: UnsafeCell<Option<GContext>>,
    pub(crate) suspender: Cell<Option<GSuspender>>,
    /// The number of frames on the G's stack above which no sibling may run (nested entries).
    pub(crate) pins: Cell<u32>,
    /// The G's thread sleeps in place of the G (thread-backed, pinned, or panicking). A claimer
    /// wakes the thread's note and pushes the G to no queue.
    pub(crate) in_place: Cell<bool>,
    /// The G's thread is an agent of the runtime (`ds::agents`), as that of a callback is not.
    pub(crate) is_agent: Cell<bool>,
    /// Where the G's thread counts as parked while it sleeps in place of the G. The runtime has it,
    /// and exists until the thread goes on.
    pub(crate) parked_in: Cell<Option<NonNull<Agents>>>,
    pub(crate) home: Cell<Option<Home>>,
    /// How many times the G is locked to its thread. A leaked lock never lowers the count, so it is
    /// wide enough not to overflow.
    pub(crate) locks: Cell<u64>,
    /// The number of frames on the G's stack that a cancel must not unwind.
    pub(crate) shields: Cell<u32>,
    /// The number of frames that have borrowed a goroutine-local.
    pub(crate) borrows: Cell<u32>,
    /// Where the innermost call of `no_wait` on the G's stack stands; see `proc::no_wait`.
    pub(crate) no_wait: Cell<Option<&'static Location<'static>>>,
    /// The innermost region on the G's stack that a token may cancel. Opaque here; see
    /// `proc::cancel`.
    pub(crate) regions: Cell<Option<NonNull<()>>>,
    /// The earliest time limit of those regions, in nanoseconds on the monotonic clock; `NEVER`
    /// without one.
    pub(crate) limit: Cell<u64>,
    /// The values of the goroutine-locals; see `proc::locals`.
    pub(crate) locals: Cell<Vec<LocalValue>>,
    /// The number of the goroutine that the G joins, if its wait reason is `Join`. For reports.
    pub(crate) joins: Cell<u64>,
    /// A goroutine that the G made was to begin apart, and so perhaps on another M.
    pub(crate) made_apart: Cell<bool>,
    /// The G is the goroutine of a thread that is in `run`.
    pub(crate) root: Cell<bool>,
    /// The G's handle has cancelled it. Cancellers write this, and keep the G from ending
    /// meanwhile.
    pub(crate) cancel_requested: AtomicBool,
    /// The goroutine's name, in a frame that exists while this is not null. A signal handler reads
    /// it.
    name: AtomicPtr<Name>,
    /// The G runs on its thread's stack at the moment, not on its own.
    pub(crate) on_thread_stack: Cell<bool>,
    /// The G's own stack, for the fault handler; all zero without one.
    pub(crate) stack: StackRange,
}

/// A goroutine's value of a goroutine-local.
pub(crate) struct LocalValue {
    /// The address of the goroutine-local, and the type of the value.
    pub(crate) key: (usize, TypeId),
    /// From `Box::into_raw`.
    pub(crate) value: NonNull<dyn Any>,
}

/// The addresses of a G's own stack. Written before the G runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StackRange {
    /// Lowest address of the guard.
    pub(crate) guard: usize,
    /// Lowest usable address.
    pub(crate) low: usize,
    /// One past the highest.
    pub(crate) high: usize,
}

impl GOwned {
    /// Returns the goroutine's name, if it has one. Async-signal-safe.
    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: the pointer is null, or lent by `with_name`, whose frame is older than the
        // caller's.
        unsafe { self.name.load(Relaxed).as_ref() }.map(|name| &*name.text)
    }

    /// Returns the goroutine's name as [`with_name`](Self::with_name) takes it. It stays for as
    /// long as the calling frame.
    pub(crate) fn lent_name(&self) -> Option<NonNull<Name>> {
        NonNull::new(self.name.load(Relaxed))
    }

    /// Calls `f`. The goroutine has the name `name` during the call.
    pub(crate) fn with_name<R>(&self, name: &Name, f: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a GOwned, *mut Name);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.name.store(self.1, Relaxed);
                compiler_fence(SeqCst);
            }
        }
        compiler_fence(SeqCst);
        let before = self.name.load(Relaxed);
        self.name.store(ptr::from_ref(name).cast_mut(), Relaxed);
        let _ends_with_the_call = Restore(self, before);
        f()
    }

    /// Ends the time in which the G's thread counts as parked. Called by the G's claimer, before
    /// the thread may go on.
    pub(crate) fn unpark(&self) {
        if let Some(agents) = self.parked_in.take() {
            // SAFETY: the field's doc: the thread has not gone on.
            unsafe { agents.as_ref() }.unpark();
        }
    }

    /// True if a frame of the goroutine is inside of something that it has to leave: a region, a
    /// count, a borrow of a goroutine-local.
    #[inline]
    pub(crate) fn is_inside(&self) -> bool {
        self.regions.get().is_some()
            || self.pins.get() | self.shields.get() | self.borrows.get() != 0
    }

    /// Returns the owned half of a G that begins: on its own stack, which is `stack`, or on its
    /// thread's.
    pub(crate) fn new(kind: Kind, stack: StackRange) -> GOwned {
        GOwned {
            home: Cell::new(None),
            in_place: Cell::new(kind == Kind::ThreadBacked),
            is_agent: Cell::new(kind != Kind::ThreadBacked),
            parked_in: Cell::new(None),
            pins: Cell::new(0),
            locks: Cell::new(0),
            shields: Cell::new(0),
            borrows: Cell::new(0),
            no_wait: Cell::new(None),
            regions: Cell::new(None),
            limit: Cell::new(NEVER),
            locals: Cell::new(Vec::new()),
            joins: Cell::new(0),
            made_apart: Cell::new(false),
            root: Cell::new(false),
            cancel_requested: AtomicBool::new(false),
            suspender: Cell::new(None),
            name: AtomicPtr::new(ptr::null_mut()),
            on_thread_stack: Cell::new(false),
            stack,
            context: UnsafeCell::new(None),
        }
    }
}
