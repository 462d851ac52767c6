//! A C library that splits a text into lines on threads of its own, and C's word counter.
//!
//! # Safety
//!
//! The C side keeps no pointer beyond the call that it was given to. [`run`] joins every thread
//! before it returns; the counters only read.

#![expect(unsafe_code, reason = "calls into C")]

use std::ffi::{c_int, c_void};
use std::io;

/// The function that C calls for each line, without its newline. Returns the running total of
/// words, or a negative number if there is none.
pub type OnLine = unsafe extern "C" fn(ctx: *mut c_void, line: *const u8, len: usize) -> i64;

/// C's account of a run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Calls made, one for each line and round.
    pub lines: u64,
    /// Calls that returned a negative number.
    pub refused: u64,
    /// Totals that were smaller than an earlier total of the same thread.
    pub backwards: u64,
    /// The greatest of the threads' last totals.
    pub last_total: i64,
}

unsafe extern "C" {
    fn c_lines_run(
        text: *const u8,
        len: usize,
        rounds: usize,
        on_line: OnLine,
        ctxs: *const *mut c_void,
        threads: usize,
        out: *mut Report,
    ) -> c_int;
    fn c_count_words(text: *const u8, len: usize) -> u64;
    fn c_count_lines(text: *const u8, len: usize) -> u64;
}

/// Makes one C thread for each of `ctxs`, without a signal stack, and divides `text` between the
/// threads. Each goes through the lines of its part `rounds` times and calls `on_line` with its own
/// `ctx`. Returns when all have ended.
///
/// An error means that a thread could not be made; the threads made before it have done their part.
///
/// # Safety
///
/// `on_line` may be called with each of `ctxs` on a thread that Rust did not make, one call at a
/// time. It gets a pointer to `len` readable bytes that stay as they are until it returns. It must
/// not unwind.
pub unsafe fn run(
    text: &[u8],
    rounds: usize,
    on_line: OnLine,
    ctxs: &[*mut c_void],
) -> io::Result<Report> {
    let mut report = Report::default();
    // SAFETY: both slices and `report` outlive the call, which joins its threads; `on_line` is the
    // caller's promise.
    let error = unsafe {
        c_lines_run(
            text.as_ptr(),
            text.len(),
            rounds,
            on_line,
            ctxs.as_ptr(),
            ctxs.len(),
            &raw mut report,
        )
    };
    crate::checked(error).map(|()| report)
}

/// Returns the number of words of `text`, counted by C: runs of bytes that are no ASCII white
/// space.
pub fn count_words(text: &[u8]) -> u64 {
    // SAFETY: C reads `len` bytes and keeps nothing.
    unsafe { c_count_words(text.as_ptr(), text.len()) }
}

/// Returns the number of lines of `text`, counted by C: a last line without a newline is one.
pub fn count_lines(text: &[u8]) -> u64 {
    // SAFETY: C reads `len` bytes and keeps nothing.
    unsafe { c_count_lines(text.as_ptr(), text.len()) }
}
