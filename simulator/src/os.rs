//! The simulated machine: threads on cores, under a kernel that is fair and prefers a thread that
//! was just woken.
//!
//! It is simpler than Linux: one queue for all cores, one priority, and a change of core costs
//! nothing.

use std::collections::VecDeque;

use crate::cost;

/// A thread's number.
pub(crate) type Tid = usize;

/// The state of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// On a core since this time. With `until`, the thread asks for its next step at that time;
    /// without, it spins.
    Running { core: usize, since: u64, until: Option<u64> },
    /// It waits for a core, with `left` of its burst to run.
    Ready { left: u64 },
    /// It waits for a wake-up or for an outside event.
    Sleeping,
    /// It has ended.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) state: State,
    /// Counts changes. An event of an earlier state is void.
    pub(crate) epoch: u64,
    /// The processor time that it has used, up to when it was last put on a core.
    cpu: u64,
}

/// An event that the machine asks for, at a later time.
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
    /// For the queue of events.
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

    /// Returns the processor time that the thread has used.
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

    /// Lets the running thread go on for `burst`, or spin.
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

    /// While other threads wait, the thread has its quantum.
    fn contend(&mut self, t: Tid, now: u64) {
        let State::Running { since, .. } = self.threads[t].state else { return };
        if !self.ready.is_empty() {
            let end = (since + cost::QUANTUM).max(now + 1);
            self.timers.push((end, ThreadTimer::Quantum(t, self.threads[t].epoch)));
        }
    }

    /// Takes the running thread off its core.
    pub(crate) fn leave(&mut self, t: Tid, ended: bool, now: u64) {
        let State::Running { core, .. } = self.threads[t].state else { unreachable!("it runs") };
        self.set(t, if ended { State::Ended } else { State::Sleeping }, now);
        self.alive -= usize::from(ended);
        self.cores[core] = None;
        self.fill(core, now);
    }

    /// Notes that a sleeping thread has ended.
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
        // A spinning thread looks again when it has a core again.
        let left = until.map_or(cost::YIELDED, |until| until - now);
        self.set(t, State::Ready { left }, now);
        self.cores[core] = None;
        self.ready.push_back(t);
        self.fill(core, now);
    }

    /// Handles the end of a thread's quantum.
    pub(crate) fn quantum(&mut self, t: Tid, now: u64) {
        if !self.ready.is_empty() {
            self.preempt(t, now);
        }
    }

    /// Makes a sleeping thread runnable: it asks for its next step as soon as it has a core. True
    /// if it slept.
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

    /// Returns the thread that gives its core to a woken one: a thread that spins, or the one that
    /// has run for longest.
    fn victim(&self, now: u64) -> Option<Tid> {
        let running = |t: &Tid| match self.threads[*t].state {
            State::Running { since, until, .. } => (until.is_none(), now - since),
            _ => (false, 0),
        };
        let most = self.cores.iter().flatten().copied().max_by_key(running)?;
        let (spins, ran) = running(&most);
        (spins || ran >= cost::WAKEUP_GRANULARITY).then_some(most)
    }

    /// True if the thread neither runs nor waits for a core.
    pub(crate) fn is_blocked(&self, t: Tid) -> bool {
        self.threads[t].state == State::Sleeping
    }
}
