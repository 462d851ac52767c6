//! An M: its loop, and how it comes to its P. The order of things is that of `proc::run`, and what
//! is decided is decided by `policy`.

use std::collections::VecDeque;
use std::mem;

use crate::cost;
use crate::dispatch::Standing;
use crate::find::Look;
use crate::g::{Gid, Op};
use crate::os::Tid;
use crate::policy;
use crate::world::{Event, Next, World};

/// The owned and the shared half of a P.
#[derive(Debug, Default)]
pub(crate) struct P {
    /// The newest at the back.
    pub(crate) unstarted: VecDeque<Gid>,
    pub(crate) migratory: VecDeque<Gid>,
    /// The M that has it leaves what has not started to others.
    pub(crate) offers: bool,
    pub(crate) oldest: crate::policy::oldest::Oldest,
}

impl P {
    pub(crate) fn queued(&self) -> usize {
        self.unstarted.len() + self.migratory.len()
    }
}

/// Where an M's thread goes on.
pub(crate) enum Phase {
    Loop,
    /// In a G, whose operation is over when the thread's burst is.
    Op(Gid, Op),
    /// In a G, which was blocked.
    Back(Gid),
    /// It has looked for work since then.
    Search(u64),
    /// It has looked into its inbox since then.
    Mail(u64),
}

pub(crate) struct M {
    pub(crate) thread: Tid,
    pub(crate) p: Option<usize>,
    pub(crate) standing: Standing,
    pub(crate) phase: Phase,
    pub(crate) searching: bool,
    pub(crate) next: Option<Gid>,
    pub(crate) queue: VecDeque<Gid>,
    pub(crate) inbox: VecDeque<Gid>,
    chain: u32,
    pub(crate) tick: u32,
    pub(crate) settled: usize,
    turn: Option<policy::TimeWithP>,
    pub(crate) heads: Vec<(Gid, u64)>,
    pub(crate) global_head: (Gid, u64),
    pub(crate) thrift: policy::AdaptiveSpin,
    /// Some of what is in the inbox was readied because its time had come.
    pub(crate) by_time: bool,
    /// How often it fell asleep, and when last.
    pub(crate) slept: u64,
    pub(crate) asleep_since: u64,
    /// What it has to do for others before it goes on.
    pub(crate) debt: u64,
    /// Rounds, those that began a slice, and whether this one goes on in the slice of the one
    /// before.
    pub(crate) round: u64,
    pub(crate) slice: u64,
    inherits: bool,
    /// The slice is over: the next operation that may suspend does.
    pub(crate) urged: bool,
    /// It was asked to look everywhere, and has not since.
    pub(crate) asked: bool,
    /// Whether user code runs.
    pub(crate) in_user_code: bool,
    /// What it runs was let in alone.
    pub(crate) permit: bool,
    pub(crate) ended: bool,
}

impl M {
    pub(crate) fn new(thread: Tid) -> Self {
        Self {
            thread,
            p: None,
            standing: Standing::Awake,
            phase: Phase::Loop,
            searching: false,
            next: None,
            queue: VecDeque::new(),
            inbox: VecDeque::new(),
            chain: 0,
            tick: 0,
            settled: 0,
            turn: None,
            heads: Vec::new(),
            global_head: (Gid::MAX, 0),
            thrift: policy::AdaptiveSpin::default(),
            by_time: false,
            slept: 0,
            asleep_since: 0,
            debt: 0,
            round: 0,
            slice: 0,
            inherits: false,
            urged: false,
            asked: false,
            in_user_code: false,
            permit: false,
            ended: false,
        }
    }

    /// Settled Gs that are ready.
    pub(crate) fn ready(&self) -> usize {
        usize::from(self.next.is_some()) + self.queue.len() + self.inbox.len()
    }

    pub(crate) fn pop_next(&mut self) -> Option<Gid> {
        if self.chain < policy::MAX_NEXT_STREAK && !self.urged {
            let g = self.next.take()?;
            self.chain += 1;
            self.inherits = true;
            return Some(g);
        }
        self.chain = 0;
        self.queue.extend(self.next.take());
        None
    }

    pub(crate) fn pop_settled(&mut self) -> Option<Gid> {
        self.chain = 0;
        self.queue.pop_front()
    }

    /// It has been given a P: those that wait in its queues go first.
    pub(crate) fn begin_with_woken(&mut self) {
        self.tick &= !1;
    }

    pub(crate) fn mail(&mut self) -> Option<Gid> {
        self.queue.append(&mut self.inbox);
        self.queue.pop_front()
    }
}

impl World {
    pub(crate) fn step_m(&mut self, m: usize) -> Next {
        match mem::replace(&mut self.ms[m].phase, Phase::Loop) {
            Phase::Loop => self.round(m),
            Phase::Op(g, op) => self.finish_op(m, g, op),
            Phase::Back(g) => self.begin_op(m, g),
            Phase::Search(began) => self.search(m, began),
            Phase::Mail(began) => self.await_mail(m, began),
        }
    }

    /// One round of the loop.
    pub(crate) fn round(&mut self, m: usize) -> Next {
        self.ms[m].in_user_code = false;
        self.ms[m].debt += cost::ROUND;
        self.give_permit_back(m);
        self.shed(m);
        if self.ms[m].p.is_none() && !self.get_p(m) {
            return Next::Sleep;
        }
        if self.give_way(m) {
            return Next::Sleep;
        }
        self.run_timers(m);
        if let Some(g) = self.local(m) {
            return self.execute(m, g);
        }
        if self.leaves_work(m) {
            return self.relieve(m);
        }
        if !self.ms[m].searching {
            let limit = policy::search_limit(self.procs);
            if self.searching >= limit {
                return self.await_mail(m, self.now);
            }
            self.searching += 1;
            self.ms[m].searching = true;
        }
        self.search(m, self.now)
    }

    /// Looks everywhere else, for as long as it is patient.
    fn search(&mut self, m: usize, began: u64) -> Next {
        let spin_budget = self.ms[m].thrift.spin_budget(self.spin_budget());
        let by_time = self.timers_are_due();
        let young = match self.look(m) {
            Look::Found(g) => {
                self.searched(m, began, !by_time);
                self.stop_search(m);
                return self.execute(m, g);
            }
            Look::Young(due) => Some(due),
            Look::Nothing => None,
        };
        let end = began + spin_budget.total_ns;
        if self.now >= end && young.is_none() {
            self.searched(m, began, false);
            return self.retire(m);
        }
        self.ms[m].phase = Phase::Search(began);
        let again = young.unwrap_or(end).max(self.now + cost::LOOK);
        Next::Spin(again - self.now)
    }

    fn await_mail(&mut self, m: usize, began: u64) -> Next {
        let spin_budget = self.ms[m].thrift.spin_budget(self.spin_budget());
        if let Some(g) = self.ms[m].mail() {
            self.searched(m, began, true);
            return self.execute(m, g);
        }
        let end = began + spin_budget.total_ns;
        if self.ms[m].settled == 0 || self.now >= end {
            self.searched(m, began, false);
            return self.retire(m);
        }
        self.ms[m].phase = Phase::Mail(began);
        Next::Spin(end - self.now)
    }

    /// A search is over that began at that time.
    fn searched(&mut self, m: usize, began: u64, paid: bool) {
        let by_time = mem::take(&mut self.ms[m].by_time);
        if self.now > began {
            self.ms[m].thrift.searched(paid && !by_time);
        }
    }

    /// It found something: somebody may have relied on its search for more.
    fn stop_search(&mut self, m: usize) {
        if mem::take(&mut self.ms[m].searching) {
            self.searching -= 1;
            if self.searching == 0 && self.has_free_work() {
                self.submit(Some(m));
            }
        }
    }

    /// It found nothing: its P becomes idle, and it looks once more.
    fn retire(&mut self, m: usize) -> Next {
        let p = self.ms[m].p.take().expect("only an M with a P looks for work");
        self.put_back(p, Some(m));
        if mem::take(&mut self.ms[m].searching) {
            self.searching -= 1;
        }
        if self.has_free_work() && !self.is_relieved(m) && self.try_take(m) {
            self.searching += 1;
            self.ms[m].searching = true;
            return self.search(m, self.now);
        }
        self.round(m)
    }

    /// Whether some queue holds a G that any M may take now.
    pub(crate) fn has_free_work(&self) -> bool {
        let woken = !self.woken.is_empty() || self.ps.iter().any(|p| !p.migratory.is_empty());
        woken || self.sysmon.admits() && self.has_new()
    }

    /// Whether some queue holds a G that has not started.
    fn has_new(&self) -> bool {
        !self.global.is_empty() || self.ps.iter().any(|p| !p.unstarted.is_empty())
    }

    pub(crate) fn free_work(&self) -> usize {
        let queued: usize = self.ps.iter().map(P::queued).sum();
        self.global.len() + self.woken.len() + queued
    }

    /// A rescue leaves what is to be started to a home M that sleeps.
    pub(crate) fn is_relieved(&self, m: usize) -> bool {
        !self.is_home(m) && self.homes_asleep() > 0
    }

    fn leaves_work(&self, m: usize) -> bool {
        self.is_relieved(m) && self.has_new()
    }

    fn relieve(&mut self, m: usize) -> Next {
        let p = self.ms[m].p.take().expect("it has one");
        self.hand_off(p, Some(m));
        if mem::take(&mut self.ms[m].searching) {
            self.searching -= 1;
        }
        self.round(m)
    }

    /// The first `procs` Ms are home Ms.
    pub(crate) fn is_home(&self, m: usize) -> bool {
        m < self.procs
    }

    /// While others stand in the line, an M with ready work lets them have its P in time. True: it
    /// sleeps.
    fn give_way(&mut self, m: usize) -> bool {
        if self.dispatch.line.is_empty() {
            return false;
        }
        let relieved = !self.is_home(m) && self.dispatch.returning > 0;
        let (turn, tick) = (self.ms[m].turn, self.ms[m].tick);
        if !policy::TimeWithP::wants_clock(turn, tick) && !relieved {
            return false;
        }
        let turn = policy::TimeWithP::after(turn, tick, self.now);
        self.ms[m].turn = Some(turn);
        if !turn.is_over() && !relieved {
            return false;
        }
        let p = self.ms[m].p.take().expect("it has one");
        self.hand_off(p, Some(m));
        !self.get_p(m)
    }

    /// A P for an M without one: an idle one if it has something to run. False: it sleeps.
    fn get_p(&mut self, m: usize) -> bool {
        self.ms[m].turn = None;
        match self.ms[m].standing {
            Standing::InLine => return self.take_turn(m),
            Standing::Asleep => return false,
            Standing::Awake => {}
        }
        if self.ms[m].ready() > 0 {
            if self.try_take(m) {
                return true;
            }
            self.stand_in_line(m, self.is_home(m));
            self.sysmon_is_told();
            return false;
        }
        self.fall_asleep(m);
        if !self.is_home(m) && self.ms[m].settled == 0 {
            let linger = u64::try_from(policy::LINGER.as_nanos()).expect("it is short");
            self.at(self.now + linger, Event::Lingered(m, self.ms[m].slept));
        }
        false
    }

    /// An M that helped out has slept for long: it ends if there are more than are kept.
    pub(crate) fn lingered(&mut self, m: usize, slept: u64) {
        let alive = self.ms.iter().filter(|m| !m.ended).count();
        let machine = &self.ms[m];
        if machine.slept != slept
            || machine.standing != Standing::Asleep
            || !policy::is_surplus(alive, self.procs)
        {
            return;
        }
        self.take_asleep(m);
        self.ms[m].ended = true;
        self.os.end_asleep(self.ms[m].thread);
    }

    /// Runs a G.
    fn execute(&mut self, m: usize, g: Gid) -> Next {
        if self.gs[g].home.is_none() {
            self.gs[g].home = Some(m);
            self.ms[m].settled += usize::from(!self.gs[g].migratory);
            self.ms[m].debt += cost::BEGIN;
            // Who has left its own to others may have room again.
            self.poke_searchers();
        }
        self.stop_search(m);
        let machine = &mut self.ms[m];
        machine.round += 1;
        machine.in_user_code = true;
        if !mem::take(&mut machine.inherits) {
            machine.slice += 1;
            machine.urged = false;
        }
        self.begin_op(m, g)
    }
}
