//! The threads of `Mode::threads()` and of `goroutine::Builder::own_thread`: one per goroutine,
//! kept for a while for the next one.
//!
//! The pool hands Gs to waiting threads. It makes no thread itself, so that running out of threads
//! is the spawner's error. Nothing is allocated under its lock: an allocator that spawns goroutines
//! enters this code again.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::gmp::g::Runnable;
use crate::gmp::g_queue::Queue;
use crate::policy;

struct State {
    jobs: Queue,
    waiting: usize,
    closed: bool,
}

/// Threads that wait for a G to run.
pub(crate) struct ThreadPool {
    state: Mutex<State>,
    work: Condvar,
}

impl ThreadPool {
    pub(crate) fn new() -> Self {
        let state = State { jobs: Queue::new(), waiting: 0, closed: false };
        Self { state: Mutex::new(state), work: Condvar::new() }
    }

    /// Gives `job` to a waiting thread. Gives it back if no thread waits.
    pub(crate) fn submit(&self, job: Runnable) -> Result<(), Runnable> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting <= state.jobs.len() {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Blocks a pool thread until there is a job. `None` if the thread is to end: the pool is
    /// closed, or there has been no job for a while.
    ///
    /// A submitted job is never left without a thread: `submit` counts each job against a waiting
    /// thread, and a thread that wakes takes a job if there is one.
    pub(crate) fn next(&self) -> Option<Runnable> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        let idle = |state: &mut State| state.jobs.is_empty() && !state.closed;
        let woken = self.work.wait_timeout_while(state, policy::HELPER_IDLE, idle);
        state = woken.unwrap_or_else(PoisonError::into_inner).0;
        state.waiting -= 1;
        state.jobs.pop_front()
    }

    /// Ends the threads that wait, now and from now on.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.work.notify_all();
    }
}
