//! The owned half of an M: its queue of settled Gs, and what its loop remembers from one round to
//! the next.

use std::panic::Location;

use gosched_runtime_sys::clock::monotonic_ns;

use crate::gmp::admission::Admission;
use crate::gmp::apart::Apart;
use crate::gmp::g::Runnable;
use crate::gmp::g_queue::Queue;
use crate::gmp::p::P;
use crate::gmp::progress::Progress;
use crate::policy::behaviour::{Behaviour, Company};
use crate::policy::chain::{Chain, Look};
use crate::policy::head_age::HeadAge;
use crate::policy::keeps_up::KeepsUp;
use crate::policy::time_with_p::TimeWithP;
use crate::policy::timer_polling::TimerPolling;
use crate::policy::{self, AdaptiveSpin};

/// The first run of a G that was started on certain terms, or that its call site learns from.
#[derive(Debug)]
pub(crate) struct FirstRun {
    /// The terms on which the M started it. A permit goes back in the next round.
    pub(crate) admission: Admission,
    /// What is expected of the G.
    pub(crate) behaviour: Behaviour,
    /// When it began, in ns on the monotonic clock.
    pub(crate) since: u64,
    /// The thread's processor time then, in ns, if that is known.
    pub(crate) cpu_since: Option<u64>,
    /// Where the G was made, if its call site is to learn how long the run was.
    pub(crate) made_at: Option<&'static Location<'static>>,
    /// It ended with a wait that a timer ends.
    pub(crate) timed: bool,
}

impl FirstRun {
    /// The first run of a G of which nothing is to be learned.
    pub(crate) fn on_terms(admission: Admission) -> Self {
        Self {
            admission,
            behaviour: Behaviour::Talks,
            since: 0,
            cpu_since: None,
            made_at: None,
            timed: false,
        }
    }
}

/// What an M sees that follows a chain while `others` wait.
fn look(others: usize, progress: &Progress) -> Look {
    Look { others, slices: progress.ticks().slice, now: monotonic_ns() }
}

/// The owned half of an M: the M's thread alone touches it, and only while it is in the scheduler.
pub(crate) struct MOwned {
    /// Woken settled Gs.
    woken: Queue,
    /// Settled Gs that have had a turn: they have yielded, or their chain has ended.
    yielded: Queue,
    /// How many Gs that have not had a turn yet went before those that have, one after the other.
    fresh_streak: u32,
    /// The G that was woken last. It runs next.
    run_next: Option<Runnable>,
    /// The Gs in a row that came from `run_next`.
    chain: Chain,
    /// The number of rounds of the M's loop.
    pub(crate) tick: u32,
    /// The number of rounds in which it chose among its queues. Their turns go by this and not by
    /// rounds: a chain of woken Gs has a rhythm of its own, and one queue would always be first.
    pub(crate) choices: u32,
    /// How many fast rounds, without acquiring the P, may follow; see `proc::fast_rounds`.
    pub(crate) fast_rounds_left: u32,
    /// How long the M has had its P while other Ms stand in the line.
    pub(crate) time_with_p: Option<TimeWithP>,
    /// The round in which the M next reads the clock for its P's timers, and its last reading.
    pub(crate) timer_polling: TimerPolling,
    /// What is to be done when the G that the M started last has given the M back.
    pub(crate) first_run: Option<FirstRun>,
    /// Whom a G joins that begins here.
    pub(crate) company: Company,
    /// The round in which a goroutine of this M last made Gs that begin apart, and their burst.
    burst: (u32, u16),
    /// The running goroutine has made Gs that begin apart. An M is brought for them when the
    /// goroutine has given this M back.
    pub(crate) brings_apart: bool,
    /// The M leaves its P, with what is new there, to a resident M, whatever else it has to run.
    pub(crate) leaves_p: bool,
    /// Since when starts fail here because there is no memory for a stack.
    pub(crate) no_stack_since: Option<u64>,
    /// Decides whether the M spins before it sleeps.
    pub(crate) spin: AdaptiveSpin,
    /// How long the M slept before it was woken to search. Taken once that search has ended and it
    /// is known why the M was woken.
    pub(crate) woken_after: Option<u64>,
    /// The M's last search ended with a due deadline. So its P's queue holds other Gs that were due
    /// then, and no work of others.
    pub(crate) found_due: bool,
    /// What the M saw of each P's oldest unstarted G.
    pub(crate) head_ages: Vec<HeadAge>,
    /// What the M saw of each P's migratory Gs.
    pub(crate) keeps_up: Vec<KeepsUp>,
    /// What the M saw of the global queue's oldest unstarted G.
    pub(crate) global_head_age: HeadAge,
}

impl MOwned {
    pub(super) fn new() -> Self {
        Self {
            woken: Queue::new(),
            yielded: Queue::new(),
            fresh_streak: 0,
            run_next: None,
            chain: Chain::default(),
            tick: 0,
            choices: 0,
            fast_rounds_left: 0,
            time_with_p: None,
            timer_polling: TimerPolling::default(),
            first_run: None,
            company: Company::default(),
            burst: (0, 0),
            brings_apart: false,
            leaves_p: false,
            no_stack_since: None,
            spin: AdaptiveSpin::default(),
            woken_after: None,
            found_due: false,
            head_ages: Vec::new(),
            keeps_up: Vec::new(),
            global_head_age: HeadAge::default(),
        }
    }

    /// Returns the burst of a G that the running goroutine makes: one number for all that it makes
    /// in this round.
    pub(crate) fn burst(&mut self, apart: &Apart) -> u16 {
        if self.burst.0 != self.tick || self.burst.1 == 0 {
            self.burst = (self.tick, apart.new_burst());
        }
        self.burst.1
    }

    /// Queues a settled G that has yielded.
    #[inline]
    pub(crate) fn push_yielded(&mut self, g: Runnable) {
        self.yielded.push_back(g);
    }

    /// Queues a settled G whose timer was due.
    #[inline]
    pub(crate) fn push_due(&mut self, g: Runnable) {
        self.woken.push_back(g);
    }

    /// Queues settled Gs that other threads woke.
    pub(crate) fn append_woken(&mut self, gs: Queue) {
        self.woken.append(gs);
    }

    /// Makes a woken settled G the next one to run. The G that was to run next is queued.
    #[inline]
    pub(crate) fn push_woken(&mut self, g: Runnable) {
        if let Some(before) = self.run_next.replace(g) {
            self.woken.push_back(before);
        }
    }

    /// Takes the G that was woken last, if it is the M's. `None` if the chain of such Gs ends; that
    /// G is then in the queue.
    #[inline]
    pub(crate) fn pop_run_next(&mut self, progress: &Progress) -> Option<Runnable> {
        let Some(g) = self.run_next.take() else {
            self.chain.end();
            return None;
        };
        let others = self.queued();
        if self.chain.extend(|| look(others, progress)) {
            return Some(g);
        }
        self.chain.end();
        self.yielded.push_back(g);
        None
    }

    /// Takes the G that was woken last: the M's, or the migratory one of its `p` if the M may run
    /// such. `None` if the chain of such Gs ends, or the slice that they share is `over`; that G is
    /// then in its queue.
    #[inline]
    pub(crate) fn pop_woken_last(
        &mut self,
        progress: &Progress,
        p: &P,
        free: bool,
    ) -> Option<Runnable> {
        let settled = self.run_next.is_some();
        let of_p = || if free { p.pop_next() } else { None };
        let Some(g) = self.run_next.take().or_else(of_p) else {
            self.chain.end();
            return None;
        };
        let others = self.queued();
        let over = progress.preempt_requested();
        if !over && self.chain.extend(|| look(others + p.queued(), progress)) {
            return Some(g);
        }
        self.chain.end();
        if settled {
            self.yielded.push_back(g)
        } else {
            p.push_yielded(g)
        }
        None
    }

    /// Puts back a G that was taken and cannot run now. It is the next one to run.
    #[cold]
    pub(crate) fn put_back(&mut self, g: Runnable) {
        if let Some(next) = self.run_next.replace(g) {
            self.woken.push_back(next);
        }
    }

    /// Queues a G that cannot begin now behind those that have had a turn, of which the next one
    /// goes first.
    #[cold]
    pub(crate) fn put_off(&mut self, g: Runnable) {
        self.yielded.push_back(g);
        self.fresh_streak = policy::MAX_FRESH_STREAK;
    }

    /// Takes the Gs that have not begun and may begin elsewhere. The others stay, in their order;
    /// so does the root of a lent thread, which is nobody else's.
    pub(crate) fn take_new(&mut self) -> Queue {
        let is_new = |g: &Runnable| !g.has_begun() && !g.is_new_root();
        let mut new = Queue::new();
        if let Some(next) = self.run_next.take_if(|next| is_new(next)) {
            new.push_back(next);
        }
        for queue in [&mut self.woken, &mut self.yielded] {
            let mut stay = Queue::new();
            while let Some(g) = queue.pop_front() {
                if is_new(&g) { new.push_back(g) } else { stay.push_back(g) }
            }
            *queue = stay;
        }
        new
    }

    /// Makes the root of a lent thread the first G that the M runs. What earlier threads have left
    /// in the record says nothing.
    pub(crate) fn begin_with_root(&mut self, root: Runnable) {
        (self.tick, self.chain) = (0, Chain::default());
        self.push_woken(root);
    }

    /// Notes that the running G begins a wait that a timer ends. It waits for nobody who was made
    /// beside it, so those shall not begin here: one that computes would make it late. And its call
    /// site is not known for one such wait.
    pub(crate) fn begin_timed_wait(&mut self) {
        self.company.burst = 0;
        if let Some(run) = &mut self.first_run {
            run.timed = true;
        }
    }

    /// Takes a queued settled G: the one that has waited longest of those that were woken, else of
    /// those that have had a turn.
    ///
    /// Where all stood in one queue, a goroutine that a callback woke waited for each of the
    /// goroutines of its M that compute for some ms between their yields: one turn of the line for
    /// each of them.
    ///
    /// Rejected: to let only those pass that another thread or a timer has woken. A goroutine that
    /// makes jobs for workers beside it and on another M then ran after each job, and made one at a
    /// time: 19 us a job in place of 15.
    #[inline]
    pub(crate) fn pop_settled(&mut self) -> Option<Runnable> {
        self.chain.end();
        if self.yielded.is_empty() {
            return self.woken.pop_front();
        }
        self.pop_fresh(|owned| owned.woken.pop_front()).or_else(|| self.yielded.pop_front())
    }

    /// Takes a G that has not had a turn yet with `take`, unless it is the turn of those that have.
    #[inline]
    pub(crate) fn pop_fresh(
        &mut self,
        take: impl FnOnce(&mut Self) -> Option<Runnable>,
    ) -> Option<Runnable> {
        if self.fresh_streak < policy::MAX_FRESH_STREAK
            && let Some(g) = take(self)
        {
            self.fresh_streak += 1;
            return Some(g);
        }
        self.fresh_streak = 0;
        None
    }

    /// Takes the woken settled G that has waited longest.
    #[inline]
    pub(crate) fn pop_woken(&mut self) -> Option<Runnable> {
        self.chain.end();
        self.woken.pop_front()
    }

    /// Takes the settled G that has had its turn before the others.
    #[inline]
    pub(crate) fn pop_yielded(&mut self) -> Option<Runnable> {
        self.chain.end();
        self.yielded.pop_front()
    }

    /// Returns the number of queued settled Gs.
    #[inline]
    fn queued(&self) -> usize {
        self.woken.len() + self.yielded.len()
    }

    /// Notes that the M has nothing to run, or lost its P. The G that was woken last waits behind
    /// the others: it would be the first again each time that the M has a P.
    pub(crate) fn rest(&mut self) {
        self.chain.rest();
        if let Some(next) = self.run_next.take() {
            self.woken.push_back(next);
        }
    }

    /// Notes that the M has stood in the line for `ns`, with Gs that were ready.
    pub(crate) fn was_without_p(&mut self, ns: u64) {
        self.chain.skip(ns);
    }

    /// Notes that the running G goes on in a new slice.
    #[inline]
    pub(crate) fn begin_slice(&mut self) {
        self.chain.end();
    }

    /// True if the G that was taken last was woken by the G before it, and so runs in that G's
    /// slice.
    #[inline]
    pub(crate) fn inherits_slice(&self) -> bool {
        self.chain.goes_on()
    }

    /// Returns the number of settled Gs that are ready here.
    #[inline]
    pub(crate) fn settled_ready(&self) -> usize {
        self.queued() + usize::from(self.run_next.is_some())
    }

    /// True if a settled G was woken, or is new, and has had no turn yet.
    pub(crate) fn has_woken(&self) -> bool {
        self.run_next.is_some() || !self.woken.is_empty()
    }

    /// True if a settled G is ready here.
    #[inline]
    pub(crate) fn has_settled(&self) -> bool {
        self.run_next.is_some() || !self.woken.is_empty() || !self.yielded.is_empty()
    }
}
