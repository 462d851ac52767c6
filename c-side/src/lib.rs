//! The C half of gosched's examples and tests: threads that C makes, and what C does to them.
//!
//! gosched's own crates need no C compiler and have no build script. This package is only ever a
//! dev-dependency.
//!
//! - [`calls`]: threads that call a function pointer again and again and take the time, for
//!   benchmarks.
//! - [`lines`]: a small C library with threads of its own. It calls a function pointer for every
//!   line of a text. A plain word counter in C gives the expected result.
//! - [`storm`]: signals on those threads, as many as one C thread can send, and the profiling
//!   timer.
//! - [`thread`]: one C thread that records its signal mask, signal stack and `errno` before and
//!   after each call. It can be cancelled, be ended from inside a callback, and run its stack over.
//!
//! Empty on a system that is not POSIX.

#![cfg(unix)]

pub mod calls;
pub mod lines;
pub mod storm;
pub mod thread;

use std::ffi::c_int;
use std::io;

/// A C program that loads a library with gosched inside by `dlopen`: its arguments stand at the top
/// of `c/host/main.c`.
pub const HOST: &str = env!("C_SIDE_HOST");

/// Turns the return value of a C function, 0 or an `errno` value, into a result.
fn checked(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
