//! The part of a G that its owner alone reaches, at the head of the G's stack.
//!
//! # Safety
//!
//! The name points to what [`GOwned::with_name`] borrows, whose frame lies below every reader's.
#![expect(unsafe_code, reason = "follows the pointer to the goroutine's name")]

use std::any::{Any, TypeId};
use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicBool, AtomicPtr,
    Ordering::{Relaxed, SeqCst},
    compiler_fence,
};

use super::kind::{GContext, GSuspender, Home, Kind};
use crate::ds::timers::NEVER;
use crate::gmp::names::Name;

/// The part of a G that has begun, and that belongs to its owner.
#[repr(C)]
pub(crate) struct GOwned {
    pub(super) context: UnsafeCell<Option<GContext>>,
    pub(crate) suspender: Cell<Option<GSuspender>>,
    /// How many frames on its stack forbid to run a sibling above them (nested entries).
    pub(crate) pins: Cell<u32>,
    /// The G's thread sleeps for it (thread-backed, pinned, or panicking): waking it is a note, not
    /// a queue.
    pub(crate) in_place: Cell<bool>,
    pub(crate) home: Cell<Option<Home>>,
    /// How often it is locked to its thread. It never comes down by itself, so it is as wide as it
    /// takes not to overflow.
    pub(crate) locks: Cell<u64>,
    /// How many frames on its stack are not to be unwound by a cancel.
    pub(crate) shields: Cell<u32>,
    /// The innermost of the regions on its stack that a token may cancel, opaque at this level; see
    /// `proc::cancel`.
    pub(crate) regions: Cell<Option<NonNull<()>>>,
    /// When the first time limit of those regions passes, in nanoseconds on the monotonic clock;
    /// `NEVER` without one.
    pub(crate) limit: Cell<u64>,
    /// The values of its goroutine-locals; see `proc::locals`.
    pub(crate) locals: Cell<Vec<LocalValue>>,
    /// It is the goroutine of a thread that is in `run`.
    pub(crate) root: Cell<bool>,
    /// Its handle has cancelled it. Written by others, who keep the G from ending meanwhile.
    pub(crate) cancel_requested: AtomicBool,
    /// What it is called: in a frame of its own that is there while this is not null. A signal
    /// handler reads it.
    name: AtomicPtr<Name>,
    /// It runs on its thread's stack at the moment, not on its own.
    pub(crate) on_thread_stack: Cell<bool>,
    /// Lowest address of the stack's guard and of the stack, and its end, for the fault handler;
    /// zero without an own stack.
    pub(crate) stack: StackRange,
}

/// A goroutine's value of a goroutine-local.
pub(crate) struct LocalValue {
    /// Which: its address, and the value's type.
    pub(crate) key: (usize, TypeId),
    /// From a box.
    pub(crate) value: NonNull<dyn Any>,
}

/// Where a G's own stack lies. Written before the G runs.
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
    /// What the goroutine is called. Async-signal-safe.
    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: null, or what `with_name` lends, whose frame is below the caller's.
        unsafe { self.name.load(Relaxed).as_ref() }.map(|name| &*name.text)
    }

    /// Calls `f` while the goroutine is called `name`.
    pub(crate) fn with_name<R>(&self, name: &Name, f: impl FnOnce() -> R) -> R {
        struct Nameless<'a>(&'a GOwned);
        impl Drop for Nameless<'_> {
            fn drop(&mut self) {
                self.0.name.store(ptr::null_mut(), Relaxed);
                compiler_fence(SeqCst);
            }
        }
        compiler_fence(SeqCst);
        self.name.store(ptr::from_ref(name).cast_mut(), Relaxed);
        let _ends_with_the_call = Nameless(self);
        f()
    }

    /// The part of a G that begins: on a stack of its own, which is `stack`, or on its thread's.
    pub(crate) fn new(kind: Kind, stack: StackRange) -> GOwned {
        GOwned {
            home: Cell::new(None),
            in_place: Cell::new(kind == Kind::ThreadBacked),
            pins: Cell::new(0),
            locks: Cell::new(0),
            shields: Cell::new(0),
            regions: Cell::new(None),
            limit: Cell::new(NEVER),
            locals: Cell::new(Vec::new()),
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
