//! The C half of gosched's examples and tests: threads that C made, and what C does to them.
//!
//! gosched's own crates need no C compiler and have no build script; this package is only ever a
//! dev-dependency.
//!
//! - [`calls`]: threads that call a function pointer again and again and take the time, for
//!   benchmarks.
//! - [`lines`]: a small C library with threads of its own that calls a function pointer for every
//!   line of a text, and the plain C word counter that says what must come out.
//! - [`storm`]: signals on those threads, as many as one C thread can send, and the profiling
//!   timer.
//! - [`thread`]: one C thread that records its signal mask, signal stack and `errno` before and
//!   after each call; it can be cancelled, be ended from inside a callback, and run its stack over.

pub mod calls;
pub mod lines;
pub mod storm;
pub mod thread;

use std::ffi::c_int;
use std::io;

/// What the C functions return: 0 or an `errno` value.
fn checked(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
