//! A thread made by C's `pthread_create` that records its own state before and after each call into
//! Rust.
//!
//! ```
//! use c_side::thread::{Plan, run};
//!
//! let report = run(Plan { calls: 2, ..Plan::default() }, |index| index as i64).unwrap();
//! assert_eq!(report.calls[1].returned, 1);
//! assert_eq!(report.calls[1].before, report.calls[1].after);
//! assert!(!report.at_exit.has_signal_stack());
//! ```
//!
//! # Safety
//!
//! The structures that C writes to lie in a `Box` that is freed only after the thread was joined.
//! Nobody reads them before that.

#![expect(unsafe_code, reason = "calls into C")]

use std::ffi::{c_int, c_ulong, c_void};
use std::{fmt, io, ptr};

/// Signal mask, signal stack and `errno` of a thread at one moment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Bit n-1: signal n is blocked.
    pub mask: u64,
    /// The registered signal stack; 0 if there is none.
    pub stack_base: usize,
    /// Its size in bytes.
    pub stack_size: u64,
    /// `ss_flags` of `sigaltstack(2)`: 1 (`SS_ONSTACK`) while the thread is running on it, 2
    /// (`SS_DISABLE`) if there is none.
    pub stack_flags: i32,
    /// `errno`.
    pub error_number: i32,
}

impl State {
    /// Returns the calling thread's state. Async-signal-safe; changes nothing.
    pub fn now() -> Self {
        let mut state = Self::default();
        // SAFETY: C fills in the structure and keeps no pointer.
        unsafe { c_thread_state(&raw mut state) };
        state
    }

    /// True if the kernel has a signal stack for the thread.
    pub fn has_signal_stack(&self) -> bool {
        self.stack_flags & 2 == 0
    }

    /// True if the thread was running on that stack.
    pub fn on_signal_stack(&self) -> bool {
        self.stack_flags & 1 != 0
    }
}

/// The kernel's view of the calling thread's signal stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalStack {
    /// No stack is registered.
    Missing,
    /// A stack is registered; the thread runs on another one.
    Registered,
    /// A stack is registered, and the thread runs on it.
    Running,
}

impl SignalStack {
    /// Asks the kernel. Async-signal-safe, and cheaper than [`State::now`].
    pub fn now() -> Self {
        match c_signal_stack_flags() {
            flags if flags & 2 != 0 => Self::Missing,
            flags if flags & 1 != 0 => Self::Running,
            _ => Self::Registered,
        }
    }
}

/// One call of the callback.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The thread immediately before.
    pub before: State,
    /// The thread immediately after.
    pub after: State,
    /// What the callback returned.
    pub returned: i64,
}

/// The thread's properties and work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of its own signal stack; 0: it has none.
    pub signal_stack: usize,
    /// Signals that it blocks, as in [`State::mask`].
    pub blocked: u64,
    /// How often it calls the callback. After each call there is a cancellation point.
    pub calls: usize,
}

/// The outcome of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The calls that returned.
    pub calls: Vec<Call>,
    /// The thread's state at its end, after each key's destructor has run once (its own is then in
    /// its second round).
    pub at_exit: State,
    /// Whether it reached the end of its function.
    pub reached_end: bool,
    /// Whether a cancellation ended it.
    pub cancelled: bool,
}

/// `struct c_thread` of `c_side.h`.
#[repr(C)]
struct Raw {
    signal_stack: usize,
    blocked: u64,
    calls: usize,
    call: unsafe extern "C" fn(*mut c_void, usize) -> i64,
    ctx: *mut c_void,
    records: *mut Call,
    at_exit: State,
    returned: usize,
    reached_end: i32,
    cancelled: i32,
    signal_stack_memory: *mut c_void,
    thread: c_ulong,
}

unsafe extern "C" {
    fn c_thread_state(out: *mut State);
    fn c_thread_start(thread: *mut Raw) -> c_int;
    fn c_thread_join(thread: *mut Raw) -> c_int;
    fn c_thread_cancel(thread: *const Raw) -> c_int;
    fn c_thread_kill(thread: *const Raw, signal: c_int) -> c_int;
    fn c_call(call: unsafe extern "C" fn(*mut c_void, usize) -> i64, ctx: *mut c_void) -> i64;
    safe fn c_signal_stack_flags() -> c_int;
    safe fn c_overflow_stack(depth: i64) -> i64;
    safe fn c_exit_process(status: c_int) -> !;
}

unsafe extern "C-unwind" {
    fn c_exit_thread() -> !;
}

/// A C thread that runs; joined when dropped.
pub struct CThread {
    /// From `Box::into_raw`, not owned as a `Box`: the thread writes to it.
    raw: *mut Raw,
    records: Vec<Call>,
    /// The closure, from `Box::into_raw`, and how to drop it.
    closure: *mut c_void,
    drop_closure: unsafe fn(*mut c_void),
    joined: bool,
}

// SAFETY: the closure is `Send`. `&CThread` only gives `cancel` and `kill`, which pthreads allows
// from any thread.
unsafe impl Send for CThread {}
// SAFETY: as above.
unsafe impl Sync for CThread {}

impl fmt::Debug for CThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CThread").field("joined", &self.joined).finish_non_exhaustive()
    }
}

/// # Safety
///
/// `ctx` points to an `F` that nobody else uses during the call.
unsafe extern "C" fn call<F: FnMut(usize) -> i64>(ctx: *mut c_void, index: usize) -> i64 {
    // SAFETY: the caller's promise.
    let closure = unsafe { &mut *ctx.cast::<F>() };
    closure(index)
}

/// # Safety
///
/// `ctx` came from `Box::<F>::into_raw` and is not used again.
unsafe fn drop_closure<F>(ctx: *mut c_void) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(ctx.cast::<F>()) });
}

impl CThread {
    /// Starts a C thread that calls `callback` with 0, 1, .. as often as the plan says. A panic in
    /// it aborts.
    pub fn spawn<F: FnMut(usize) -> i64 + Send + 'static>(
        plan: Plan,
        callback: F,
    ) -> io::Result<Self> {
        // SAFETY: the closure borrows nothing.
        unsafe { Self::spawn_unchecked(plan, callback) }
    }

    /// # Safety
    ///
    /// The returned value is dropped or joined before anything that `callback` borrows ends.
    unsafe fn spawn_unchecked<F: FnMut(usize) -> i64 + Send>(
        plan: Plan,
        callback: F,
    ) -> io::Result<Self> {
        let mut records = vec![Call::default(); plan.calls];
        let closure = Box::into_raw(Box::new(callback)).cast::<c_void>();
        let raw = Box::into_raw(Box::new(Raw {
            signal_stack: plan.signal_stack,
            blocked: plan.blocked,
            calls: plan.calls,
            call: call::<F>,
            ctx: closure,
            records: records.as_mut_ptr(),
            at_exit: State::default(),
            returned: 0,
            reached_end: 0,
            cancelled: 0,
            signal_stack_memory: ptr::null_mut(),
            thread: 0,
        }));
        // Made first: if the start fails, its drop frees what was allocated.
        let mut thread =
            Self { raw, records, closure, drop_closure: drop_closure::<F>, joined: true };
        // SAFETY: `raw`, the records and the closure stay until `join` has returned.
        crate::checked(unsafe { c_thread_start(raw) })?;
        thread.joined = false;
        Ok(thread)
    }

    /// `pthread_cancel`.
    pub fn cancel(&self) -> io::Result<()> {
        // SAFETY: not joined yet, so the thread's id is valid.
        crate::checked(unsafe { c_thread_cancel(self.raw) })
    }

    /// `pthread_kill`.
    pub fn kill(&self, signal: c_int) -> io::Result<()> {
        // SAFETY: not joined yet, so the thread's id is valid.
        crate::checked(unsafe { c_thread_kill(self.raw, signal) })
    }

    fn join_once(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.joined, true) {
            return Ok(());
        }
        // SAFETY: started, and joined only here.
        crate::checked(unsafe { c_thread_join(self.raw) })
    }

    /// Waits for the thread's end.
    pub fn join(mut self) -> io::Result<Report> {
        self.join_once()?;
        // SAFETY: the thread has ended; nobody writes any more.
        let raw = unsafe { &*self.raw };
        let mut calls = std::mem::take(&mut self.records);
        calls.truncate(raw.returned);
        Ok(Report {
            calls,
            at_exit: raw.at_exit,
            reached_end: raw.reached_end != 0,
            cancelled: raw.cancelled != 0,
        })
    }
}

impl Drop for CThread {
    fn drop(&mut self) {
        if let Err(error) = self.join_once() {
            // Leaked: the thread may still use all of it.
            eprintln!("c_side: a thread could not be joined: {error}");
            std::mem::take(&mut self.records).leak();
            return;
        }
        // SAFETY: from `Box::into_raw`, and the thread has ended or was never made.
        drop(unsafe { Box::from_raw(self.raw) });
        // SAFETY: likewise, of the type that `drop_closure` was made for.
        unsafe { (self.drop_closure)(self.closure) };
    }
}

/// Runs a C thread as the plan says, and waits for its end; `callback` may borrow.
pub fn run<F: FnMut(usize) -> i64 + Send>(plan: Plan, callback: F) -> io::Result<Report> {
    // SAFETY: joined here, before any borrow of `callback` ends; if the join fails, the process
    // aborts.
    let thread = unsafe { CThread::spawn_unchecked(plan, callback) }?;
    Ok(thread.join().unwrap_or_else(|error| {
        eprintln!("c_side: a thread that borrows could not be joined: {error}");
        std::process::abort()
    }))
}

/// Calls `f` on this thread, from C: Rust, C, Rust. A panic in it aborts.
pub fn through_c<R>(f: impl FnOnce() -> R) -> R {
    let mut f = Some(f);
    let mut result = None;
    let mut closure = |_index| {
        result = f.take().map(|f| f());
        0
    };
    // SAFETY: C calls it once, with this pointer, before it returns.
    unsafe { c_call(call_of(&closure), (&raw mut closure).cast()) };
    result.expect("C has called it")
}

/// Returns [`call`] for a closure whose type has no name.
fn call_of<F: FnMut(usize) -> i64>(
    _closure: &F,
) -> unsafe extern "C" fn(*mut c_void, usize) -> i64 {
    call::<F>
}

/// `pthread_exit`, from wherever the thread is: unwinds it with a foreign exception that Rust may
/// not catch.
///
/// # Safety
///
/// No frame between here and the thread's first one relies on being returned to.
pub unsafe fn exit_thread() -> ! {
    // SAFETY: the caller's promise.
    unsafe { c_exit_thread() }
}

/// Recurses in C, 512 bytes at a time, until the stack's guard page stops it.
pub fn overflow_stack() -> i64 {
    c_overflow_stack(0)
}

/// `_exit`: ends the process now, whatever its other threads hold or wait for.
pub fn exit_process(status: i32) -> ! {
    c_exit_process(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_reports_its_own_signal_stack_mask_and_errno() {
        let plan =
            Plan { signal_stack: 64 * 1024, blocked: 1 << (crate::storm::signal() - 1), calls: 3 };
        let report = run(plan, |index| index as i64 * 7).unwrap();
        assert!(report.reached_end && !report.cancelled);
        assert_eq!(report.calls.iter().map(|call| call.returned).collect::<Vec<_>>(), [0, 7, 14]);
        for (index, call) in report.calls.iter().enumerate() {
            assert_eq!(call.before, call.after);
            assert_eq!(call.before.stack_size, 64 * 1024);
            assert_eq!(call.before.mask & plan.blocked, plan.blocked);
            assert_eq!(call.before.error_number, index as i32 + 1);
        }
        assert!(report.at_exit.has_signal_stack(), "C leaves its own registered");
    }

    #[test]
    fn a_call_through_c_stays_on_the_thread_and_gives_its_result() {
        let here = std::thread::current().id();
        assert_eq!(through_c(|| (std::thread::current().id(), through_c(|| 7))), (here, 7));
    }

    #[test]
    fn a_cancelled_thread_ends_after_the_call_it_is_in() {
        let (inside, is_inside) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let thread = CThread::spawn(Plan { calls: 2, ..Plan::default() }, move |_| {
            inside.send(()).unwrap();
            // A thread that waits on a std channel meets no cancellation point: std calls futexes
            // directly.
            may_go_on.recv().map_or(-1, |()| 1)
        })
        .unwrap();
        is_inside.recv().unwrap();
        thread.cancel().unwrap();
        go_on.send(()).unwrap();
        let report = thread.join().unwrap();
        assert!(report.cancelled && !report.reached_end);
        assert_eq!(report.calls.len(), 1);
    }

    #[test]
    fn what_happens_to_a_thread_inside_a_call_shows() {
        let mut blocked_inside = State::default();
        let report = run(Plan { calls: 1, ..Plan::default() }, |_| {
            blocked_inside = State::now();
            0
        })
        .unwrap();
        assert!(!blocked_inside.has_signal_stack());
        assert_eq!(report.calls[0].before.mask, blocked_inside.mask);
    }
}
