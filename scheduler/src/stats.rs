//! A runtime in numbers.
//!
//! The numbers are read one after the other, from words that other threads write meanwhile; no
//! thread is stopped. So each number was true a moment ago, and two of them need not have been true
//! at the same time.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::gmp::m::M;
use crate::gmp::sched::Sched;
use crate::gmp::stack_pool::StackStats;
use crate::gmp::thread_g;
use crate::runtime::{Handle, Runtime};

/// A runtime in numbers; see [`Runtime::stats`](crate::Runtime::stats).
///
/// Its words: a *processor* is the right to run goroutines, of which there are
/// [`procs`](Self::procs); a *thread* is one that runs goroutines on stacks of their own. Figures
/// of what happened so far begin with the runtime.
#[doc(alias("NumGoroutine", "metrics", "RuntimeMetrics", "schedtrace"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Goroutines that were made and have not ended.
    pub goroutines: u64,
    /// Of these, those that run; also without a processor, if it was taken from them.
    pub running: u64,
    /// Those that could go on and wait for a thread or a processor. An estimate: what was just made
    /// ready from elsewhere for a thread that is busy counts as one.
    pub runnable: u64,
    /// Those that wait for something, or block in [`blocking`](crate::blocking()): what is left
    /// when the others are taken from [`goroutines`](Self::goroutines), and so with the few that
    /// are on their way from one place to the next. In `Mode::threads` those that block in
    /// `blocking` count as [`running`](Self::running), since their closures run in place.
    pub waiting: u64,
    /// Those that have not started.
    pub unstarted: u64,
    /// Processors.
    pub procs: usize,
    /// Those beyond that number that are still in use, after
    /// [`set_procs`](crate::Runtime::set_procs) asked for fewer.
    pub surplus_procs: usize,
    /// Processors that nobody has any use for.
    pub idle_procs: usize,
    /// Threads that run goroutines. None in `Mode::threads`, where each goroutine is one.
    pub threads: usize,
    /// Of these, those in a goroutine's code.
    pub running_threads: usize,
    /// Those that sleep because there is nothing to do.
    pub idle_threads: usize,
    /// Those that have something to run and wait for a processor.
    pub queued_threads: usize,
    /// Those that the processors are meant for: as many as there are of these, once there was use
    /// for all.
    pub resident_threads: usize,
    /// Those that were made because goroutines kept resident threads too long.
    pub spare_threads: usize,
    /// Those that lent themselves ([`Runtime::run`](crate::Runtime::run)); they may be resident
    /// threads, too.
    pub lent_threads: usize,
    /// Those with started, unfinished goroutines that can run nowhere else.
    pub owning_threads: usize,
    /// Threads of [`blocking`](crate::blocking()), busy or not.
    pub helper_threads: usize,
    /// Threads of others inside a callback. They are not among [`goroutines`](Self::goroutines).
    pub callbacks: usize,
    /// Of these, those that wait.
    pub waiting_callbacks: usize,
    /// Threads of others that came in and keep what they came in with until they end, as with
    /// `Binding::UntilThreadExit`. Of the whole process: a thread that calls into several runtimes
    /// is one.
    pub bound_threads: usize,
    /// Of these, those that are in no callback by what they keep.
    pub idle_bound_threads: usize,
    /// How many calls from threads of others were refused in this process, into whatever runtime,
    /// also into none: their closures have not run. A callback that panicked, was cancelled or ran
    /// out of time was not refused.
    pub refused_callbacks: u64,
    /// How often the overseer took the processor from a goroutine that blocked its thread.
    pub retaken_blocked: u64,
    /// How often from one that computed for longer than its slice.
    pub retaken_computing: u64,
    /// How many Ps a goroutine that was woken got at once from one that is known to compute: one
    /// made at the same place has taken 2 ms of processor time in one run.
    pub taken_over: u64,
    /// Goroutines that compute without a processor, as of the overseer's last look.
    pub computing: usize,
    /// How often a thread took a goroutine from another processor's queue.
    pub steals: u64,
    /// How often a processor with something to run went from one thread to another.
    pub hand_overs: u64,
    /// How many goroutines began apart: on a thread on which no others had settled, or none but of
    /// their kind; see [`talks`](crate::goroutine::Builder::talks).
    pub begun_apart: u64,
    /// How many of the places where goroutines are made are known to make goroutines that compute,
    /// or block their thread.
    pub computing_places: usize,
    /// How many goroutines have panicked, or could not be started, without anybody who joined them.
    /// A scope's panics are its own, and are not counted.
    pub unjoined_panics: u64,
    /// The longest that a goroutine was seen to run without a suspension. The overseer looks about
    /// every millisecond while something waits, and not at all otherwise: shorter runs, and those
    /// that nobody waited for, are not seen.
    pub longest_run: Duration,
    /// Whether the overseer sleeps, because nothing waits behind a goroutine that runs.
    pub overseer_asleep: bool,
    /// What the stacks take.
    pub stacks: StackStats,
}

/// Sums over all Ms of a runtime.
#[derive(Default)]
struct Ms {
    running: usize,
    idle: usize,
    spare: usize,
    owning: usize,
    settled_ready: usize,
}

impl Ms {
    #[inline]
    fn count(&mut self, m: &M) {
        self.running += usize::from(m.progress.runs());
        self.idle += usize::from(m.remote.sleeps());
        self.spare += usize::from(!m.remote.is_resident());
        self.owning += usize::from(m.settled() > 0);
        self.settled_ready += m.progress.settled_behind() + usize::from(!m.inbox.is_empty());
    }
}

impl Runtime {
    /// The runtime in numbers, as of about now; from any thread.
    ///
    /// Cheap enough to poll: it stops nobody and takes short locks that are seldom wanted. With 1,
    /// 8 and 64 threads it took 320, 660 and 1,360 ns (2-core virtual machine, busy with other
    /// things). It allocates.
    #[doc(alias("NumGoroutine", "metrics"))]
    #[must_use]
    #[inline]
    pub fn stats(&self) -> Stats {
        self.handle().stats()
    }
}

impl Handle {
    /// As [`Runtime::stats`].
    #[doc(alias("NumGoroutine", "metrics"))]
    #[must_use]
    #[inline]
    pub fn stats(&self) -> Stats {
        collect(self.sched())
    }
}

/// Reads all numbers of `sched`.
#[inline]
fn collect(sched: &Sched) -> Stats {
    let mut list = Vec::new();
    sched.list_ms(&mut list);
    let mut ms = Ms::default();
    list.iter().for_each(|m| ms.count(m));
    let on_threads = thread_g::count_in(sched);
    let counts = &sched.counts;
    let (unstarted, migratory) = sched.queued();
    let mut stats = Stats {
        goroutines: sched.live(),
        running: ms.running as u64,
        runnable: (ms.settled_ready + migratory) as u64,
        unstarted: unstarted as u64,
        procs: sched.procs(),
        surplus_procs: sched.dispatch.excess(),
        idle_procs: sched.idle.idle_ps(),
        threads: list.len(),
        running_threads: ms.running,
        idle_threads: ms.idle,
        queued_threads: sched.dispatch.line_len(),
        resident_threads: sched.resident_count(),
        spare_threads: ms.spare,
        lent_threads: sched.lent_threads.load(Relaxed),
        owning_threads: ms.owning,
        helper_threads: sched.blocking.helpers(),
        callbacks: on_threads.callbacks,
        waiting_callbacks: on_threads.callbacks_waiting,
        bound_threads: on_threads.bound,
        idle_bound_threads: on_threads.bound_idle,
        refused_callbacks: on_threads.refused,
        retaken_blocked: counts.retaken_blocked.load(Relaxed),
        retaken_computing: counts.retaken_computing.load(Relaxed),
        taken_over: counts.taken_over.load(Relaxed),
        computing: counts.computing.load(Relaxed),
        steals: sched.stolen(),
        hand_overs: counts.hand_overs.load(Relaxed),
        begun_apart: counts.begun_apart.load(Relaxed),
        computing_places: sched.call_sites.computing(),
        unjoined_panics: counts.unjoined_panics.load(Relaxed),
        longest_run: Duration::from_nanos(counts.longest_run_ns.load(Relaxed)),
        overseer_asleep: sched.sysmon_note.sleeps(),
        stacks: sched.stacks.stats(),
        waiting: 0,
    };
    if sched.config.mode.is_threads() {
        stats.running = (on_threads.others - on_threads.others_waiting) as u64;
    }
    let elsewhere = stats.running + stats.runnable + stats.unstarted;
    stats.waiting = stats.goroutines.saturating_sub(elsewhere);
    stats
}

/// A table of five lines, for people.
impl fmt::Display for Stats {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self;
        writeln!(
            f,
            "goroutines  {:>6}: {} running, {} runnable, {} waiting, {} unstarted; \
             {} callbacks, {} waiting",
            s.goroutines,
            s.running,
            s.runnable,
            s.waiting,
            s.unstarted,
            s.callbacks,
            s.waiting_callbacks
        )?;
        let overseer = if s.overseer_asleep { "asleep" } else { "awake" };
        writeln!(f, "processors  {:>6}: {} idle; overseer {overseer}", s.procs, s.idle_procs)?;
        writeln!(
            f,
            "threads     {:>6}: {} running, {} idle, {} queued; \
             {} resident, {} spare, {} lent; {} own goroutines; {} helpers; \
             {} of others bound, {} idle",
            s.threads,
            s.running_threads,
            s.idle_threads,
            s.queued_threads,
            s.resident_threads,
            s.spare_threads,
            s.lent_threads,
            s.owning_threads,
            s.helper_threads,
            s.bound_threads,
            s.idle_bound_threads
        )?;
        writeln!(
            f,
            "so far      {:>6} retaken ({} blocked, {} computing), {} steals, \
             {} hand-overs, {} callbacks refused, longest run {:?}",
            s.retaken_blocked + s.retaken_computing,
            s.retaken_blocked,
            s.retaken_computing,
            s.steals,
            s.hand_overs,
            s.refused_callbacks,
            s.longest_run
        )?;
        write!(
            f,
            "stacks      {:>6} taken, {} idle, {} KiB reserved in {} slabs",
            s.stacks.taken,
            s.stacks.idle,
            s.stacks.reserved / 1024,
            s.stacks.slabs
        )
    }
}
