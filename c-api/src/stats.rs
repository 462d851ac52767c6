//! A runtime in numbers, and as a list of its goroutines.
//!
//! # Safety
//!
//! Handles, structs and buffers are what the header says.
#![expect(unsafe_code, reason = "exported names; handles, structs and buffers of C")]

use std::ffi::c_char;
use std::ptr;

use crate::code::Code;
use crate::failure::{Failure, c_string};
use crate::guard::{borrow, guarded, place};
use crate::runtime::Runtime;
use crate::sized::{self, Versioned};

/// A runtime in numbers. Each was true a moment ago.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Stats {
    /// sizeof(gosched_stats), set by the caller.
    pub size: usize,
    /// Goroutines that were made and have not ended.
    pub goroutines: u64,
    /// Of these, those that run.
    pub running: u64,
    /// Those that could go on, and wait for a thread or a processor.
    pub runnable: u64,
    /// Those that wait for something, or block in gosched_blocking.
    pub waiting: u64,
    /// Those that have not begun.
    pub unstarted: u64,
    /// Threads of C's inside gosched_enter, or attached. They are not among the goroutines.
    pub callbacks: u64,
    /// Processors: how many goroutines may run at the same time.
    pub procs: u64,
    /// Processors without use.
    pub idle_procs: u64,
    /// Threads that run goroutines.
    pub threads: u64,
    /// Threads of gosched_blocking.
    pub helper_threads: u64,
    /// How often a processor was taken from a goroutine that blocked its thread.
    pub retaken_blocked: u64,
    /// How often from one that computed for longer than its slice.
    pub retaken_computing: u64,
    /// The longest time, in nanoseconds, that a goroutine was seen to run while others waited.
    pub longest_run_ns: u64,
    /// Stacks in use.
    pub stacks: u64,
}

// SAFETY: `repr(C)`, of numbers, with the size in front.
unsafe impl Versioned for Stats {
    const FIRST: usize = size_of::<Self>();
}

impl Stats {
    fn of(runtime: &Runtime) -> Self {
        let stats = runtime.inner().stats();
        Self {
            size: size_of::<Self>(),
            goroutines: stats.goroutines,
            running: stats.running,
            runnable: stats.runnable,
            waiting: stats.waiting,
            unstarted: stats.unstarted,
            callbacks: stats.callbacks as u64,
            procs: stats.procs as u64,
            idle_procs: stats.idle_procs as u64,
            threads: stats.threads as u64,
            helper_threads: stats.helper_threads as u64,
            retaken_blocked: stats.retaken_blocked,
            retaken_computing: stats.retaken_computing,
            longest_run_ns: u64::try_from(stats.longest_run.as_nanos()).unwrap_or(u64::MAX),
            stacks: stats.stacks.taken as u64,
        }
    }
}

/// Writes the runtime's numbers into *stats, whose size the caller has set. Takes about a
/// microsecond and stops nobody.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_runtime_stats(runtime: *mut Runtime, stats: *mut Stats) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let runtime = unsafe { borrow(runtime) }?;
        let found = Stats::of(runtime);
        // SAFETY: the header's contract.
        unsafe { sized::write(stats, &found) }
    })
}

/// Writes a list of the runtime's goroutines (their numbers and names, what each does, how much of
/// its stack it has used) into buffer, as a string that is cut after size - 1 bytes, and the length
/// of the whole list into *length. With size 0 nothing is written, and buffer may be NULL. Stops
/// nobody.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_runtime_dump(
    runtime: *mut Runtime,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let runtime = unsafe { borrow(runtime) }?;
        // SAFETY: the header's contract.
        let length = unsafe { place(length) }?;
        if buffer.is_null() && size > 0 {
            return Err(Failure::invalid("the buffer is NULL"));
        }
        let list = c_string(runtime.inner().dump().to_string());
        let list = list.as_bytes();
        length.write(list.len());
        if size > 0 {
            let fits = list.len().min(size - 1);
            // SAFETY: the header's contract: the buffer has that many bytes and one more.
            unsafe { ptr::copy_nonoverlapping(list.as_ptr(), buffer.cast(), fits) };
            // SAFETY: as above.
            let end = unsafe { buffer.add(fits) };
            // SAFETY: as above.
            unsafe { end.write(0) };
        }
        Ok(())
    })
}
