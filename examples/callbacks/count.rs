//! Both ends of the path: the function that C calls, and the goroutines that count.
//!
//! # Safety
//!
//! C calls `on_line` with a pointer to a [`Caller`] that belongs to one C thread, and with the
//! bytes of a line. Both are valid until it returns, and nothing keeps them longer: the goroutine
//! gets a copy of the line.

#![expect(unsafe_code, reason = "the function that C calls gets raw pointers")]

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gosched::callback::Bridge;
use gosched::chan::{self, Receiver, Sender};

use crate::latency::Histogram;

/// Callbacks that have returned, of all threads. The watchdog looks at it.
pub(crate) static CALLBACKS: AtomicU64 = AtomicU64::new(0);

/// The request to a counting goroutine: a line, and the channel for the new total.
#[derive(Debug)]
pub(crate) struct Job {
    line: Box<[u8]>,
    reply: Sender<u64>,
}

/// The state of one C thread's calls. C passes it as `ctx`.
#[derive(Debug)]
pub(crate) struct Caller {
    bridge: Bridge,
    jobs: Sender<Job>,
    reply: Sender<u64>,
    replies: Receiver<u64>,
    pub(crate) latencies: Histogram,
    /// Why the first failed call failed.
    pub(crate) failure: Option<String>,
}

impl Caller {
    pub(crate) fn new(bridge: Bridge, jobs: Sender<Job>) -> Self {
        let (reply, replies) = chan::bounded(1);
        Self { bridge, jobs, reply, replies, latencies: Histogram::new(), failure: None }
    }

    /// Makes a goroutine count `line` and waits for the running total. Inside `enter` this thread
    /// is a goroutine, so a wait for the channels parks it like any other.
    fn call(&mut self, line: &[u8]) -> Result<u64, String> {
        let started = Instant::now();
        let answer = self.bridge.enter(|| {
            let job = Job { line: line.into(), reply: self.reply.clone() };
            self.jobs.send(job).ok()?;
            self.replies.recv().ok()
        });
        self.latencies.note(started.elapsed());
        match answer {
            Ok(Some(total)) => Ok(total),
            Ok(None) => Err("the counting goroutines are gone".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The function whose pointer C gets.
///
/// # Safety
///
/// `ctx` points to a [`Caller`] that no one else uses during the call, `line` to `len` bytes that
/// do not change.
pub(crate) unsafe extern "C" fn on_line(ctx: *mut c_void, line: *const u8, len: usize) -> i64 {
    // SAFETY: the caller's promise.
    let caller = unsafe { &mut *ctx.cast::<Caller>() };
    // SAFETY: the caller's promise.
    let line = unsafe { std::slice::from_raw_parts(line, len) };
    #[cfg(gosched_mutants)]
    crate::mutants::enter_often();
    let answer = caller.call(line);
    CALLBACKS.fetch_add(1, Ordering::Relaxed);
    match answer {
        Ok(total) => i64::try_from(total).unwrap_or(i64::MAX),
        Err(error) => {
            caller.failure.get_or_insert(error);
            -1
        }
    }
}

/// The body of a counting goroutine: takes lines until no sender is left, answers each with the
/// running total, and returns how many it took.
pub(crate) fn count_lines(jobs: &Receiver<Job>, words: &AtomicU64) -> u64 {
    let mut lines = 0;
    for job in jobs.iter() {
        let in_line = words_of(&job.line);
        // This word only grows: each caller sees its totals grow in every order of these additions.
        let total = words.fetch_add(in_line, Ordering::Relaxed) + in_line;
        if job.reply.send(total).is_err() {
            // The caller is gone, and `enter` has told it why.
            continue;
        }
        lines += 1;
    }
    lines
}

/// Returns the number of runs of bytes that are no ASCII white space. Bytes, so that a line in any
/// encoding has words.
fn words_of(line: &[u8]) -> u64 {
    line.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).filter(|word| !word.is_empty()).count()
        as u64
}
