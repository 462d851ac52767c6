//! The threads of a process that belong to a runtime, by the numbers that the kernel gives them.
//!
//! A deadlock is proven if no other thread is there. A thread enters itself when it begins, and
//! leaves as the last thing that it does. The kernel lists it for a moment longer. So a thread that
//! has left still counts as the runtime's for [`LINGERS`]: that is too short for its number to be
//! another thread's. A plain thread that was joined may be listed as well; it is marked as exiting.

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::thread;

use crate::ds::grow;

/// How long a thread that has left still counts, in nanoseconds.
const LINGERS: u64 = 100_000_000;

/// See the file's head.
#[derive(Debug)]
pub(crate) struct OwnThreads(Mutex<Vec<OwnThread>>);

#[derive(Clone, Copy, Debug)]
struct OwnThread {
    id: i32,
    /// When it left, on the monotonic clock; zero while it is there.
    left: u64,
}

impl OwnThread {
    fn counts(self, now: u64) -> bool {
        self.left == 0 || now.saturating_sub(self.left) < LINGERS
    }
}

impl OwnThreads {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Enters the calling thread.
    pub(crate) fn enter(&self) {
        let (id, now) = (thread::id(), monotonic_ns());
        self.0.lock().retain(|thread| thread.id != id && thread.counts(now));
        grow::push(|| self.0.lock(), |list| list, OwnThread { id, left: 0 });
    }

    /// Notes that the calling thread leaves.
    pub(crate) fn leave(&self) {
        let (id, now) = (thread::id(), monotonic_ns());
        if let Some(thread) = self.0.lock().iter_mut().find(|thread| thread.id == id) {
            thread.left = now;
        }
    }

    /// Takes the calling thread out, which goes on with something else.
    pub(crate) fn remove(&self) {
        let id = thread::id();
        self.0.lock().retain(|thread| thread.id != id);
    }

    /// True if the process has these threads and, but for `bystander`, no other. Allocates nothing.
    pub(crate) fn are_all(&self, bystander: Option<i32>) -> bool {
        let now = monotonic_ns();
        let is_known = |id: i32| {
            let is_own = |thread: &OwnThread| thread.id == id && thread.counts(now);
            Some(id) == bystander || self.0.lock().iter().any(is_own) || thread::is_exiting(id)
        };
        // The first thread is there for as long as the process is. Mostly it is the host's, and the
        // list is not needed.
        is_known(std::process::id() as i32) && thread::each_of_process(is_known)
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_thread_is_noticed() {
        let own = OwnThreads::new();
        own.enter();
        // The thread of the test, and the one that waits for it.
        assert!(!own.are_all(None));
        own.remove();
        assert!(!own.are_all(Some(thread::id())));
    }
}
