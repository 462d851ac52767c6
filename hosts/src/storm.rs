//! A storm of signals on all threads of the process.
//!
//! A thread goes round `/proc/self/task` and sends each thread two signals, one whose handler has
//! asked for the signal stack and one whose handler has not; the profiling timer of the process
//! sends a third. Both directed signals are ignored by default, so one too many does no harm, and
//! no host here uses them.
//!
//! # Safety
//!
//! The handler asks gosched, which is async-signal-safe, and counts.
#![expect(unsafe_code, reason = "installs signal handlers, sends signals")]

use crate::table::{self, Entry};
use gosched::signal::{self, Context};
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, io, mem, ptr};

/// Its handler runs on the signal stack.
const ON_STACK: c_int = libc::SIGWINCH;
/// Its handler runs on whatever stack there is.
const ON_ANY: c_int = libc::SIGURG;
/// Of the timer. Its handler runs on the signal stack.
const PROFILER: c_int = libc::SIGPROF;

/// The signals whose handlers are the storm's while it lasts.
pub const SIGNALS: [c_int; 3] = [ON_STACK, ON_ANY, PROFILER];

/// glibc's.
const SIGCANCEL: c_int = 32;

/// Between two rounds. Without a pause the storm leaves a host on a small machine no time.
const PAUSE: Duration = Duration::from_micros(200);
/// Rounds until the list of threads is read again.
const ROUNDS: usize = 8;

static INSIDE: AtomicU64 = AtomicU64::new(0);
static OUTSIDE: AtomicU64 = AtomicU64::new(0);
static TORN: AtomicU64 = AtomicU64::new(0);

/// The signals so far, by what they found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// A goroutine, whole.
    pub inside: u64,
    /// Nothing of gosched's.
    pub outside: u64,
    /// A goroutine without its signal stack, where the handler had asked for it.
    pub torn: u64,
}

/// Returns the signals so far.
#[must_use]
pub fn received() -> Signals {
    let count = |counter: &AtomicU64| counter.load(Relaxed);
    Signals { inside: count(&INSIDE), outside: count(&OUTSIDE), torn: count(&TORN) }
}

extern "C" fn on_signal(signal: c_int, _info: *mut libc::siginfo_t, _context: *mut c_void) {
    let counter = match signal::context() {
        Context::Outside => &OUTSIDE,
        Context::Goroutine { on_signal_stack: false, .. } if signal != ON_ANY => &TORN,
        Context::Goroutine { .. } => &INSIDE,
    };
    counter.fetch_add(1, Relaxed);
}

/// A storm; dropping it ends it, and puts the handlers back that were there.
#[derive(Debug)]
pub struct Storm {
    former: Vec<(c_int, Entry)>,
    over: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
}

impl Storm {
    /// Begins.
    ///
    /// # Errors
    ///
    /// The system's, if there is no thread for it.
    pub fn start() -> io::Result<Self> {
        let former = SIGNALS.map(|signal| (signal, table::entry(signal)));
        let over = Arc::new(AtomicBool::new(false));
        former.iter().for_each(|(signal, _)| handle(*signal));
        let seen = Arc::clone(&over);
        let sender = std::thread::Builder::new().name("storm".into()).spawn(move || send(&seen))?;
        set_timer(1000);
        Ok(Self { former: former.to_vec(), over, sender: Some(sender) })
    }
}

fn handle(signal: c_int) {
    // SAFETY: plain data.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    let on_stack = if signal == ON_ANY { 0 } else { libc::SA_ONSTACK };
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | on_stack;
    keep_cancel_out(&mut action.sa_mask);
    // SAFETY: the handler is async-signal-safe.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

/// Has a handler run to its end before a `pthread_cancel` comes. A host that cancels a thread in
/// the middle of `read` unwinds from there, at once. That would go through a handler which
/// interrupts the `read`, and must not go through Rust. The C library's own functions leave its
/// signal out.
fn keep_cancel_out(mask: &mut libc::sigset_t) {
    let words: *mut u64 = ptr::from_mut(mask).cast();
    // SAFETY: the kernel's part of a set is its first eight bytes.
    unsafe { *words |= 1 << (SIGCANCEL - 1) };
}

fn set_timer(every_us: i64) {
    let time = libc::timeval { tv_sec: 0, tv_usec: every_us };
    let timer = libc::itimerval { it_interval: time, it_value: time };
    // SAFETY: no requirements.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, ptr::null_mut()) };
}

/// Sends until it is over. Its own thread takes no signals.
fn send(over: &AtomicBool) {
    let all = u64::MAX;
    let none: *mut u64 = ptr::null_mut();
    // SAFETY: a mask of eight bytes.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, none, 8) };
    // SAFETY: no requirements.
    let process = unsafe { libc::getpid() };
    // SAFETY: no requirements.
    let own = unsafe { libc::gettid() };
    while !over.load(Relaxed) {
        let threads: Vec<i32> = fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|thread| *thread != own)
            .collect();
        for _ in 0..ROUNDS {
            for (thread, signal) in
                threads.iter().flat_map(|thread| [(thread, ON_STACK), (thread, ON_ANY)])
            {
                // SAFETY: handled, or ignored. A thread that has ended is an error.
                unsafe { libc::syscall(libc::SYS_tgkill, process, *thread, signal) };
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        set_timer(0);
        if let Some(sender) = self.sender.take() {
            sender.join().expect("it does not panic");
        }
        // The timer's default would end the process; one that is under way comes before this.
        ignore_pending();
        self.former.iter().for_each(|(signal, entry)| table::restore(*signal, entry));
    }
}

/// Discards a signal of the timer that is pending: to ignore it does that.
fn ignore_pending() {
    // SAFETY: no requirements.
    unsafe { libc::signal(PROFILER, libc::SIG_IGN) };
}
