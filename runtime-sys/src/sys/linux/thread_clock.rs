//! Another thread's CPU clock and state.

#[path = "../posix/thread_clock.rs"]
mod clock;

pub(crate) use clock::{read_clock, thread_clock};

/// True if a thread of this process runs or waits only for a core; none where the system does not
/// tell.
pub(crate) fn is_runnable(thread: i32) -> Option<bool> {
    let stat = std::fs::read(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The name, in parentheses, may contain anything; the state is the first field behind it.
    let behind = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(behind + 2).map(|&state| state == b'R')
}
