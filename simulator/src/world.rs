//! One run: a runtime on a simulated machine, and the queue of what happens when.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use crate::dispatch::Dispatch;
use crate::g::{Chan, Channel, G, Gid, Me, Op, Script};
use crate::machine::{M, P};
use crate::ops::{Helper, Wait};
use crate::os::{Alarm, Os, State, Tid};
use crate::policy;
use crate::report::Record;
use crate::rng::Rng;
use crate::sysmon::Sysmon;

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
    Alarm(Alarm),
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
    pub(crate) record: Record,
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
            record: Record::default(),
            rng: Rng::new(config.seed),
        }
    }

    pub(crate) fn channel(&mut self, capacity: usize) -> Chan {
        self.channels.push(Channel::new(capacity));
        self.channels.len() - 1
    }

    /// A settled goroutine made from outside of the runtime.
    pub(crate) fn go(&mut self, script: impl Script + 'static) {
        let g = self.new_g(Box::new(script));
        self.publish_new(g);
    }

    /// A migratory one.
    pub(crate) fn go_migratory(&mut self, script: impl Script + 'static) {
        let g = self.new_g(Box::new(script));
        self.gs[g].migratory = true;
        self.publish_new(g);
    }

    pub(crate) fn publish_new(&mut self, g: Gid) {
        self.global.push_back(g);
        self.poke_searchers();
        self.submit(None);
    }

    /// A thread of C's that does what the script says, in callbacks.
    pub(crate) fn foreign(&mut self, script: impl Script + 'static) {
        let g = self.new_g(Box::new(script));
        let t = self.new_thread(Role::Foreign(g));
        self.gs[g].thread = Some(t);
        self.at(self.now, Event::Wake(t));
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
        let Self { gs, record, rng, now, .. } = self;
        let mut me = Me { now: *now, received: gs[g].received, record, rng };
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

    /// Runs until then, or until nothing happens any more.
    pub(crate) fn run(&mut self, until: u64) {
        self.collect_alarms();
        while self.events.peek().is_some_and(|next| next.0.0 <= until) {
            let Reverse((time, _, event)) = self.events.pop().expect("just looked");
            self.now = time;
            match event {
                Event::Alarm(Alarm::Burst(t, epoch)) if self.os.threads[t].epoch == epoch => {
                    self.step(t)
                }
                Event::Alarm(Alarm::Quantum(t, epoch)) if self.os.threads[t].epoch == epoch => {
                    self.os.quantum(t, time);
                }
                Event::Alarm(_) => {}
                Event::Wake(t) => {
                    self.os.wake(t, time);
                }
                Event::Timer => self.timer_is_due(),
                Event::Look(t, epoch) if self.os.threads[t].epoch == epoch => self.step(t),
                Event::Look(..) => {}
                Event::Helped(g) => self.ready(g, None),
                Event::HelpersLinger(idle) => self.helpers_linger(idle),
                Event::Lingered(m, slept) => self.lingered(m, slept),
            }
            self.collect_alarms();
        }
        self.now = until;
    }

    fn collect_alarms(&mut self) {
        for (time, alarm) in std::mem::take(&mut self.os.alarms) {
            self.at(time, Event::Alarm(alarm));
        }
    }

    fn step(&mut self, t: Tid) {
        let next = match self.roles[t] {
            Role::M(m) => self.step_m(m),
            Role::Foreign(g) => self.step_foreign(g),
            Role::Helper => unreachable!("it is never woken"),
            Role::Sysmon => self.step_sysmon(),
        };
        let now = self.now;
        match next {
            Next::Run(ns) => self.os.go_on(t, Some(ns), now),
            Next::Spin(ns) => {
                self.os.go_on(t, None, now);
                // Unless somebody else wants the core: then it looks when it has one again.
                if self.spins(t) {
                    self.at(now + ns, Event::Look(t, self.os.threads[t].epoch));
                }
            }
            Next::Sleep => self.os.leave(t, false, now),
            Next::Block(ns) => {
                self.os.leave(t, false, now);
                self.at(now + ns, Event::Wake(t));
            }
            Next::End => self.os.leave(t, true, now),
        }
    }

    /// Whether it sees at once what others write.
    pub(crate) fn spins(&self, t: Tid) -> bool {
        matches!(self.os.threads[t].state, State::Running { until: None, .. })
    }
}
