//! How a runtime is to be built: what its builder may be told.

use std::io;
use std::time::Duration;

use gosched_runtime_sys::memory::stack::{Guards, Shape};
use gosched_runtime_sys::thread::fork;
use gosched_runtime_sys::thread::usable_cpus;

use crate::carry::{Carry, SwitchHooks};
use crate::gmp::p::{MAX_PROCS, check_number};
use crate::gmp::sched::Config;
use crate::mode::{Deadlock, Mode, Warnings};
use crate::policy;
use crate::signal;

/// Bytes of a goroutine's stack, unless the builder says otherwise: 1 MiB. With its guard a stack
/// takes 1,092 KiB of address space. One page of it is touched at first. A stack in use also takes
/// 2.1 KB of page tables; for a million goroutines that wait, 192 KiB take a quarter of that.
pub const DEFAULT_STACK_SIZE: usize = 1024 * 1024;

/// The most threads a runtime makes to run goroutines, unless the builder says otherwise: as many
/// as Go's runtime may have.
pub const DEFAULT_MAX_THREADS: usize = 10_000;

/// What the builder may say of them.
const THREADS: std::ops::RangeInclusive<usize> = 1..=100_000;

/// The shortest and the longest slice of a thread: those that Linux takes.
const SLICES: std::ops::RangeInclusive<Duration> =
    Duration::from_micros(100)..=Duration::from_millis(100);

const MAX_TIMER_SLACK: Duration = Duration::from_secs(1);

/// The smallest and the largest stack, in bytes. `go` may have to make a thread for an M, on the
/// stack of the goroutine that calls it: in a debug build that does not fit into 16 KiB.
const STACK_SIZES: std::ops::RangeInclusive<usize> = (32 * 1024)..=LARGEST_STACK;

/// A terabyte, or where addresses have 32 bits, a gigabyte.
const LARGEST_STACK: usize = match 1_usize.checked_shl(40) {
    Some(terabyte) => terabyte,
    None => 1 << 30,
};

/// How a runtime is to be built. See [`Runtime::builder`](crate::Runtime::builder).
#[derive(Clone, Debug)]
pub struct Builder {
    mode: Mode,
    procs: Option<usize>,
    stack_size: usize,
    name: String,
    max_threads: Option<usize>,
    max_blocking: usize,
    thread_slice: Option<Duration>,
    timer_slack: Duration,
    deadlock: Option<Deadlock>,
    warnings: Warnings,
    carried: SwitchHooks,
    #[cfg(feature = "check-promises")]
    checked: Option<Vec<String>>,
}

impl Builder {
    /// A builder for goroutines of this mode.
    #[inline]
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            procs: None,
            stack_size: DEFAULT_STACK_SIZE,
            name: "gosched".to_owned(),
            max_threads: None,
            max_blocking: policy::MAX_HELPERS,
            thread_slice: Some(policy::THREAD_SLICE),
            timer_slack: policy::TIMER_SLACK,
            deadlock: None,
            warnings: Warnings::default(),
            carried: SwitchHooks::default(),
            #[cfg(feature = "check-promises")]
            checked: None,
        }
    }

    /// Sets how many goroutines run at the same time, 1 to 1024;
    /// [`Runtime::set_procs`](crate::Runtime::set_procs) changes it. Unless set: the CPUs this
    /// process may use, by affinity and by its cgroup's quota.
    #[doc(alias("GOMAXPROCS", "worker_threads"))]
    #[must_use]
    #[inline]
    pub fn procs(mut self, n: usize) -> Self {
        self.procs = Some(n);
        self
    }

    /// Sets the bytes of stack for each goroutine, 32 KiB to 1 TiB, rounded up to pages. A guard of
    /// 64 KiB comes on top, and a page more where stack and guard together are an even number of
    /// pages. Address space only: memory is taken as it is used. Unless set:
    /// [`DEFAULT_STACK_SIZE`].
    ///
    /// On Linux before 6.13 each stack takes two mappings, and the kernel's limit
    /// (`vm.max_map_count`, 65,530 unless somebody raised it) ends that near 32,000: a goroutine
    /// beyond is not started, see [`NotStarted`](crate::NotStarted). With
    /// `GOSCHED_STACK_GUARDS=closed` in the environment it is so on newer ones, too.
    #[doc(alias = "thread_stack_size")]
    #[must_use]
    #[inline]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// Sets what its threads are called: `name-m1` and so on, those of
    /// [`blocking`](crate::blocking()) `name-b1` and so on, `name-g` where a goroutine is a thread
    /// (`Mode::threads`, `own_thread`), `name-sysmon`, `name-maker` and `name-report`. Two threads
    /// that are alive at once may have the same name: the numbers count the threads there are.
    /// Unless set: `gosched`. Linux shows 15 bytes of a thread's name.
    ///
    /// One thread belongs to the process and not to a runtime, and is called `gosched-clock`. The
    /// first future with a time limit makes it, and it stays when all runtimes are gone.
    #[doc(alias = "thread_name")]
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the most threads that it makes to run goroutines, 1 to 100,000; not counted are those
    /// that lend themselves ([`Runtime::run`](crate::Runtime::run)) or are about to end
    /// ([`lock_thread`](crate::lock_thread)), its overseer, those of
    /// [`blocking`](crate::blocking()) and of `Mode::threads`. A runtime has about as many as it
    /// has Ps; more while goroutines block or compute for long, whose Ps others then run. At the
    /// limit nobody takes over: what waits behind such goroutines waits for them. One of them
    /// cannot be locked. Unless set: [`DEFAULT_MAX_THREADS`], or twice the number of Ps if that is
    /// more.
    #[doc(alias = "SetMaxThreads")]
    #[must_use]
    #[inline]
    pub fn max_threads(mut self, n: usize) -> Self {
        self.max_threads = Some(n);
        self
    }

    /// Sets the most threads that [`blocking`](crate::blocking()) runs closures on; beyond, they
    /// run where they are called, and with 0 all do. A thread is made when one is needed, and ends
    /// after half a second without work. Unless set: 512.
    #[must_use]
    #[inline]
    pub fn max_blocking_threads(mut self, n: usize) -> Self {
        self.max_blocking = n;
        self
    }

    /// Sets for how long, at most, one of its threads that computes keeps its core from a thread
    /// that was just woken, 100 us to 100 ms: the time slice that the threads which run goroutines
    /// ask the system for. With `None` they have the system's, commonly 1.4 to 3 ms. Linux 6.12 and
    /// later have such slices. Unless set: 100 us.
    ///
    /// Only threads that the runtime makes have it, no thread or process that a goroutine makes,
    /// and none that is scheduled by another policy or has a negative nice value. The price: a
    /// goroutine that is to change the policy of such a thread itself, as under
    /// [`lock_thread`](crate::lock_thread), needs `CAP_SYS_NICE`; one with a thread of its own
    /// ([`own_thread`](crate::goroutine::Builder::own_thread)) does not.
    #[doc(alias = "sched_setattr")]
    #[must_use]
    #[inline]
    pub fn thread_slice(mut self, slice: Option<Duration>) -> Self {
        self.thread_slice = slice;
        self
    }

    /// Sets how much later than its deadline a timer of a goroutine may fire, so that many of them
    /// are served together, at most one second. Unless set: 200 us. With zero each is served as
    /// soon as the system wakes a thread for it.
    ///
    /// Only where at least eight timers are due within that time does the thread that keeps the
    /// time sleep on. A few tickers are not later for it, and a thread that looks for work serves
    /// what is due at once. The system has a slack of its own beside this one, on Linux 50 us.
    ///
    /// ```
    /// use gosched::{Mode, Runtime};
    /// use std::time::Duration;
    ///
    /// // 100,000 connections, each with an idle timeout: a millisecond does not matter.
    /// let slack = Duration::from_millis(1);
    /// let runtime = Runtime::builder(Mode::threads()).timer_slack(slack).build()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias("PR_SET_TIMERSLACK", "timerslack", "coalesce"))]
    #[must_use]
    #[inline]
    pub fn timer_slack(mut self, slack: Duration) -> Self {
        self.timer_slack = slack;
        self
    }

    /// Sets what is done when all goroutines wait, and nothing in the runtime is left that could
    /// wake one. Unless set: [`Deadlock::Report`]; in [`gosched::run`](crate::run()),
    /// [`Deadlock::PanicIfProven`].
    #[must_use]
    pub fn deadlock(mut self, deadlock: Deadlock) -> Self {
        self.deadlock = Some(deadlock);
        self
    }

    /// Sets where its warnings go: above all that a goroutine computes or blocks for 100 ms, and
    /// again for a second, while others wait for its thread. Unless set: [`Warnings::Heard`], so a
    /// process without a `tracing` subscriber finds them on standard error.
    #[must_use]
    #[inline]
    pub fn warnings(mut self, warnings: Warnings) -> Self {
        self.warnings = warnings;
        self
    }

    /// Makes goroutines carry context along that lives in thread-locals; see [`Carry`]. What was
    /// registered first is taken first and put back last.
    #[must_use]
    pub fn carry(mut self, carry: impl Carry) -> Self {
        self.carried.push(carry);
        self
    }

    /// Looks for broken promises of [`Mode::settled`](crate::Mode::settled) and
    /// [`Mode::migratory`](crate::Mode::migratory): at each operation that may suspend, the stack
    /// of the goroutine is searched for functions that rely on their calls being nested, on their
    /// thread, or on nothing waiting in them. Each violation that is found is a warning, once, with
    /// the stack of the wait and that of where the goroutine was made.
    /// [docs/soundness.md][soundness] lists the functions that are known;
    /// [`check_promises_in`](Self::check_promises_in) adds others.
    ///
    /// In debug builds, with the feature `check-promises`; in a build without debug assertions this
    /// does nothing, because functions are inlined there. It finds what the program does, and only
    /// in functions that are known: finding nothing proves nothing. An operation takes some
    /// microseconds more. Code that waits in place breaks no promise, and is not looked at: a
    /// callback, a goroutine that unwinds or has a thread of its own.
    ///
    /// [soundness]: https://docs.rs/gosched/latest/gosched/docs/soundness/index.html
    ///
    /// ```
    /// use gosched::{Mode, Runtime};
    ///
    /// // SAFETY: nothing here waits in a closure of other people's code.
    /// let mode = unsafe { Mode::settled() };
    /// let rt = Runtime::builder(mode).check_promises(true).build()?;
    /// rt.run(|| gosched::yield_now());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "check-promises")]
    #[must_use]
    pub fn check_promises(mut self, check: bool) -> Self {
        self.checked = check.then(|| self.checked.unwrap_or_default());
        self
    }

    /// As [`check_promises`](Self::check_promises), and adds a function to those that are known, by
    /// its path without generics: `interpreter::Token::with`. A path of a module or crate, with
    /// `::` at its end, stands for all functions in it. With `debug = "line-tables-only"` some
    /// functions are known to a debugger by their last name alone, and are then not found.
    #[cfg(feature = "check-promises")]
    #[must_use]
    pub fn check_promises_in(mut self, path: impl Into<String>) -> Self {
        self.checked.get_or_insert_default().push(path.into());
        self
    }

    /// Checks the settings, and installs what a runtime needs in the process.
    pub(super) fn config(self) -> io::Result<Config> {
        let procs = self.procs.unwrap_or_else(|| usable_cpus().count.clamp(1, MAX_PROCS));
        check_number(procs)?;
        check_stack_size(Some(self.stack_size))?;
        if let Some(n) = self.max_threads.filter(|n| !THREADS.contains(n)) {
            return Err(invalid(format!(
                "max_threads must be {} to {}, not {n}",
                THREADS.start(),
                THREADS.end()
            )));
        }
        if let Some(slice) = self.thread_slice.filter(|slice| !SLICES.contains(slice)) {
            let (least, most) = (SLICES.start(), SLICES.end());
            return Err(invalid(format!(
                "thread_slice must be {least:?} to {most:?}, not {slice:?}"
            )));
        }
        if self.timer_slack > MAX_TIMER_SLACK {
            return Err(invalid(format!(
                "timer_slack must be at most {MAX_TIMER_SLACK:?}, not {:?}",
                self.timer_slack
            )));
        }
        if self.name.contains('\0') {
            return Err(invalid("a runtime's name cannot contain NUL".to_owned()));
        }
        fork::register_hook()?;
        signal::install(self.warnings)?;
        let stack = Shape::new(self.stack_size, guards())?;
        let in_tests = is_in_tests();
        Ok(Config {
            mode: self.mode,
            procs,
            stack,
            name: self.name,
            max_threads: self.max_threads.unwrap_or(DEFAULT_MAX_THREADS.max(2 * procs)),
            max_blocking: self.max_blocking,
            thread_slice: self.thread_slice,
            timer_slack_ns: self.timer_slack.as_nanos() as u64,
            deadlock: self.deadlock.unwrap_or(if in_tests {
                Deadlock::PanicIfProven
            } else {
                Deadlock::default()
            }),
            bystander: in_tests.then(std::process::id).map(|first| first as i32),
            warnings: self.warnings,
            carried: self.carried,
            #[cfg(feature = "check-promises")]
            checked: self.checked,
        })
    }
}

/// Returns how stacks are guarded: as well as the kernel can, or as on an old one, if the
/// environment says so.
fn guards() -> Guards {
    match std::env::var_os("GOSCHED_STACK_GUARDS") {
        Some(kind) if kind == "closed" => Guards::Closed,
        _ => Guards::available(),
    }
}

/// True if the environment says that this is a test of a harness whose first thread wakes nobody.
fn is_in_tests() -> bool {
    std::env::var_os("GOSCHED_DEADLOCK").is_some_and(|how| how == "tests")
}

/// Returns an error if no goroutine may have a stack of so many bytes.
pub(crate) fn check_stack_size(bytes: Option<usize>) -> io::Result<()> {
    let (least, most) = (STACK_SIZES.start(), STACK_SIZES.end());
    match bytes {
        Some(bytes) if !STACK_SIZES.contains(&bytes) => {
            Err(invalid(format!("stack_size must be {least} to {most} bytes, not {bytes}")))
        }
        _ => Ok(()),
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
