//! What the user data of a callback points to.
//!
//! # Who owns what
//!
//! C keeps the address of a [`Block`] for as long as it likes, and may call after the callback was
//! unregistered. So a block stays where it is, with what such a call reads: the door, which is
//! closed, and the values for C. What was captured is in a box of its own, and the runtime's handle
//! lies behind the door (`extra/room.rs`). Both go when nobody is inside and nobody will be. What a
//! runtime leaves after its shutdown is freed with its last handle, and takes 50 KB.
//!
//! A call comes in by the block's own door, as by the door of a bridge, and so costs what `enter`
//! does. The closer waits until nobody is inside but the closer's own calls. If there are any, the
//! outermost of them frees the content when it has gone out; the door was closed before, so nobody
//! else has come in.
//!
//! Where C has a function for the end of its user data, it gets one, and calls nothing afterwards.
//! Then the block is freed, too. Else it is counted in [`KEPT`].
//!
//! A closure that belongs to one thread is called there, or not at all: the header has the thread's
//! number, which is compared before a call goes in. It is dropped there, or not at all: then its
//! box is leaked, and counted in [`LEAKED`].
//!
//! # Safety
//!
//! The content is reached by a shared reference from inside of a call, and taken out by the one
//! owner, once, as said above.
#![expect(unsafe_code, reason = "a block of memory that C points to")]

use super::calling::{self, own_calls};
use super::types::{CReturn, Otherwise};
use crate::bridge::Binding;
use crate::error::{CloseError, EnterError};
use crate::extra::entrance::Entrance;
use gosched_runtime_sys::errno;
use gosched_runtime_sys::thread::tls;
use gosched_scheduler::embed;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// How many blocks stay for late calls.
pub(super) static KEPT: AtomicUsize = AtomicUsize::new(0);

/// How many closures were ended on a thread that is not theirs.
pub(super) static LEAKED: AtomicUsize = AtomicUsize::new(0);

/// The part of a block that does not depend on its types, at its beginning.
pub(super) struct Header {
    pub(super) entrance: Entrance,
    pub(super) binding: Binding,
    /// The function of this callback that takes the user data in front, of whatever type.
    pub(super) first: *const (),
    /// The number of the thread that the closure belongs to; zero: to any.
    pub(super) thread: u64,
}

impl Header {
    /// True if the closure belongs to another thread than the calling one.
    #[inline]
    fn is_elsewhere(&self) -> bool {
        self.thread != 0 && self.thread != tls::thread_number()
    }
}

/// A callback.
#[repr(C)]
pub(super) struct Block<F, R> {
    header: Header,
    otherwise: Otherwise<R>,
    /// None once nobody is inside of a callback that was unregistered.
    content: UnsafeCell<Option<Box<F>>>,
}

/// What becomes of the block itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// It stays, because C may still call.
    Calls,
    /// It is freed: C has promised not to call any more.
    Nothing,
}

impl<F: 'static, R: CReturn> Block<F, R> {
    /// Makes one. It is never freed, but by [`end`](Self::end).
    pub(super) fn leak(header: Header, otherwise: Otherwise<R>, f: F) -> NonNull<Header> {
        let content = UnsafeCell::new(Some(Box::new(f)));
        let block: *mut Self = Box::into_raw(Box::new(Self { header, otherwise, content }));
        NonNull::new(block.cast()).expect("a box")
    }

    /// Ends the callback: refuses calls, waits for those inside but the caller's own, and frees
    /// what can be freed, at last when the caller's own calls have ended.
    ///
    /// # Safety
    ///
    /// `header` is of a block of these types. This is called once. With [`Late::Nothing`] nobody
    /// but the caller's own calls uses the block.
    pub(super) unsafe fn end(header: NonNull<Header>, late: Late) {
        // SAFETY: as the caller says.
        let there = unsafe { header.as_ref() };
        if close(there, None).is_err() {
            // A forked child. Threads of the parent were inside, and nothing will say that they
            // are not: all of it stays.
            KEPT.fetch_add(1, Relaxed);
            return;
        }
        let block = header.cast::<Self>();
        let mut later = false;
        own_calls(header.as_ptr().cast_const().cast(), || {
            later = true;
            Some(Box::new(move || {
                // What unwinds does so in C.
                // SAFETY: the last call has gone out; as the caller of `end` says.
                let ended = catch_unwind(AssertUnwindSafe(|| unsafe { Self::finish(block, late) }));
                mem::forget(ended);
            }))
        });
        if !later {
            // SAFETY: nobody is inside, and nobody will be; as the caller says.
            unsafe { Self::finish(block, late) };
        }
    }

    /// Frees the content, and the block if nothing comes late.
    ///
    /// # Safety
    ///
    /// Nobody is inside, and nobody will be. With [`Late::Nothing`] nobody uses the block.
    unsafe fn finish(block: NonNull<Self>, late: Late) {
        // SAFETY: the block stays until the end of this.
        let Self { header, content, .. } = unsafe { block.as_ref() };
        // SAFETY: nobody is inside, so nobody has a reference to the content.
        let content = unsafe { &mut *content.get() }.take();
        let is_elsewhere = header.is_elsewhere();
        // What is declared here is dropped after the content, also if that unwinds.
        let (_whole, _runtime);
        if late == Late::Nothing {
            // SAFETY: made by `leak`, and nobody else's.
            _whole = unsafe { Box::from_raw(block.as_ptr()) };
        } else {
            KEPT.fetch_add(1, Relaxed);
            // SAFETY: the door is closed, and nobody is inside; this is done once.
            _runtime = unsafe { header.entrance.take_runtime() };
        }
        if is_elsewhere {
            LEAKED.fetch_add(1, Relaxed);
            mem::forget(content);
        } else {
            drop(content);
        }
    }
}

/// Closes a callback's door, and waits for those inside but the caller's own calls. Not ended by a
/// cancel.
#[inline]
pub(super) fn close(header: &Header, deadline: Option<Instant>) -> Result<(), CloseError> {
    let entrance = &header.entrance;
    if entrance.process.forked() {
        entrance.close_door();
        return Err(CloseError::Forked);
    }
    let own = own_calls(ptr::from_ref(header).cast(), || None);
    match embed::shielded(|| entrance.close(deadline, own)) {
        0 => Ok(()),
        calls => Err(CloseError::Running { calls }),
    }
}

/// Returns the function of a callback that takes the user data in front.
///
/// # Safety
///
/// `data` is the user data of a callback whose block was not freed.
#[inline]
pub(super) unsafe fn first(data: *mut c_void) -> *const () {
    // SAFETY: as the caller says; a block begins with its header.
    unsafe { (*data.cast_const().cast::<Header>()).first }
}

/// A call of C's.
///
/// # Safety
///
/// `data` is a block of these types that was not freed.
#[inline]
pub(super) unsafe fn call<F: 'static, R: CReturn>(data: *mut c_void, f: impl FnOnce(&F) -> R) -> R {
    let errno = errno::get();
    // SAFETY: as the caller says; it is freed after this call at the earliest.
    let block = unsafe { &*data.cast_const().cast::<Block<F, R>>() };
    if block.header.is_elsewhere() {
        embed::count_refusal();
        return block.otherwise.refused;
    }
    let Header { entrance, binding, .. } = &block.header;
    let call = || {
        // SAFETY: inside, so nobody takes the content out meanwhile.
        let content = unsafe { &*block.content.get() };
        f(content.as_ref().expect("the door was open"))
    };
    let refused = |error| (block.otherwise.for_error(&error), error);
    let outcome = calling::enter(data.cast_const().cast(), entrance, *binding, call, refused);
    // The block may have been freed at the end of the call.
    let result = match outcome {
        Ok(result) => result,
        Err((instead, error)) => {
            forget(error);
            instead
        }
    };
    errno::set(errno);
    result
}

/// Drops why a call failed. The payload of a panic is the user's, and its drop may unregister the
/// very callback that has failed. What it unwinds with is caught, because C is no place for that.
#[cold]
fn forget(error: EnterError) {
    mem::forget(catch_unwind(AssertUnwindSafe(|| drop(error))));
}
