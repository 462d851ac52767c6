//! The calling thread: the only one.

/// Returns the number of the only thread.
pub(crate) fn thread_id() -> i32 {
    1
}

/// Returns a number that no other live thread of the process has. Not zero.
#[cfg(debug_assertions)]
pub(crate) fn thread_mark() -> usize {
    1
}
