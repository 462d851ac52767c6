//! Signal handlers, on a system without signals: none is installed, and none is in front of ours.
//!
//! # Safety
//!
//! No handler is ever called.
#![expect(unsafe_code, reason = "the contract of one that is called")]

use std::ffi::{c_int, c_void};
use std::io;

/// The number of the signal that an access to a guard would raise, on every system that has it.
pub const FAULTS: [c_int; 2] = [11; 2];

/// A signal as a handler would see it.
#[derive(Debug)]
pub struct SignalInfo {
    /// The signal's number.
    pub signal: c_int,
    /// Whether the system raised it itself, and no program sent it.
    pub by_kernel: bool,
    /// The address that was accessed.
    pub address: usize,
    /// The interrupted registers.
    pub context: *mut c_void,
    /// Whether the handler before ours is a function of the same object file.
    pub before_is_near: bool,
}

impl SignalInfo {
    /// None: no record is known.
    pub fn stack_pointer(&self) -> Option<usize> {
        None
    }
}

/// A handler's answer to a signal.
#[derive(Clone, Copy, Debug)]
pub enum Response {
    /// The signal is dealt with: the interrupted code goes on.
    Handled,
    /// The signal goes on to the handler that was there before.
    PassOn,
    /// The same; this function is called if there is none.
    PassOnOr(fn(&SignalInfo)),
}

/// The type of our handlers.
type Handler = fn(&SignalInfo) -> Response;

/// Installs nothing.
///
/// # Safety
///
/// None.
pub unsafe fn install(_signal: c_int, _handler: Handler) -> io::Result<()> {
    Ok(())
}

/// Changes nothing.
pub fn reinstall(_signal: c_int) -> io::Result<()> {
    Ok(())
}

/// True: no other handler is in front.
pub fn ours_is_in_front(_signal: c_int) -> io::Result<bool> {
    Ok(true)
}

/// Returns none.
pub fn without_signal_stack() -> Vec<c_int> {
    Vec::new()
}
