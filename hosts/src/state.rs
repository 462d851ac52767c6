//! What a callback must leave on its thread as it was: signal mask, signal stack, `errno`.
//!
//! # Safety
//!
//! The kernel is asked, and changes nothing; it writes to locals of the right size.
#![expect(unsafe_code, reason = "system calls")]

use gosched::callback::Binding;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{mem, ptr};

/// A thread's state at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// All 64 signals, as the kernel has them.
    mask: u64,
    stack: (usize, i32, usize),
}

/// A value that no call sets.
const ERRNO: i32 = libc::EDOM;

/// SIGSEGV and SIGBUS: a bound thread lets them through.
const FAULTS: u64 = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);

static MASKS: AtomicU64 = AtomicU64::new(0);
static STACKS: AtomicU64 = AtomicU64::new(0);
static ERRNOS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// True once the thread is bound: from then on its signal stack stays.
    static BOUND: Cell<bool> = const { Cell::new(false) };
}

fn errno() -> *mut i32 {
    // SAFETY: no requirements; the address is the thread's.
    unsafe { libc::__errno_location() }
}

fn set_errno(value: i32) {
    // SAFETY: the thread's own.
    unsafe { *errno() = value }
}

impl State {
    fn now() -> Self {
        let mut mask = 0_u64;
        let none: *const u64 = ptr::null();
        // SAFETY: reads the mask into eight bytes.
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, 0, none, &raw mut mask, 8) };
        // SAFETY: plain data.
        let mut stack: libc::stack_t = unsafe { mem::zeroed() };
        // SAFETY: reads the signal stack.
        unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) };
        Self { mask, stack: (stack.ss_sp.addr(), stack.ss_flags, stack.ss_size) }
    }
}

/// Runs `call`, which enters by this binding, and counts what it has changed on the thread.
pub fn around<R>(binding: Binding, call: impl FnOnce() -> R) -> R {
    // SAFETY: the thread's own.
    let former = unsafe { *errno() };
    let bound = binding == Binding::UntilThreadExit;
    // A call in this one finds the thread bound.
    let binds = bound && !BOUND.replace(bound);
    let before = State::now();
    set_errno(ERRNO);
    let result = call();
    // SAFETY: the thread's own.
    let left = unsafe { *errno() };
    let after = State::now();
    let add = |counter: &AtomicU64, wrong: bool| {
        counter.fetch_add(u64::from(wrong), Relaxed);
    };
    add(&ERRNOS, left != ERRNO);
    let open = before.mask & !FAULTS;
    add(&MASKS, after.mask != before.mask && !(bound && after.mask == open));
    add(&STACKS, after.stack != before.stack && !binds);
    set_errno(former);
    result
}

/// Runs `other`, which may set `errno`, between two parts of a callback that is looked at.
pub fn keeping_errno<R>(other: impl FnOnce() -> R) -> R {
    // SAFETY: the thread's own.
    let former = unsafe { *errno() };
    let result = other();
    set_errno(former);
    result
}

/// Returns what was changed by callbacks so far, in words.
#[must_use]
pub fn complaints() -> Vec<String> {
    [("signal masks", &MASKS), ("signal stacks", &STACKS), ("errnos", &ERRNOS)]
        .into_iter()
        .map(|(what, count)| (what, count.load(Relaxed)))
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what} were not kept"))
        .collect()
}
