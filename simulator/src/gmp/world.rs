//! One run: a runtime on a simulated machine, and the queue of what happens when.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

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
    /// Whether Ps are taken from those who keep them for too long.
    pub(crate) sysmon: bool,
    pub(crate) seed: u64,
}

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    ThreadTimer(ThreadTimer),
    /// A thread is woken.
    Wake(Tid),
    /// A goroutine's sleep is over.
    Timer,
    /// A thread that spins looks, unless it has done something else since.
    Look(Tid, u64),
    /// A helper is through with what a goroutine waits for.
    Helped(Gid),
    /// Some helper may have had nothing to do for so long.
    HelpersLinger(u64),
    /// An M has slept for long, unless it was woken since.
    Lingered(usize, u64),
}

/// What a thread runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    M(usize),
    /// It is a goroutine, in callbacks.
    Foreign(Gid),
    /// It helps `blocking`: only that it is there counts.
    Helper,
    Sysmon,
}

/// A thread of the pool behind `blocking`.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) thread: Tid,
    pub(crate) until: u64,
}

/// What a thread does next.
pub(crate) enum Next {
    Run(u64),
    /// It spins, and looks again in so long at the latest.
    Spin(u64),
    Sleep,
    /// It sleeps for so long.
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
    /// How many are asked for, and those that are not in use.
    pub(crate) procs: usize,
    pub(crate) retired: Vec<usize>,
    pub(crate) dispatch: Dispatch,
    pub(crate) searching: usize,
    /// New goroutines that were made without a P, and migratory ones that were woken so.
    pub(crate) global: VecDeque<Gid>,
    pub(crate) woken: VecDeque<Gid>,
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
        self.gs.push(G {
            script,
            home: None,
            thread: None,
            migratory: false,
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

    /// What the goroutine does next.
    pub(crate) fn next_op(&mut self, g: Gid) -> Op {
        let Self { gs, totals, rng, now, .. } = self;
        let mut me = Me { now: *now, received: gs[g].received, totals, rng };
        gs[g].script.next(&mut me)
    }

    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.events_so_far += 1;
        self.events.push(Reverse((time, self.events_so_far, event)));
    }

    /// What the machine that is simulated allows to be assumed of itself.
    pub(crate) fn spin_budget(&self) -> policy::SpinBudget {
        let cpus = policy::Cpus { count: self.config.cores, quota_limited: false };
        let busy =
            self.in_use().saturating_sub(self.dispatch.idle.len()).saturating_sub(self.searching);
        policy::spin_budget(cpus, busy)
    }

    /// Whether it sees at once what others write.
    pub(crate) fn spins(&self, t: Tid) -> bool {
        matches!(self.os.threads[t].state, State::Running { until: None, .. })
    }

    pub(crate) fn timers_are_due(&self) -> bool {
        self.timers.first().is_some_and(|(due, _)| *due <= self.now)
    }

    /// Whether some queue holds a G that any M may take now.
    pub(crate) fn has_free_work(&self) -> bool {
        let woken = !self.woken.is_empty() || self.ps.iter().any(|p| !p.migratory.is_empty());
        woken || self.sysmon.admits() && self.has_new()
    }

    /// Whether some queue holds a G that has not started.
    pub(crate) fn has_new(&self) -> bool {
        !self.global.is_empty() || self.ps.iter().any(|p| !p.unstarted.is_empty())
    }

    pub(crate) fn free_work(&self) -> usize {
        let queued: usize = self.ps.iter().map(P::queued).sum();
        self.global.len() + self.woken.len() + queued
    }

    /// The first `procs` Ms are home Ms.
    pub(crate) fn is_home(&self, m: usize) -> bool {
        m < self.procs
    }

    /// A rescue leaves what is to be started to a home M that sleeps.
    pub(crate) fn is_relieved(&self, m: usize) -> bool {
        !self.is_home(m) && self.homes_asleep() > 0
    }

    pub(crate) fn homes_asleep(&self) -> usize {
        self.dispatch.asleep.iter().filter(|m| self.is_home(**m)).count()
    }

    /// How many Ps there are, with those that are too many.
    pub(crate) fn in_use(&self) -> usize {
        self.ps.len() - self.retired.len()
    }

    /// How many are too many.
    pub(crate) fn excess(&self) -> usize {
        self.in_use().saturating_sub(self.procs)
    }

    /// The home M with the fewest settled Gs; none in place of one that is yet to be made.
    pub(crate) fn least_home(&self) -> (Option<usize>, usize) {
        if self.ms.len() < self.procs {
            return (None, 0);
        }
        let least = (0..self.procs).min_by_key(|m| self.ms[*m].settled).expect("there is a P");
        (Some(least), self.ms[least].settled)
    }

    /// Something waits that an M in user code may keep waiting.
    pub(crate) fn sysmon_is_told(&mut self) {
        if self.config.sysmon && std::mem::take(&mut self.sysmon.asleep) {
            self.at(self.now + cost::WOKEN, Event::Wake(self.sysmon.thread));
        }
    }

    /// Takes the next event and goes on to its time; to `until` if there is none before that.
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

    /// What the thread runs.
    pub(crate) fn role(&self, t: Tid) -> Role {
        self.roles[t]
    }
}
