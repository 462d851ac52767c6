//! The threads of `Mode::threads()`: one per goroutine, kept for the next one.
//!
//! The pool hands jobs to threads that wait; it makes none itself, so that running out of threads is the spawner's error.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

struct State<J> {
    jobs: VecDeque<J>,
    waiting: usize,
    closed: bool,
}

/// Threads that wait for a job.
pub(crate) struct ThreadPool<J> {
    state: Mutex<State<J>>,
    work: Condvar,
}

impl<J> ThreadPool<J> {
    pub(crate) fn new() -> Self {
        let state = State { jobs: VecDeque::new(), waiting: 0, closed: false };
        Self { state: Mutex::new(state), work: Condvar::new() }
    }

    /// Gives `job` to a thread that waits; back if none does.
    pub(crate) fn submit(&self, job: J) -> Result<(), J> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting <= state.jobs.len() {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Blocks a pool thread until there is a job; `None` once the pool is closed.
    pub(crate) fn next(&self) -> Option<J> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        while state.jobs.is_empty() && !state.closed {
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        state.jobs.pop_front()
    }

    /// Ends the threads that wait, now and from now on.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.work.notify_all();
    }
}
