//! The end of what cannot begin: unstarted Gs of a runtime that has no M and can make none.
//!
//! # Who calls it
//!
//! `wake::start_searcher`, by the pointer in [`Sched`], when a thread for an M could not be made
//! and the runtime has no M. The caller is then no M of the runtime.
//!
//! # Why nothing is forgotten
//!
//! An M counts from before its thread is made until the try has failed. So of several callers that
//! fail at once, the last finds no M, and ends the Gs of all. While an M is there, it finds the Gs.
//! A G that is published meanwhile is found by the caller that ends these: it looks again, because
//! the publisher relied on its search.
//!
//! # Rejected
//!
//! Trying again every 100 ms: no thread of the runtime is there that could, and `go` never blocks.

use std::io;

use crate::gmp::body::Begin;
use crate::gmp::g::Runnable;
use crate::gmp::sched::Sched;
use crate::proc::start::run_to_end;
use crate::proc::thread_backed::release_record;

/// Ends every unstarted G of `sched`, which has no M: its joiner gets `error`, or finds it
/// cancelled if the runtime closes.
#[cold]
pub(crate) fn refuse_unstarted(sched: &Sched, error: &io::Error) {
    while sched.m_count() == 0
        && let Some(g) = take_unstarted(sched)
    {
        let begin = if sched.closing() { Begin::Cancelled } else { Begin::Failed(copy_of(error)) };
        run_to_end(g.g().id(), g.take_entry(), begin);
        release_record(sched, g);
    }
}

fn take_unstarted(sched: &Sched) -> Option<Runnable> {
    sched
        .pop_unstarted()
        .or_else(|| sched.apart.pop_if(|_| true))
        .or_else(|| sched.all_ps.iter().find_map(|p| p.steal_unstarted()))
}

fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
