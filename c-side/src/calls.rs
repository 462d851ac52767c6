//! C threads that call back again and again, and the time of the calls by C's clock.
//!
//! ```
//! use c_side::calls::{Plan, run};
//! use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
//!
//! let calls = AtomicUsize::new(0);
//! let call = || {
//!     calls.fetch_add(1, Relaxed);
//! };
//! let report = run(Plan { calls: 10, ..Plan::default() }, &[call, call]).unwrap();
//! assert_eq!((calls.into_inner(), report.calls), (20, 20));
//! ```
//!
//! # Safety
//!
//! C writes to vectors that outlive the call, and the call joins every thread before it returns.

#![expect(unsafe_code, reason = "calls into C")]

use std::ffi::{c_int, c_ulong, c_void};
use std::time::Duration;
use std::{io, ptr};

/// The work of each thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Calls of each thread.
    pub calls: usize,
    /// Whether each call is timed by itself, which costs two readings of the clock.
    pub timed: bool,
    /// Before each call the thread sleeps for a random time below this. Only where calls are timed.
    pub max_pause: Duration,
    /// No further call after this time; zero: no limit. Only where calls are timed.
    pub limit: Duration,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Calls that all threads made.
    pub calls: usize,
    /// From the first thread's beginning to the last thread's end.
    pub wall: Duration,
    /// Nanoseconds of each call, one thread after the other; empty unless they were timed.
    pub took_ns: Vec<u64>,
}

/// `struct c_calls` of `c_side.h`.
#[repr(C)]
struct Raw {
    calls: usize,
    max_pause_ns: u64,
    limit_ns: u64,
    seed: u64,
    call: unsafe extern "C" fn(*mut c_void),
    ctx: *mut c_void,
    took_ns: *mut u64,
    made: usize,
    began_ns: u64,
    ended_ns: u64,
    gate: *mut c_void,
    thread: c_ulong,
}

unsafe extern "C" {
    fn c_calls_run(jobs: *mut Raw, count: usize) -> c_int;
}

/// # Safety
///
/// `ctx` points to an `F` that nobody moves or drops during the call.
unsafe extern "C" fn call<F: Fn() + Sync>(ctx: *mut c_void) {
    // SAFETY: the caller's promise.
    let callback = unsafe { &*ctx.cast::<F>() };
    callback();
}

/// Makes a C thread for each of `callbacks` and calls it there as the plan says. The threads begin
/// together. Returns when all have ended. A panic in a callback aborts.
///
/// # Errors
///
/// A thread could not be made. The threads before it have made their calls.
pub fn run<F: Fn() + Sync>(plan: Plan, callbacks: &[F]) -> io::Result<Report> {
    let room = if plan.timed { plan.calls } else { 0 };
    let mut took: Vec<Vec<u64>> = callbacks.iter().map(|_| vec![0; room]).collect();
    let limit_ns = if plan.limit.is_zero() { u64::MAX } else { plan.limit.as_nanos() as u64 };
    let mut jobs: Vec<Raw> = callbacks
        .iter()
        .zip(&mut took)
        .enumerate()
        .map(|(index, (callback, took))| Raw {
            calls: plan.calls,
            max_pause_ns: plan.max_pause.as_nanos() as u64,
            limit_ns,
            seed: index as u64,
            call: call::<F>,
            ctx: ptr::from_ref(callback).cast_mut().cast(),
            took_ns: if plan.timed { took.as_mut_ptr() } else { ptr::null_mut() },
            made: 0,
            began_ns: 0,
            ended_ns: 0,
            gate: ptr::null_mut(),
            thread: 0,
        })
        .collect();
    // SAFETY: `callbacks` and `took` outlive the call, which joins its threads; `F: Sync`, and each
    // ctx points to an `F`.
    crate::checked(unsafe { c_calls_run(jobs.as_mut_ptr(), jobs.len()) })?;
    jobs.iter().zip(&mut took).for_each(|(job, took)| took.truncate(job.made));
    let began = jobs.iter().map(|job| job.began_ns).min().unwrap_or(0);
    let ended = jobs.iter().map(|job| job.ended_ns).max().unwrap_or(0);
    Ok(Report {
        calls: jobs.iter().map(|job| job.made).sum(),
        wall: Duration::from_nanos(ended.saturating_sub(began)),
        took_ns: took.concat(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn each_callback_has_a_thread_of_its_own() {
        let threads = Mutex::new(HashSet::new());
        let note = || {
            threads.lock().unwrap().insert(std::thread::current().id());
        };
        let report = run(Plan { calls: 3, timed: true, ..Plan::default() }, &[note; 4]).unwrap();
        assert_eq!(report.calls, 12);
        assert_eq!(report.took_ns.len(), 12);
        assert_eq!(threads.into_inner().unwrap().len(), 4);
    }

    #[test]
    fn a_timed_call_takes_as_long_as_what_it_does() {
        let call = || std::thread::sleep(Duration::from_millis(2));
        let report = run(Plan { calls: 3, timed: true, ..Plan::default() }, &[call]).unwrap();
        assert!(report.took_ns.iter().all(|took| *took >= 2_000_000), "{report:?}");
        assert!(report.wall >= Duration::from_millis(6), "{report:?}");
    }

    #[test]
    fn calls_end_at_the_limit() {
        let calls = AtomicUsize::new(0);
        let call = || {
            calls.fetch_add(1, Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        };
        let limit = Duration::from_millis(1);
        let report =
            run(Plan { calls: 1000, timed: true, limit, ..Plan::default() }, &[call]).unwrap();
        assert_eq!((report.calls, report.took_ns.len()), (1, 1));
        assert_eq!(calls.into_inner(), 1);
    }
}
