//! A hook on the end of threads, on a system that has none, or none left: it cannot be registered.
//! Then a thread of C's is given an M for each call.
//!
//! # Safety
//!
//! There is no value of the type.
#![expect(unsafe_code, reason = "the contract of a hook that is called")]

use std::convert::Infallible;
use std::ffi::c_void;
use std::io;

/// A registered hook: there is none.
#[derive(Clone, Copy, Debug)]
pub struct ExitHook(Infallible);

impl ExitHook {
    /// Fails.
    pub fn register(_hook: unsafe extern "C" fn(*mut c_void)) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never called.
    ///
    /// # Safety
    ///
    /// None.
    pub unsafe fn set(&self, _value: *mut c_void) -> io::Result<()> {
        match self.0 {}
    }

    /// Never called.
    pub fn get(&self) -> *mut c_void {
        match self.0 {}
    }
}
