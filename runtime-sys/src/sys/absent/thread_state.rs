//! Another thread's state: a system that does not tell.

/// None: the system does not tell.
pub(crate) fn is_runnable(_thread: i32) -> Option<bool> {
    None
}
