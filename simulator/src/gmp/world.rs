//! One run: a runtime on a simulated machine, and the queue of events.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use super::apart::Apart;
use super::dispatch::Dispatch;
use super::g::{Chan, Channel, G, Gid, Me, Op, Script, Wait};
use super::m::{M, P};
use super::sysmon::Sysmon;
use crate::cost;
use crate::os::{Os, State, ThreadTimer, Tid};
use crate::policy;
use crate::report::Totals;
use crate::rng::Rng;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) procs: usize,
    pub(crate) cores: usize,
    /// Whether sysmon revokes Ps that are kept too long.
    pub(crate) sysmon: bool,
    /// Whether what is not known to talk begins apart from what has settled.
    pub(crate) apart: bool,
    pub(crate) seed: u64,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    ThreadTimer(ThreadTimer),
    /// A thread is woken.
    Wake(Tid),
    /// A goroutine's sleep is over.
    Timer,
    /// A spinning thread looks, unless it has done something else since.
    Look(Tid, u64),
    /// A helper has finished the call that a goroutine waits for.
    Helped(Gid),
    /// A helper may have been idle for long enough to end.
    HelpersLinger(u64),
    /// An M has slept for long, unless it was woken since.
    Lingered(usize, u64),
}

/// What a thread runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    M(usize),
    /// A goroutine, in callbacks.
    Foreign(Gid),
    /// A helper of `blocking`: only its existence counts.
    Helper,
    Sysmon,
}

/// A thread of the pool behind `blocking`.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) thread: Tid,
    pub(crate) until: u64,
}

/// The next step of a thread.
pub(crate) enum Next {
    Run(u64),
    /// Spins, and looks again after this time at the latest.
    Spin(u64),
    Sleep,
    /// Sleeps for this time.
    Block(u64),
    End,
}

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    events_so_far: u64,
    pub(crate) os: Os,
    roles: Vec<Role>,
    pub(crate) gs: Vec<G>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) timers: BTreeSet<(u64, Gid)>,
    pub(crate) ms: Vec<M>,
    pub(crate) ps: Vec<P>,
    /// How many Ps are asked for, and the retired Ps.
    pub(crate) procs: usize,
    pub(crate) retired: Vec<usize>,
    pub(crate) dispatch: Dispatch,
    pub(crate) searching: usize,
    /// New goroutines spawned without a P, and migratory goroutines woken without a P.
    pub(crate) global: VecDeque<Gid>,
    pub(crate) woken: VecDeque<Gid>,
    /// New goroutines that are to begin apart.
    pub(crate) apart: Apart,
    pub(crate) sysmon: Sysmon,
    pub(crate) helpers: Vec<Helper>,
    pub(crate) totals: Totals,
    rng: Rng,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let mut os = Os::new(config.cores);
        let sysmon = Sysmon::new(os.spawn());
        Self {
            config,
            now: 0,
            events: BinaryHeap::new(),
            events_so_far: 0,
            os,
            roles: vec![Role::Sysmon],
            gs: Vec::new(),
            channels: Vec::new(),
            timers: BTreeSet::new(),
            ms: Vec::new(),
            ps: (0..config.procs).map(|_| P::default()).collect(),
            procs: config.procs,
            retired: Vec::new(),
            dispatch: Dispatch::new(config.procs),
            searching: 0,
            global: VecDeque::new(),
            woken: VecDeque::new(),
            apart: Apart::default(),
            sysmon,
            helpers: Vec::new(),
            totals: Totals::default(),
            rng: Rng::new(config.seed),
        }
    }

    pub(crate) fn channel(&mut self, capacity: usize) -> Chan {
        self.channels.push(Channel::new(capacity));
        self.channels.len() - 1
    }

    pub(crate) fn new_g(&mut self, script: Box<dyn Script>) -> Gid {
        let made_at = script.made_at();
        self.gs.push(G {
            script,
            home: None,
            thread: None,
            migratory: false,
            made_at,
            burst: 0,
            received: 0,
            op: None,
            wait: Wait::No,
            ended: false,
        });
        self.gs.len() - 1
    }

    pub(crate) fn new_thread(&mut self, role: Role) -> Tid {
        self.roles.push(role);
        self.os.spawn()
    }

    /// Returns the goroutine's next operation.
    pub(crate) fn next_op(&mut self, g: Gid) -> Op {
        let Self { gs, totals, rng, now, .. } = self;
        let mut me = Me { now: *now, received: gs[g].received, totals, rng };
        gs[g].script.next(&mut me)
    }

    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.events_so_far += 1;
        self.events.push(Reverse((time, self.events_so_far, event)));
    }

    /// Returns what the policy may assume of the simulated machine.
    pub(crate) fn spin_budget(&self) -> policy::SpinBudget {
        let cpus = policy::Cpus { count: self.config.cores, quota_limited: false };
        let busy =
            self.in_use().saturating_sub(self.dispatch.idle.len()).saturating_sub(self.searching);
        policy::spin_budget(cpus, busy)
    }

    /// True if the thread spins: it sees at once what others write.
    pub(crate) fn spins(&self, t: Tid) -> bool {
        matches!(self.os.threads[t].state, State::Running { until: None, .. })
    }

    pub(crate) fn timers_are_due(&self) -> bool {
        self.timers.first().is_some_and(|(due, _)| *due <= self.now)
    }

    /// True if some queue holds a G that any M may take now.
    pub(crate) fn has_free_work(&self) -> bool {
        let woken = !self.woken.is_empty() || self.ps.iter().any(|p| p.migratory() > 0);
        woken || self.sysmon.admits() && self.has_new()
    }

    /// True if some queue holds such a G that is not left to the M whose P it lies in.
    pub(crate) fn has_work_for_others(&self) -> bool {
        let left = |p: &P| p.migratory() > 0 && !p.keeps_up;
        let woken = !self.woken.is_empty() || self.ps.iter().any(left);
        woken || self.sysmon.admits() && self.has_new()
    }

    /// True if some queue holds an unstarted G.
    pub(crate) fn has_new(&self) -> bool {
        !self.global.is_empty()
            || self.apart.is_open()
            || self.ps.iter().any(|p| !p.unstarted.is_empty())
    }

    pub(crate) fn free_work(&self) -> usize {
        let queued: usize = self.ps.iter().map(P::queued).sum();
        self.global.len() + self.apart.line.len() + self.woken.len() + queued
    }

    /// True if the M is resident: one of the first `procs` Ms.
    pub(crate) fn is_home(&self, m: usize) -> bool {
        m < self.procs
    }

    /// True if a spare M leaves unstarted Gs to a resident M that sleeps, or gets the next P.
    pub(crate) fn is_relieved(&self, m: usize) -> bool {
        let next = self.dispatch.line.front().is_some_and(|head| self.is_home(head.m));
        !self.is_home(m) && (next || self.homes_asleep() > 0)
    }

    pub(crate) fn homes_asleep(&self) -> usize {
        self.dispatch.asleep.iter().filter(|m| self.is_home(**m)).count()
    }

    /// Returns how many Ps there are, excess Ps included.
    pub(crate) fn in_use(&self) -> usize {
        self.ps.len() - self.retired.len()
    }

    /// Returns how many Ps are in excess.
    pub(crate) fn excess(&self) -> usize {
        self.in_use().saturating_sub(self.procs)
    }

    /// Returns the resident M with the fewest settled Gs; `None` in place of an M that is yet to be
    /// made.
    pub(crate) fn least_home(&self) -> (Option<usize>, usize) {
        if self.ms.len() < self.procs {
            return (None, 0);
        }
        let least = (0..self.procs).min_by_key(|m| self.ms[*m].load()).expect("there is a P");
        (Some(least), self.ms[least].load())
    }

    /// Returns the least load of the resident Ms other than `m`.
    pub(crate) fn least_load_beside(&self, m: usize) -> usize {
        let others = (0..self.procs).filter(|other| *other != m);
        others.map(|other| self.ms.get(other).map_or(0, M::load)).min().unwrap_or(usize::MAX)
    }

    /// True if something waits that an M in user code may keep waiting.
    pub(crate) fn sysmon_is_told(&mut self) {
        if self.config.sysmon && std::mem::take(&mut self.sysmon.asleep) {
            self.at(self.now + cost::WOKEN, Event::Wake(self.sysmon.thread));
        }
    }

    /// Takes the next event and advances to its time; to `until` if there is no event before that.
    pub(crate) fn next_event(&mut self, until: u64) -> Option<Event> {
        for (time, timer) in std::mem::take(&mut self.os.timers) {
            self.at(time, Event::ThreadTimer(timer));
        }
        if self.events.peek().is_none_or(|next| next.0.0 > until) {
            self.now = until;
            return None;
        }
        let Reverse((time, _, event)) = self.events.pop().expect("just looked");
        self.now = time;
        Some(event)
    }

    /// Returns what the thread runs.
    pub(crate) fn role(&self, t: Tid) -> Role {
        self.roles[t]
    }
}
