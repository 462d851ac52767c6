//! The handler of exceptions in front of all others: what stands for the signals of POSIX that a
//! fault raises.
//!
//! A vectored handler is asked before any frame's, and before a debugger's last chance. What ours
//! does not know goes on as if it were not there. It stays for the life of the process.
//!
//! Whether somebody later deals with an exception that goes on is not known here. So a fault that
//! may be the host's own is never reported: see [`Response::PassOnOr`].
//!
//! # Safety
//!
//! The system calls `on_exception` with live records. `HANDLER` is null, or a `Handler`.
#![expect(unsafe_code, reason = "AddVectoredExceptionHandler, and its handler")]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::transmute;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use windows_sys::Win32::Foundation::{EXCEPTION_ACCESS_VIOLATION, EXCEPTION_STACK_OVERFLOW};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, CONTEXT, EXCEPTION_CONTINUE_EXECUTION, EXCEPTION_CONTINUE_SEARCH,
    EXCEPTION_POINTERS,
};
use windows_sys::Win32::System::Threading::GetCurrentThreadStackLimits;

use crate::sys;

/// The number that stands for a fault.
pub const FAULTS: [c_int; 1] = [libc::SIGSEGV];

/// A fault as a handler sees it.
#[derive(Debug)]
pub struct SignalInfo {
    /// The number that stands for it.
    pub signal: c_int,
    /// True: it is the system's.
    pub by_kernel: bool,
    /// The address that was accessed. Of an overflow, the lowest address of the stack that was run
    /// over: the system may not tell more.
    pub address: usize,
    /// The interrupted registers (`CONTEXT`).
    pub context: *mut c_void,
    /// False: those that come later are not known.
    pub before_is_near: bool,
}

impl SignalInfo {
    /// Returns the stack pointer of the interrupted code.
    pub fn stack_pointer(&self) -> Option<usize> {
        // SAFETY: the system's record, which lives as long as this value.
        unsafe { stack_pointer(self.context.cast()) }
    }
}

/// Returns the stack pointer in a record of registers; none where its form is not known.
///
/// # Safety
///
/// The record is alive.
unsafe fn stack_pointer(context: *const CONTEXT) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as the caller says.
    let pointer = Some(unsafe { (*context).Rsp } as usize);
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as the caller says.
    let pointer = Some(unsafe { (*context).Sp } as usize);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let pointer = {
        let _not_known = context;
        None
    };
    pointer
}

/// A handler's answer to a fault.
#[derive(Clone, Copy, Debug)]
pub enum Response {
    /// The fault is dealt with: the interrupted code goes on.
    Handled,
    /// The fault goes on to the other handlers.
    PassOn,
    /// The same. The function is not called: nobody tells that no handler was there.
    PassOnOr(fn(&SignalInfo)),
}

/// The type of our handlers.
type Handler = fn(&SignalInfo) -> Response;

/// A [`Handler`], or null.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(null_mut());

/// Puts `handler` in front, for the life of the process. A second one is refused (`AlreadyExists`).
///
/// # Safety
///
/// `handler` is called on any thread, between any two instructions, on a stack that may have little
/// room. It does not unwind. It answers [`Response::Handled`] only if the interrupted code can go
/// on.
pub unsafe fn install(_signal: c_int, handler: Handler) -> io::Result<()> {
    sys::pin_this_library();
    // ORDERING[windows.handler]: partner is the load in `on_exception`; nothing beside the pointer
    // has to be visible, but for code that the handler may share with its installer.
    HANDLER
        .compare_exchange(null_mut(), handler as *mut (), Ordering::Release, Ordering::Relaxed)
        .map_err(|_| io::Error::new(io::ErrorKind::AlreadyExists, "faults have a handler"))?;
    // SAFETY: the function stays loaded, and is what its type says.
    let added = unsafe { AddVectoredExceptionHandler(1, Some(on_exception)) };
    if added.is_null() { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
}

/// Changes nothing: who comes later may be in front, and passes on what it does not know.
pub fn reinstall(_signal: c_int) -> io::Result<()> {
    Ok(())
}

/// True: the system does not tell otherwise.
pub fn ours_is_in_front(_signal: c_int) -> io::Result<bool> {
    Ok(true)
}

/// Returns none.
pub fn without_signal_stack() -> Vec<c_int> {
    Vec::new()
}

/// The function that the system calls.
unsafe extern "system" fn on_exception(pointers: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system's record, alive until this returns.
    let pointers = unsafe { &*pointers };
    // SAFETY: as above.
    let record = unsafe { &*pointers.ExceptionRecord };
    let address = match record.ExceptionCode {
        EXCEPTION_ACCESS_VIOLATION => record.ExceptionInformation[1],
        EXCEPTION_STACK_OVERFLOW => {
            let (mut low, mut high) = (0, 0);
            // SAFETY: both are writable.
            unsafe { GetCurrentThreadStackLimits(&mut low, &mut high) };
            low
        }
        _ => return EXCEPTION_CONTINUE_SEARCH,
    };
    // ORDERING[windows.handler]: partner is the exchange in `install`.
    let handler = HANDLER.load(Ordering::Acquire);
    if handler.is_null() {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    // SAFETY: `install` stored a `Handler` there, and nothing else does.
    let handler = unsafe { transmute::<*mut (), Handler>(handler) };
    let context = pointers.ContextRecord.cast();
    let signal = FAULTS[0];
    let info = SignalInfo { signal, by_kernel: true, address, context, before_is_near: false };
    match handler(&info) {
        Response::Handled => EXCEPTION_CONTINUE_EXECUTION,
        Response::PassOn | Response::PassOnOr(_) => EXCEPTION_CONTINUE_SEARCH,
    }
}
