//! Whether the calling thread can be cancelled.

#[path = "../posix/cancel.rs"]
mod state;

pub(crate) use state::set_cancel_state;

/// `PTHREAD_CANCEL_DISABLE`, the same in glibc and musl.
pub(crate) const CANCEL_DISABLE: libc::c_int = 1;
