//! The simulated machine: threads on cores, by a kernel that is fair and lets in at once who has
//! just been woken.
//!
//! Less than Linux's: one queue for all cores, one priority, and a core costs nothing to change.

use std::collections::VecDeque;

use crate::cost;

/// A thread's number.
pub(crate) type Tid = usize;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// On a core since then. With `until`, it asks what is next at that time; else it spins.
    Running { core: usize, since: u64, until: Option<u64> },
    /// It wants a core, and `left` of its burst is to be run.
    Ready { left: u64 },
    /// It waits for a wake-up, or for something outside.
    Sleeping,
    /// It has ended.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) state: State,
    /// Counts changes: an event of an earlier state is none.
    pub(crate) epoch: u64,
    /// What it has used of its cores, up to when it was last put on one.
    cpu: u64,
}

/// What the machine wants to be told of, later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ThreadTimer {
    /// The thread's burst is over.
    Burst(Tid, u64),
    /// The thread's quantum is.
    Quantum(Tid, u64),
}

#[derive(Debug)]
pub(crate) struct Os {
    pub(crate) threads: Vec<Thread>,
    cores: Vec<Option<Tid>>,
    ready: VecDeque<Tid>,
    /// To be put into the queue of events.
    pub(crate) timers: Vec<(u64, ThreadTimer)>,
    alive: usize,
    pub(crate) most_alive: usize,
}

impl Os {
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            threads: Vec::new(),
            cores: vec![None; cores],
            ready: VecDeque::new(),
            timers: Vec::new(),
            alive: 0,
            most_alive: 0,
        }
    }

    /// A new thread, asleep.
    pub(crate) fn spawn(&mut self) -> Tid {
        self.alive += 1;
        self.most_alive = self.most_alive.max(self.alive);
        self.threads.push(Thread { state: State::Sleeping, epoch: 0, cpu: 0 });
        self.threads.len() - 1
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive
    }

    /// What the thread has used of its cores.
    pub(crate) fn cpu(&self, t: Tid, now: u64) -> u64 {
        match self.threads[t].state {
            State::Running { since, .. } => self.threads[t].cpu + (now - since),
            _ => self.threads[t].cpu,
        }
    }

    fn set(&mut self, t: Tid, state: State, now: u64) {
        let used = self.cpu(t, now);
        let thread = &mut self.threads[t];
        thread.cpu = used;
        thread.state = state;
        thread.epoch += 1;
    }

    /// The running thread goes on for `burst`, or spins.
    pub(crate) fn go_on(&mut self, t: Tid, burst: Option<u64>, now: u64) {
        let State::Running { core, since, .. } = self.threads[t].state else {
            unreachable!("it runs")
        };
        let until = burst.map(|burst| now + burst);
        let thread = &mut self.threads[t];
        thread.epoch += 1;
        thread.state = State::Running { core, since, until };
        if let Some(until) = until {
            self.timers.push((until, ThreadTimer::Burst(t, thread.epoch)));
        }
        self.contend(t, now);
        if burst.is_none() && !self.ready.is_empty() {
            self.preempt(t, now);
        }
    }

    /// While others wait, the thread has its quantum.
    fn contend(&mut self, t: Tid, now: u64) {
        let State::Running { since, .. } = self.threads[t].state else { return };
        if !self.ready.is_empty() {
            let end = (since + cost::QUANTUM).max(now + 1);
            self.timers.push((end, ThreadTimer::Quantum(t, self.threads[t].epoch)));
        }
    }

    /// The running thread leaves its core.
    pub(crate) fn leave(&mut self, t: Tid, ended: bool, now: u64) {
        let State::Running { core, .. } = self.threads[t].state else { unreachable!("it runs") };
        self.set(t, if ended { State::Ended } else { State::Sleeping }, now);
        self.alive -= usize::from(ended);
        self.cores[core] = None;
        self.fill(core, now);
    }

    /// A sleeping thread has ended.
    pub(crate) fn end_asleep(&mut self, t: Tid) {
        self.threads[t].state = State::Ended;
        self.alive -= 1;
    }

    fn fill(&mut self, core: usize, now: u64) {
        let Some(t) = self.ready.pop_front() else { return };
        let State::Ready { left } = self.threads[t].state else {
            unreachable!("it is in the queue")
        };
        self.cores[core] = Some(t);
        self.set(t, State::Running { core, since: now, until: Some(now + left) }, now);
        self.timers.push((now + left, ThreadTimer::Burst(t, self.threads[t].epoch)));
        self.contend(t, now);
    }

    fn preempt(&mut self, t: Tid, now: u64) {
        let State::Running { core, until, .. } = self.threads[t].state else { return };
        // One that spins looks again when it is back.
        let left = until.map_or(cost::YIELDED, |until| until - now);
        self.set(t, State::Ready { left }, now);
        self.cores[core] = None;
        self.ready.push_back(t);
        self.fill(core, now);
    }

    /// The quantum of a thread is over.
    pub(crate) fn quantum(&mut self, t: Tid, now: u64) {
        if !self.ready.is_empty() {
            self.preempt(t, now);
        }
    }

    /// A sleeping thread can run: it asks what is next as soon as it has a core. True if it slept.
    pub(crate) fn wake(&mut self, t: Tid, now: u64) -> bool {
        if self.threads[t].state != State::Sleeping {
            return false;
        }
        self.set(t, State::Ready { left: 0 }, now);
        self.ready.push_front(t);
        if let Some(core) = self.cores.iter().position(Option::is_none) {
            self.fill(core, now);
        } else if let Some(victim) = self.victim(now) {
            self.preempt(victim, now);
        } else {
            self.cores.clone().into_iter().flatten().for_each(|running| self.contend(running, now));
        }
        true
    }

    /// Who gives its core to a thread that was woken: one that spins, or the one that has run for
    /// longest.
    fn victim(&self, now: u64) -> Option<Tid> {
        let running = |t: &Tid| match self.threads[*t].state {
            State::Running { since, until, .. } => (until.is_none(), now - since),
            _ => (false, 0),
        };
        let most = self.cores.iter().flatten().copied().max_by_key(running)?;
        let (spins, ran) = running(&most);
        (spins || ran >= cost::WAKEUP_GRANULARITY).then_some(most)
    }

    /// Whether the thread neither runs nor wants to.
    pub(crate) fn is_blocked(&self, t: Tid) -> bool {
        self.threads[t].state == State::Sleeping
    }
}
