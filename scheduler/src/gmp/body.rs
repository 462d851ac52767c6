//! What a goroutine runs, how that begins, and what becomes of it if it does not.
//!
//! # Safety
//!
//! The two functions of a [`SharedBody`] are made for the type of its owner, together with it.
#![expect(
    unsafe_code,
    reason = "forgets the type of a body, which is moved out of where it is shared"
)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;

use crate::ds::pair_arc::PairArc;
use crate::gmp::names::NameEntry;

/// What a G runs.
pub(crate) trait Body {
    /// Runs the closure, or drops it if `begin` says so, keeps the outcome for the joiner and wakes
    /// it. Catches every panic of the closure. A second call does nothing.
    fn run(&self, id: u64, begin: Begin);

    /// The same for one that is shared, and lets go of it as the last thing that its goroutine
    /// does.
    fn run_shared(body: PairArc<Self>, id: u64, begin: Begin)
    where
        Self: Sized,
    {
        body.run(id, begin);
    }
}

/// The goroutine's share of a body of any type. A `PairArc<dyn Body>` would be as large, and could
/// not be moved onto the goroutine's stack.
pub(crate) struct SharedBody {
    /// Of a `PairArc<B>`.
    owner: NonNull<()>,
    functions: &'static Functions,
}

/// What can be done with the owner of a certain type.
struct Functions {
    run: unsafe fn(NonNull<()>, u64, Begin),
    drop: unsafe fn(NonNull<()>),
}

struct Of<B>(PhantomData<B>);

impl<B: Body> Of<B> {
    const FUNCTIONS: Functions = Functions { run: Self::run, drop: Self::drop };

    /// # Safety
    ///
    /// `owner` is of a `PairArc<B>`, and given up.
    unsafe fn run(owner: NonNull<()>, id: u64, begin: Begin) {
        // SAFETY: this function's contract.
        B::run_shared(unsafe { PairArc::from_raw(owner) }, id, begin);
    }

    /// # Safety
    ///
    /// As `run`.
    unsafe fn drop(owner: NonNull<()>) {
        // SAFETY: this function's contract.
        drop(unsafe { PairArc::<B>::from_raw(owner) });
    }
}

// SAFETY: a `PairArc` of what is `Send` and `Sync`, by `new`.
unsafe impl Send for SharedBody {}

impl SharedBody {
    pub(crate) fn new<B: Body + Send + Sync + 'static>(body: PairArc<B>) -> Self {
        // SAFETY: it borrows nothing.
        unsafe { Self::borrowing(body) }
    }

    /// # Safety
    ///
    /// What the body borrows outlives this.
    pub(crate) unsafe fn borrowing<B: Body + Send + Sync>(body: PairArc<B>) -> Self {
        Self { owner: body.into_raw(), functions: &Of::<B>::FUNCTIONS }
    }

    /// Runs it, or not, as [`Body::run_shared`] does.
    pub(crate) fn run(self, id: u64, begin: Begin) {
        let given_up = mem::ManuallyDrop::new(self);
        // SAFETY: made for this owner.
        unsafe { (given_up.functions.run)(given_up.owner, id, begin) };
    }
}

impl Drop for SharedBody {
    fn drop(&mut self) {
        // SAFETY: made for this owner.
        unsafe { (self.functions.drop)(self.owner) };
    }
}

/// How a G's life begins.
#[derive(Debug)]
pub(crate) enum Begin {
    /// It runs.
    Run,
    /// It was cancelled before.
    Cancelled,
    /// There was no stack for it.
    Failed(io::Error),
}

/// A body and how it is kept.
pub(crate) enum Entry {
    /// Shared with a `JoinHandle`.
    Shared(SharedBody),
    /// The same, with what a builder said of it.
    Built(Box<Built>),
    /// On the stack of a caller that waits until the G has ended (`run`).
    Borrowed(NonNull<dyn Body>),
}

/// A body and what its goroutine is to be like.
pub(crate) struct Built {
    pub(crate) body: SharedBody,
    pub(crate) name_entry: Option<NameEntry>,
    /// In bytes; the runtime's if it is not said.
    pub(crate) stack_size: Option<usize>,
}

/// The payload of a goroutine that never began, because there was no memory for its stack or no
/// thread for it: what `join` then gives back in place of a panic's payload.
#[derive(Debug)]
pub struct NotStarted(pub io::Error);

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the goroutine could not be started: {}", self.0)
    }
}

impl std::error::Error for NotStarted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
