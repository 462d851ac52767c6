//! Cancellation of threads: a system whose threads cannot be cancelled.

use std::ffi::c_int;

/// The only state there is.
pub(crate) const CANCEL_DISABLE: c_int = 0;

/// Returns the only state there is.
pub(crate) fn set_cancel_state(_state: c_int) -> c_int {
    CANCEL_DISABLE
}
