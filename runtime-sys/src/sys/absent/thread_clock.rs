//! Another thread's CPU time and state: a system that does not tell. Sysmon then takes a P when its
//! slice is over, also from a thread that is blocked.

/// None: the system does not tell.
pub(crate) fn thread_clock() -> Option<u32> {
    None
}

/// None: the system does not tell.
pub(crate) fn read_clock(_clock: u32) -> Option<u64> {
    None
}

/// None: the system does not tell.
pub(crate) fn is_runnable(_thread: i32) -> Option<bool> {
    None
}
