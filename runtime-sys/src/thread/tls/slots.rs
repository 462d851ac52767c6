//! Where a thread's words lie on Windows: in a block that a slot of the system's leads to.
//!
//! std's thread-locals are no place for them. On windows-gnu each is a block of its own, which is
//! made at the first access, and freed among the destructors at the thread's end, in any order: the
//! hook of a bound M would find its thread's words gone. A slot is read without an allocation on
//! any thread, so also in a handler of exceptions.
//!
//! The block is made when something is first written, and freed after the thread's last hook. From
//! then on the slot says that the thread is exiting. What calls in nevertheless, C code that hears
//! late of the thread's end, gets another block, which is never freed.
//!
//! # Safety
//!
//! The slot's value is null, [`ENDED`], or a block of the thread that reads it. The block is freed
//! by its thread, when no code of the thread's runs that has a reference.
#![expect(unsafe_code, reason = "a slot that points to the thread's words")]

use std::ffi::c_void;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use windows_sys::Win32::System::Threading::{
    TLS_OUT_OF_INDEXES, TlsAlloc, TlsFree, TlsGetValue, TlsSetValue,
};

use super::words::Words;
use crate::signal::fatal::{Part, fatal};
use crate::sys;

/// The words of a thread that has none yet. Nobody writes them.
static NONE: Words = Words::new(false);

/// The words of a thread that has run its hooks; the address is the slot's value. Nobody writes
/// them.
static ENDED: Words = Words::new(true);

/// The slot; none before it is first needed.
static SLOT: AtomicU32 = AtomicU32::new(TLS_OUT_OF_INDEXES);

/// Returns what the slot has for this thread, or null.
#[inline(always)]
fn here() -> *const Words {
    let slot = SLOT.load(Relaxed);
    if slot == TLS_OUT_OF_INDEXES {
        return null_mut();
    }
    // SAFETY: a slot of ours, which is never given back.
    unsafe { TlsGetValue(slot) }.cast_const().cast()
}

/// Calls `f` with the calling thread's words, to read them. Allocates nothing.
#[inline(always)]
pub(super) fn with<R>(f: impl FnOnce(&Words) -> R) -> R {
    // SAFETY: null, or live words of this thread.
    f(unsafe { here().as_ref() }.unwrap_or(&NONE))
}

/// Calls `f` with the calling thread's words, to write them.
#[inline(always)]
pub(super) fn own<R>(f: impl FnOnce(&Words) -> R) -> R {
    let mut words = here();
    if words.is_null() || ptr::eq(words, &ENDED) {
        words = make(!words.is_null());
    }
    // SAFETY: live words of this thread.
    f(unsafe { &*words })
}

/// Calls `f` with the thread's words.
pub(super) fn in_handler<R>(f: impl FnOnce(&Words) -> R) -> Option<R> {
    Some(with(f))
}

/// Handlers find the words anyhow.
pub(super) fn show(words: &Words) {
    words.shown.store(true, Relaxed);
}

/// Gives the calling thread a block.
#[cold]
fn make(has_ended: bool) -> *const Words {
    let words = Box::into_raw(Box::new(Words::new(has_ended)));
    put(words);
    if !has_ended {
        // SAFETY: `free` takes what the slot has, on the thread whose it is.
        unsafe { sys::exit::set_last(free, null_mut()) };
    }
    words
}

/// Frees the block of the calling thread.
///
/// # Safety
///
/// The slot has a block, and nobody uses it.
unsafe extern "C" fn free(_nothing: *mut c_void) {
    let words = here();
    put(&ENDED);
    if !words.is_null() && !ptr::eq(words, &ENDED) {
        // SAFETY: made by `make`, and in no slot any more.
        drop(unsafe { Box::from_raw(words.cast_mut()) });
    }
}

/// Sets the slot for the calling thread.
fn put(words: *const Words) {
    let mut slot = SLOT.load(Relaxed);
    if slot == TLS_OUT_OF_INDEXES {
        slot = allocate();
    }
    // SAFETY: a slot of ours.
    let done = unsafe { TlsSetValue(slot, words.cast()) };
    if done == 0 {
        no_slot();
    }
}

/// Gets the slot from the system, for the life of the process.
fn allocate() -> u32 {
    // SAFETY: has no precondition.
    let slot = unsafe { TlsAlloc() };
    if slot == TLS_OUT_OF_INDEXES {
        no_slot();
    }
    // Relaxed: no value of the slot is read but by the thread that has stored it.
    match SLOT.compare_exchange(TLS_OUT_OF_INDEXES, slot, Relaxed, Relaxed) {
        Ok(_) => slot,
        Err(faster) => {
            // SAFETY: allocated above, and nobody else has it.
            unsafe { TlsFree(slot) };
            faster
        }
    }
}

/// A process has more than a thousand slots. std ends it as well when it has no more.
#[cold]
fn no_slot() -> ! {
    fatal(&[Part::Text("gosched: no slot for what belongs to a thread\n")])
}
