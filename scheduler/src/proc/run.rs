//! An M's loop: find a G, run it, do what it asked for when it gave the M back.
//!
//! This essay is the map of the scheduler. It names each protocol and the side that each file is
//! on. The proof of a protocol stands at the head of the file that is named with it.
//!
//! # The job
//!
//! There are `procs` Ps, which are rights to run. There are more Ms, which are threads. There are
//! Gs, and most of them may run on one M only: on their *home*, the M that started them.
//!
//! Two things are wanted. No P is idle while a G could use it. No thread is woken for nothing: a
//! wake-up between cores costs 57 us, a pair of switches 3 ns.
//!
//! # Why that is hard
//!
//! - Queues are spread over Ps, Ms and inboxes. So no fast path can ask "is there work?".
//! - A settled G can use one M only. So it is not enough to wake any M.
//! - User code may keep an M for ever, and nobody can stop it.
//!
//! # Kinds of work
//!
//! *Free* work is for any M: unstarted and migratory Gs. *Bound* work is for one M: settled Gs that
//! have started. Two more things must not be missed: *time* (timers that are due), and what waits
//! *behind* user code. Each of the four has a handshake, and all four have one shape: write mine,
//! fence, read yours. Of two fences one comes first, and the read after the second fence sees the
//! write before the first. So at least one side sees the other, and that side acts.
//!
//! ```text
//! PUBLISH free work (wake)                   STOP: an M without work (stop_m)
//!   1 push the G                               1 put the P among the idle ones, stop searching
//!   2 fence                                    2 fence
//!   3 a P idle, nobody searching?              3 look at every queue; if there is work,
//!     then start one searcher                    take a P back and search on
//!
//! SEND bound work (wake)                     SLEEP (dispatch)
//!   1 push the G to its home's inbox           1 status = ASLEEP, under the dispatch's lock
//!   2 fence                                    2 fence
//!   3 status is ASLEEP? then hand it an        3 inbox empty? if not, take the status back
//!     idle P, or put it into the line          4 sleep on the note
//!
//! TIME (timers)                              KEEP (ds::timekeeper)
//!   1 put the timer into a heap                1 before an M sleeps: fence
//!   2 fence, when the M next sleeps            2 read the heaps, then the keeper's word:
//!                                                rely on the keeper, or become the keeper
//!
//! LEAVE BEHIND user code (wake_sysmon)       OVERSEE (sysmon)
//!   1 queue the G behind the running one       1 sysmon's word = ASLEEP
//!   2 light fence                              2 heavy fence
//!   3 sysmon's word is ASLEEP? then wake it    3 look at every M; sleep if nothing waits
//! ```
//!
//! Two rules follow from PUBLISH and STOP. An M that finds work stops searching *before* it runs
//! the G, and if it was the last searcher and free work is left, it publishes again from step 3
//! ([`find::stop_searching`]). And an M whose P blocks with it hands the P off: to the head of the
//! line, else to a sleeper, else to a new thread; else the P becomes idle, and the M publishes from
//! step 3 ([`wake::hand_off_p`]).
//!
//! # Terms
//!
//! A *searching* M is counted in `ds::idle`; publishers rely on it. The first `procs` Ms are
//! *resident*, the others are *spare*: they were made because goroutines kept resident Ms too long.
//! *The line* is the queue of Ms that own ready Gs and have no P.
//!
//! # One round
//!
//! ```text
//!   next_p   an M without a P gets one, or sleeps                            (stop_m)
//!   next_g   the M's own Gs and its P's; else a search; else it stops        (find, stop_m)
//!   run_g    start or resume the G; then fast rounds while nothing else is to be looked at
//!   after_g  has the M to end? does the line wait? are there too many Ps?    (share_p)
//! ```
//!
//! A fast round resumes the next G of the M's own queue and looks at nothing else
//! ([`fast_rounds`]).
//!
//! A G gives its M back in four ways: it yields; it parks; it parks shielded from cancels; it ends.
//! A G that parks has linked itself into a wait queue before the switch, so a waker may be faster
//! than the switch. The loop commits on the G's park word after the switch. If the word refuses,
//! somebody has notified the G meanwhile, and the loop resumes it at once.
//!
//! # Invariants
//!
//! The loop runs on the thread's own stack. While it runs, the thread is in the scheduler: it has
//! the M's owned half and its P. No user code runs then: closures, results and values are dropped
//! on their G's stack, before its last switch.
//!
//! # Rejected
//!
//! - One central queue: a lock on every `go`.
//! - Handing a ready G together with a P to a woken thread: the waker is often out of work the next
//!   moment, and a release that hands over is a convoy.
//! - One wake-up for each piece of work: many cores are woken for one G.
//! - Go's two counters for idle Ps and searchers: a pair that is read is no pair. Here they are one
//!   word.
//! - Stealing settled Gs that have started: what they hold is bound to their thread.
//! - Time-outs that catch a missed wake-up: an idle process must not wake.
//!
//! This does not promise fairness between goroutines of one thread that never suspend (sysmon's
//! affair), nor any order between Ms.
//!
//! // GO: proc.go schedule, execute, mstart
//!
//! # Safety
//!
//! A settled G is resumed by the M that started it. A migratory G is resumed by any M: its maker
//! promised that it may (`Mode::migratory`, `go_migratory`).
#![expect(unsafe_code, reason = "resumes contexts")]

use std::mem;
use std::ptr::NonNull;

use gosched_runtime_sys::signal::fatal::FatalOnUnwind;
use gosched_runtime_sys::thread::last_code;

use crate::ds::parker::Commit;
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::dispatch::{NextP, WaitedForP};
use crate::gmp::g::{G, Kind, Runnable, Switch};
use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::policy;
use crate::proc::find::{self, Wants};
use crate::proc::running::Running;
use crate::proc::share_p::{
    drop_excess_p, give_way, hand_p_to_resident, leave_runtime, pass_on_free_work,
};
use crate::proc::start_m::reap;
use crate::proc::stop_m::{look_again, stop_m, wait_for_p};
use crate::proc::wake_sysmon::wake_sysmon_for_deadline;
use crate::proc::{
    apart, attach, cancel, exit, fast_rounds, lock_thread, new_thread, start, timers, wake,
};

/// The life of a thread made for an M.
pub(crate) fn m_main(sched: &Sched, m: &'static M) {
    let cx = Current::new(m);
    attach::attached(&cx, sched, || {
        if let Some(given) = m.remote.take_next_p() {
            return run(&cx, Some(given), None);
        }
        // Sysmon made this M to have somebody for a P that it is about to revoke.
        let sleep = |note: &_| timers::sleep(sched, note, None);
        match sched.dispatch.wait_enlisted(&&m.remote, &sched.idle, sleep) {
            WaitedForP::Got(given) => run(&cx, Some(given), None),
            WaitedForP::Retry | WaitedForP::Expired => run(&cx, None, None),
            WaitedForP::Closed => {}
        }
    });
    new_thread::count_to_the_end(sched);
    sched.remove_m(m);
    reap(sched);
}

/// What a thread that lends itself to the runtime (`Runtime::run`) waits for.
pub(crate) struct LentThread {
    /// The thread's own G. The thread leaves when this G and all Gs settled on the thread have
    /// ended.
    pub(crate) root: NonNull<G>,
}

/// Runs the loop. Returns when the runtime has ended, or when a lent thread may leave.
pub(crate) fn run(cx: &Current, given: Option<NextP<P>>, lent: Option<LentThread>) {
    last_code::watch(exit::pin_for_good);
    // Its Gs, on whose stacks others may rely, could not go on.
    let unwinds = FatalOnUnwind("gosched: the scheduler's loop panicked\n");
    cx.m.progress.reset();
    let searching = given.as_ref().is_some_and(|given| given.searching);
    let mut inside = enter(cx);
    let slept = given.is_some();
    given.into_iter().for_each(|given| inside.receive_p(cx.sched(), given.p));
    let (watching, leaving, stands_aside) = (false, false, false);
    Loop { cx, lent, searching, watching, leaving, stands_aside, slept }.rounds(inside);
    cx.m.remote.end_watch();
    unwinds.disarm();
}

/// Puts the thread into the scheduler, with the M's P if it has one.
fn enter(cx: &Current) -> InsideWithP {
    cx.enter_with_p().expect("the loop is not inside itself")
}

/// What the loop knows between two rounds.
struct Loop<'a> {
    cx: &'a Current,
    lent: Option<LentThread>,
    /// The M counts as searching: publishers rely on it.
    searching: bool,
    /// The M has looked for work since it last ran a G, and watches its inbox.
    watching: bool,
    /// The M starts nothing new, and ends with its last settled G.
    leaving: bool,
    /// The lent thread leaves free work to other Ms until it is woken for its own Gs.
    stands_aside: bool,
    /// The M has slept since it last ran a G, or is new. It may have been the timekeeper, and it
    /// may have been brought for something.
    slept: bool,
}

/// What an M without a P comes to.
enum NextRound {
    /// It has a P.
    Run,
    /// It has none, and looks again at what there is.
    Again,
    /// The runtime has ended, or does not need this M.
    End,
}

impl Loop<'_> {
    fn rounds(&mut self, mut inside: InsideWithP) {
        loop {
            if inside.owned().brings_apart {
                apart::end_burst(self.cx, &mut inside, self.wants().free);
            }
            if self.leaving && self.owns_nothing(&mut inside) {
                return leave_runtime(self.cx, inside);
            }
            if inside.owned().first_run.is_some() {
                apart::end_first_run(self.cx, &mut inside);
            }
            if inside.p.is_none() {
                match self.next_p(&mut inside) {
                    NextRound::Run => {}
                    NextRound::Again => continue,
                    NextRound::End => return,
                }
            }
            let Some(g) = self.next_g(&mut inside) else {
                self.lose_p(&mut inside);
                continue;
            };
            let outcome;
            (inside, outcome) = run_g(self.cx, inside, g);
            self.after_g(&mut inside, outcome);
        }
    }

    fn wants(&self) -> Wants {
        Wants { free: !self.leaving && !self.stands_aside && !self.cx.m.locks.is_locked() }
    }

    /// True if no G is settled on this M. A G that was sent to settle beside one that has ended
    /// lies in a queue here, and will settle here.
    fn owns_nothing(&self, inside: &mut InsideWithP) -> bool {
        let m = self.cx.m;
        m.settled() == 0 && !inside.owned().has_settled() && m.inbox.is_empty()
    }

    fn next_p(&mut self, inside: &mut InsideWithP) -> NextRound {
        let wants = self.wants();
        self.stands_aside = false;
        match wait_for_p(self.cx, inside, wants) {
            WaitedForP::Got(given) => {
                let mut p = given.p;
                let root_begins = self.lent.is_some() && inside.owned().tick == 0;
                p.look_everywhere.handed_on(root_begins);
                inside.receive_p(self.cx.sched(), p);
                (self.searching, self.slept) = (given.searching, true);
                NextRound::Run
            }
            WaitedForP::Retry => {
                self.searching = look_again(self.cx, inside, self.wants());
                self.slept = true;
                NextRound::Again
            }
            WaitedForP::Expired => self.end_idle(),
            WaitedForP::Closed => NextRound::End,
        }
    }

    /// Ends an M that has been idle for long, unless the runtime needs it.
    #[cold]
    fn end_idle(&self) -> NextRound {
        let sched = self.cx.sched();
        // From the removal on the thread is no M, and its destructors are still to run.
        new_thread::count_to_the_end(sched);
        if sched.try_remove_idle_m(self.cx.m) {
            wake::ensure_timekeeper(sched);
            return NextRound::End;
        }
        new_thread::uncount(sched);
        NextRound::Again
    }

    /// The G to run next. When it is returned, the M has stopped searching.
    #[inline(always)]
    fn next_g(&mut self, inside: &mut InsideWithP) -> Option<Runnable> {
        let mut g = match self.take_first(inside) {
            Some(g) => g,
            None if find::leaves_p_to_resident(self.cx, inside.owned()) => return None,
            None => self.search(inside)?,
        };
        if self.lent.is_some() && apart::may_compute(self.cx, &g) {
            g = self.stand_aside(inside, g)?;
        }
        if mem::take(&mut self.searching) {
            find::stop_searching(self.cx, inside);
        }
        if mem::take(&mut self.watching) {
            self.cx.m.remote.end_watch();
            // Who sent something meanwhile has not told sysmon.
            find::take_inbox(self.cx.m, inside.owned());
        }
        if inside.owned().first_run.is_some() {
            apart::leave_others(self.cx.sched());
        }
        if mem::take(&mut self.slept) {
            // If the G does not give the M back, the deadlines are sysmon's. What was due has been
            // fired.
            wake_sysmon_for_deadline(self.cx.sched(), self.cx.sched().first_timer());
        }
        Some(g)
    }

    /// Leaves `g` to another M, and all free work until this M is woken for its own. Returns one of
    /// its own.
    #[cold]
    fn stand_aside(&mut self, inside: &mut InsideWithP, g: Runnable) -> Option<Runnable> {
        self.stands_aside = true;
        self.cx.sched().push_migratory(g);
        if mem::take(&mut self.searching) {
            find::stop_searching(self.cx, inside);
        } else {
            wake::wake_p(self.cx.sched());
        }
        let (m, owned) = (self.cx.m, inside.owned());
        find::take_inbox(m, owned);
        owned.pop_run_next(&m.progress).or_else(|| owned.pop_settled())
    }

    /// Takes one of the M's own Gs. An M that has slept may have been brought for a G that begins
    /// apart, and looks for that first.
    #[inline(always)]
    fn take_first(&mut self, inside: &mut InsideWithP) -> Option<Runnable> {
        if self.slept
            && self.lent.is_none()
            && self.cx.sched().apart.coming.is_set()
            && let Some(g) = find::arrive_for_apart(self.cx, inside, self.wants())
        {
            return Some(g);
        }
        find::take_local(self.cx, inside, self.wants())
    }

    fn search(&mut self, inside: &mut InsideWithP) -> Option<Runnable> {
        let (cx, sched, wants) = (self.cx, self.cx.sched(), self.wants());
        let limit = policy::search_limit(sched.procs());
        self.searching = self.searching || (wants.free && sched.idle.start_search(limit));
        if !mem::replace(&mut self.watching, true) {
            cx.m.remote.begin_watch();
        }
        if self.searching {
            find::search(cx, inside, wants)
        } else {
            find::await_inbox(cx, inside, wants)
        }
    }

    /// The M found nothing to run.
    fn lose_p(&mut self, inside: &mut InsideWithP) {
        self.searching = if find::leaves_p_to_resident(self.cx, inside.owned()) {
            hand_p_to_resident(self.cx, inside, self.searching);
            false
        } else {
            stop_m(self.cx, inside, self.searching, self.wants())
        };
    }

    #[inline(always)]
    fn after_g(&mut self, inside: &mut InsideWithP, outcome: Ran) {
        if let Ran::Ended { g, locked } = outcome {
            let is_root = self.lent.as_ref().is_some_and(|lent| lent.root == g);
            self.leaving |= is_root || (locked && lock_thread::ended_locked(self.cx));
        }
        if self.cx.sched().dispatch.line_len() > 0 {
            give_way(self.cx, inside, self.wants());
        } else if !self.wants().free {
            pass_on_free_work(self.cx, inside);
        }
        if self.cx.sched().dispatch.excess() > 0 {
            drop_excess_p(self.cx, inside);
        }
    }
}

/// How the last of the Gs that ran gave the M back.
enum Ran {
    Suspended,
    /// The G has ended, and its record may be another goroutine's by now. `locked`: the goroutine
    /// ended locked to its thread, so the thread is to end, too.
    Ended {
        g: NonNull<G>,
        locked: bool,
    },
}

/// Runs a G until it gives the M back, and then the Gs of the fast rounds that follow. The P may
/// have been revoked by then.
#[inline]
fn run_g(cx: &Current, mut inside: InsideWithP, mut g: Runnable) -> (InsideWithP, Ran) {
    if !g.has_begun()
        && let Err(error) = start::start(cx, &mut inside, &mut g)
    {
        let Err(g) = start::put_off(&mut inside, g) else { return (inside, Ran::Suspended) };
        drop(inside);
        let g = start::abandon(cx, g, error);
        return (enter(cx), Ran::Ended { g, locked: false });
    }
    let mut running = Running::in_whole_round(cx, &mut inside, g.g());
    fast_rounds::allow(&mut inside);
    drop(inside);
    loop {
        // SAFETY: see the file's head: settled Gs are only ever queued on the M that started them.
        let switch = unsafe { running.resume(&mut g) };
        let mut inside = cx.enter().expect("the loop is not inside itself");
        match switch {
            None => {
                let (mut inside, record) = (inside.acquire_p(), g.as_raw());
                let locked = start::finish(cx, &mut inside, g);
                return (inside, Ran::Ended { g: record, locked });
            }
            Some(Switch::Yield)
                if inside.owned().fast_rounds_left > 0 && g.kind() == Kind::Settled =>
            {
                inside.owned().push_yielded(g);
            }
            Some(Switch::Yield) => {
                let mut inside = inside.acquire_p();
                queue_yielded(cx, &mut inside, g);
                return (inside, Ran::Suspended);
            }
            // The wait of a panicking thread, which a cancel must not end either, does not switch.
            Some(switch) => {
                let cancellable = cancel::may_end_waits(g.owned()) && switch == Switch::Park;
                match g.g().parker.commit(cancellable) {
                    // GONE: from here on the G belongs to its claimer.
                    Commit::Parked => _ = g.into_raw(),
                    // It was notified before the switch was complete: it goes on.
                    Commit::Refused => {
                        running = Running::again(cx, g.g());
                        continue;
                    }
                }
            }
        }
        match fast_rounds::next(cx, &mut inside) {
            Some(next) => (g, running) = next,
            None => return (inside.acquire_p(), Ran::Suspended),
        }
    }
}

/// Queues a G that yielded behind the others.
#[inline]
fn queue_yielded(cx: &Current, inside: &mut InsideWithP, g: Runnable) {
    match (g.resumes(), inside.p.as_ref()) {
        (Kind::Settled, _) => inside.owned().push_yielded(g),
        (_, Some(p)) => p.push_yielded(g),
        (_, None) => {
            cx.sched().push_migratory(g);
            wake::wake_p(cx.sched());
        }
    }
}
