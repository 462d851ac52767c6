//! A hook on the end of threads, as [`exit`](crate::sys::exit) has it.

pub use crate::sys::exit::ExitHook;
