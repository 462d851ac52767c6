//! The body of a goroutine: what it runs, how it begins, and what happens if it cannot begin.
//!
//! A body of any type is kept behind one type, [`SharedBody`]. The goroutine has one share of it,
//! the `JoinHandle` the other.
//!
//! # Safety
//!
//! The two functions of a [`SharedBody`] are instances for the type of its `owner`.
#![expect(unsafe_code, reason = "erases the type of a body")]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;

use crate::ds::pair_arc::PairArc;
use crate::gmp::names::NameEntry;
pub(crate) use crate::policy::behaviour::Behaviour;

/// What a G runs.
pub(crate) trait Body {
    /// Runs the closure, or drops it, as `begin` says. Keeps the outcome for the joiner and wakes
    /// the joiner. Catches every panic of the closure. A second call does nothing.
    fn run(&self, id: u64, begin: Begin);

    /// Does the same for a shared body, and drops the goroutine's share last.
    fn run_shared(body: PairArc<Self>, id: u64, begin: Begin)
    where
        Self: Sized,
    {
        body.run(id, begin);
    }
}

/// The goroutine's share of a body of any type.
///
/// A `PairArc<dyn Body>` would be as large, and could not be moved onto the goroutine's stack.
pub(crate) struct SharedBody {
    /// From `PairArc::<B>::into_raw`.
    owner: NonNull<()>,
    functions: &'static Functions,
}

/// The operations on an `owner`, for one type of body.
struct Functions {
    run: unsafe fn(NonNull<()>, u64, Begin),
    drop: unsafe fn(NonNull<()>),
}

struct Of<B>(PhantomData<B>);

impl<B: Body> Of<B> {
    const FUNCTIONS: Functions = Functions { run: Self::run, drop: Self::drop };

    /// # Safety
    ///
    /// `owner` is from `PairArc::<B>::into_raw`, and the caller gives it up.
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

// SAFETY: `owner` is a `PairArc` of a body that is `Send` and `Sync`, by `new` and `borrowing`.
unsafe impl Send for SharedBody {}

impl SharedBody {
    pub(crate) fn new<B: Body + Send + Sync + 'static>(body: PairArc<B>) -> Self {
        // SAFETY: a `'static` body borrows nothing.
        unsafe { Self::borrowing(body) }
    }

    /// Takes a body that may borrow.
    ///
    /// # Safety
    ///
    /// Everything that the body borrows outlives the value returned.
    pub(crate) unsafe fn borrowing<B: Body + Send + Sync>(body: PairArc<B>) -> Self {
        Self { owner: body.into_raw(), functions: &Of::<B>::FUNCTIONS }
    }

    /// Runs or drops the body, as [`Body::run_shared`] does.
    pub(crate) fn run(self, id: u64, begin: Begin) {
        let given_up = mem::ManuallyDrop::new(self);
        // SAFETY: the functions are instances for this owner's type, and `self` is not dropped.
        unsafe { (given_up.functions.run)(given_up.owner, id, begin) };
    }
}

impl Drop for SharedBody {
    fn drop(&mut self) {
        // SAFETY: the functions are instances for this owner's type.
        unsafe { (self.functions.drop)(self.owner) };
    }
}

/// How a G begins.
#[derive(Debug)]
pub(crate) enum Begin {
    /// The G runs its body.
    Run,
    /// The G was cancelled before it began.
    Cancelled,
    /// No stack could be had for the G.
    Failed(io::Error),
}

/// A body, and where it lies.
pub(crate) enum Entry {
    /// Shared with a `JoinHandle`.
    Shared(SharedBody),
    /// Shared with a `JoinHandle`, and with the settings of a builder.
    Built(Box<Built>),
    /// On the stack of a caller that waits until the G has ended (`run`).
    Borrowed(NonNull<dyn Body>),
}

impl Entry {
    /// Returns the behaviour that the program said to expect.
    #[inline]
    pub(crate) fn expected_behaviour(&self) -> Option<Behaviour> {
        match self {
            Entry::Built(built) => built.behaviour,
            Entry::Shared(_) | Entry::Borrowed(_) => None,
        }
    }
}

/// A body, and the settings of its goroutine's builder.
pub(crate) struct Built {
    pub(crate) body: SharedBody,
    pub(crate) name_entry: Option<NameEntry>,
    /// In bytes; `None` for the runtime's stack size.
    pub(crate) stack_size: Option<usize>,
    /// `None` if the program has not said how the goroutine behaves.
    pub(crate) behaviour: Option<Behaviour>,
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
