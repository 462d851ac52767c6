//! Mailboxes: from signal handlers and real-time threads into a goroutine.
//!
//! A mailbox has one receiver at a time. C has one handle for both ends, so a lock that is only
//! tried says who it is; a second one is told that it is busy.
//!
//! # Safety
//!
//! Handles are what the header says.
#![expect(unsafe_code, reason = "exported names; handles of C")]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::TryLockError;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};

use gosched::callback::{self, MailReceiver};
use gosched::sync::Mutex;

use crate::code::{
    Code, GOSCHED_BUSY, GOSCHED_FORKED, GOSCHED_OK, GOSCHED_TIMED_OUT, GOSCHED_WOULD_BLOCK,
};
use crate::failure::Failure;
use crate::function::Pointer;
use crate::guard::{borrow, give, give_back, guarded, hold, nanoseconds, place, share};

/// Pointers that signal handlers and real-time threads post, and a goroutine receives.
#[derive(Debug)]
pub struct Mailbox {
    poster: callback::Mailbox<Pointer>,
    receiver: Mutex<MailReceiver<Pointer>>,
}

/// The most pointers that fit.
const MOST: usize = (1 << 24) - 1;

/// Makes a mailbox with room for capacity pointers, 1 to 2^24 - 1, and leaves it in *mailbox. The
/// first one makes a thread, which wakes the receivers of all.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mailbox_new(capacity: usize, mailbox: *mut *mut Mailbox) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let out = unsafe { place(mailbox) }?;
        if !(1..=MOST).contains(&capacity) {
            return Err(Failure::invalid("a mailbox has room for 1 to 2^24 - 1 pointers"));
        }
        let (poster, receiver) =
            callback::Mailbox::bounded(capacity).map_err(|error| Failure::of_system(&error))?;
        out.write(give(Mailbox { poster, receiver: Mutex::new(receiver) })?);
        Ok(())
    })
}

/// Posts a pointer. It takes no lock, allocates nothing, waits for nobody, and makes one system
/// call at most, which wakes the receiver. errno stays, and so does the text of
/// gosched_last_error.
///
/// GOSCHED_WOULD_BLOCK if there is no room; GOSCHED_FORKED in a forked child.
///
/// Threads: any. Waits: no. Handlers: yes. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mailbox_post(mailbox: *mut Mailbox, pointer: *mut c_void) -> Code {
    // No frame that catches: nothing here panics, and a handler has no text to leave.
    // SAFETY: the header's contract.
    match unsafe { borrow(mailbox) } {
        Ok(mailbox) if mailbox.poster.post(Pointer(pointer)).is_ok() => GOSCHED_OK,
        Ok(_) => GOSCHED_WOULD_BLOCK,
        Err(failure) => failure.code(),
    }
}

/// Receives the oldest pointer into *pointer, and waits for it. After any other code than
/// GOSCHED_OK nothing was received, and *pointer is NULL. To end a receiver, post a pointer that
/// both know.
///
/// GOSCHED_BUSY if somebody else is receiving; GOSCHED_CANCELLED; GOSCHED_FORKED in a forked child.
///
/// Threads: any, one at a time. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mailbox_recv(
    mailbox: *mut Mailbox,
    pointer: *mut *mut c_void,
) -> Code {
    // SAFETY: the header's contract.
    unsafe {
        receive(mailbox, pointer, |receiver| {
            receiver.recv().map_err(|_gone| Failure::plain(GOSCHED_FORKED))
        })
    }
}

/// As gosched_mailbox_recv, without a wait: GOSCHED_WOULD_BLOCK.
///
/// Threads: any, one at a time. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mailbox_try_recv(
    mailbox: *mut Mailbox,
    pointer: *mut *mut c_void,
) -> Code {
    // SAFETY: the header's contract.
    unsafe {
        receive(mailbox, pointer, |receiver| {
            receiver.try_recv().map_err(|error| {
                Failure::plain(match error {
                    TryRecvError::Empty => GOSCHED_WOULD_BLOCK,
                    TryRecvError::Disconnected => GOSCHED_FORKED,
                })
            })
        })
    }
}

/// As gosched_mailbox_recv, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
///
/// Threads: any, one at a time. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mailbox_recv_timeout(
    mailbox: *mut Mailbox,
    pointer: *mut *mut c_void,
    timeout_ns: u64,
) -> Code {
    // SAFETY: the header's contract.
    unsafe {
        receive(mailbox, pointer, |receiver| {
            receiver.recv_timeout(nanoseconds(timeout_ns)).map_err(|error| {
                Failure::plain(match error {
                    RecvTimeoutError::Timeout => GOSCHED_TIMED_OUT,
                    RecvTimeoutError::Disconnected => GOSCHED_FORKED,
                })
            })
        })
    }
}

/// Receives as `by` says, if nobody else does.
///
/// # Safety
///
/// The pointers are what the header says.
unsafe fn receive(
    mailbox: *mut Mailbox,
    pointer: *mut *mut c_void,
    by: impl FnOnce(&mut MailReceiver<Pointer>) -> Result<Pointer, Failure>,
) -> Code {
    guarded(|| {
        // SAFETY: this function's contract.
        let mailbox = unsafe { hold(mailbox) }?;
        // SAFETY: this function's contract.
        let out = unsafe { place(pointer) }?;
        out.write(null_mut());
        let mut receiver = match mailbox.receiver.try_lock() {
            Ok(receiver) => receiver,
            Err(TryLockError::WouldBlock) => return Err(Failure::plain(GOSCHED_BUSY)),
            // A receive that was cancelled has unwound with the guard. The receiver is whole.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        out.write(by(&mut receiver)?.0);
        Ok(())
    })
}

/// Adds a reference to the mailbox and returns it. Each reference is freed once. NULL stays NULL.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mailbox_share(mailbox: *mut Mailbox) -> *mut Mailbox {
    // SAFETY: the header's contract.
    unsafe { share(mailbox) }
}

/// Gives a reference back. With the last one the mailbox goes, and what is in it is lost: take the
/// handlers that post away before. NULL is ignored.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_mailbox_free(mailbox: *mut Mailbox) {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { give_back(mailbox) }
    });
}
