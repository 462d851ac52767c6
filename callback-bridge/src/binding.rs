//! `Binding::UntilThreadExit`: the M stays with the thread.
//!
//! The first call is [`need_m`]; on its way out it leaves mask and signal stack in place and only
//! says that no goroutine is current. From then on a call is one store in, one store out. Between
//! calls the thread is C's: a handler finds nobody, although an M waits in [`slot::bound`] and its
//! signal stack is registered (Go's `isExtraInC`). One M serves all bridges and runtimes that enter
//! from outside; a thread inside one runtime that enters another takes a second M, for that call.
//!
//! # The end of the thread
//!
//! A pthread key's destructor does the rest of `drop_m`. By then Rust's own thread-locals are gone,
//! so the path touches the const, drop-free ones of [`slot`] and nothing else: no
//! `thread::current`, no event, no allocation, no lock but the list's, nothing that may panic.
//! First it asks whether this is a forked child, where the list is another. A callback that comes
//! later on the same thread (C has destructors too) is per-call: the hook would not run again.
//!
//! Mask and signal stack are not put back to what they were before the first call. That was long
//! ago; what the thread has blocked since is its own affair, and the stack may be unmapped (std
//! unmaps its own before key destructors run).
//!
//! # Safety
//!
//! The key's value and the thread's word point to a record that is bound to this thread: nobody
//! else has a reference to it, and until the hook runs only its constant fields and its flag are
//! read.
#![expect(unsafe_code, reason = "an M reached through a thread-local word and a pthread key")]

use crate::barrier;
use crate::enter::{Inside, Target, drop_m, need_m};
use crate::error::EnterError;
use crate::process::Process;
use crate::record::Record;
use gosched_runtime_sys::cancel::CancelState;
use gosched_runtime_sys::signal_mask::SignalMask;
use gosched_runtime_sys::slot;
use gosched_runtime_sys::thread_exit::ExitHook;
use gosched_scheduler::embed::Closed;
use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

/// Runs `f` as a goroutine of a thread that is none.
#[inline]
pub(crate) fn enter<R>(target: &Target, f: impl FnOnce() -> R) -> Result<R, EnterError> {
    match bound_to(target.process) {
        Some(record) => again(record, target, f),
        None => first(target, f),
    }
}

/// This thread's M, if it was bound in this process.
#[inline]
fn bound_to(process: &Process) -> Option<&'static Record> {
    let record = slot::bound().cast::<Record>();
    // SAFETY: null, or a record bound to this thread.
    let record = unsafe { record.as_ref() }?;
    ptr::eq(record.extra, &process.extra).then_some(record)
}

/// A call on a bound thread.
#[inline]
fn again<R>(
    record: &'static Record,
    target: &Target,
    f: impl FnOnce() -> R,
) -> Result<R, EnterError> {
    if !record.begin() {
        return Err(EnterError::SignalHandler);
    }
    let cancel = CancelState::disable();
    // SAFETY: bound to this thread and in no other call; retracted below; the signal stack is in
    // place since `first`.
    let outcome = match unsafe { record.foreign.publish(target.bound.handle()) } {
        Ok(()) => {
            let outcome = barrier::run(f);
            // SAFETY: published above; whatever `f` published is retracted.
            unsafe { record.foreign.retract(target.bound.handle()) };
            outcome
        }
        Err(Closed) => Err(EnterError::ShutDown),
    };
    record.end();
    cancel.restore();
    outcome
}

/// The first call on a thread, which binds it; or any call on one that cannot be bound.
#[cold]
fn first<R>(target: &Target, f: impl FnOnce() -> R) -> Result<R, EnterError> {
    let inside = need_m(target)?;
    match bind(inside) {
        Ok((record, cancel)) => {
            let outcome = barrier::run(f);
            // SAFETY: published by `need_m`; whatever `f` published is retracted.
            unsafe { record.foreign.retract(target.bound.handle()) };
            record.end();
            cancel.restore();
            outcome
        }
        Err(inside) => {
            let outcome = barrier::run(f);
            drop_m(inside, target);
            outcome
        }
    }
}

/// Gives the M to the thread. It stays the call's where no hook will run: at the thread's end,
/// without a key, or without memory for its value.
fn bind(inside: Inside) -> Result<(&'static Record, CancelState), Inside> {
    let Some(hook) = exit_hook().filter(|_| !slot::exiting()) else {
        return Err(inside);
    };
    let record: *mut Record = inside.record;
    // SAFETY: `at_thread_exit` asks for a record bound to its thread, which this one is from here
    // on.
    let hooked = unsafe { hook.set(record.cast()) };
    if hooked.is_err() {
        // SAFETY: the reference that it was made from, given back.
        let record = unsafe { &mut *record };
        return Err(Inside { record, ..inside });
    }
    slot::set_bound(record.cast_const().cast());
    // SAFETY: bound; from here on it is reached through shared references only.
    let record = unsafe { &*record };
    let fresh = record.begin();
    debug_assert!(fresh, "a record that is bound was in no call");
    Ok((record, inside.cancel))
}

/// The key, made by the first thread that needs it; absent when the process was out of keys then.
/// It outlives forks.
fn exit_hook() -> Option<ExitHook> {
    static HOOK: OnceLock<Option<ExitHook>> = OnceLock::new();
    *HOOK.get_or_init(|| ExitHook::register(at_thread_exit).ok())
}

/// The rest of `drop_m`, called by the C library at the end of a bound thread.
///
/// # Safety
///
/// `record` is bound to the calling thread, and no call is going to return to it.
unsafe extern "C" fn at_thread_exit(record: *mut c_void) {
    slot::set_exiting();
    slot::set_bound(ptr::null());
    // SAFETY: as the caller says.
    let record = unsafe { &mut *record.cast::<Record>() };
    // In use: the thread left a callback by a way that no frame of ours saw. Its goroutine may be
    // waited for; let it be.
    if record.forked() || record.in_use() {
        return;
    }
    let mask = SignalMask::block_all();
    record.take_stack_off_at_exit();
    // No goroutine is current: the last call saw to that.
    record.extra.put(record);
    mask.restore();
}
