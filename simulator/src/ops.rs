//! What operations do: channels, sleeping, spawning, blocking; on an M, and in a callback on C's
//! thread.

use crate::cost;
use crate::g::{Gid, Op};
use crate::machine::Phase;
use crate::os::Tid;
use crate::policy;
use crate::world::{Event, Next, Role, World};

/// How a goroutine in a callback waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    Spins,
    Sleeps,
    Served,
}

/// A thread of the pool behind `blocking`.
#[derive(Debug)]
pub(crate) struct Helper {
    thread: Tid,
    until: u64,
}

/// How an operation ended.
enum Applied {
    Done,
    Parked,
}

fn cost_of(op: &Op) -> u64 {
    match op {
        Op::Compute(ns) => *ns,
        Op::Block(_) | Op::Yield => 0,
        Op::Send(..) | Op::Recv(_) | Op::Sleep(_) | Op::Blocking(_) => cost::CHANNEL,
        Op::Go(_) => cost::SPAWN,
        Op::Stay | Op::End => cost::END,
    }
}

impl World {
    /// The G on M `m` goes on with its next operation.
    pub(crate) fn begin_op(&mut self, m: usize, g: Gid) -> Next {
        let op = self.next_op(g);
        let machine = &mut self.ms[m];
        let burst = cost_of(&op) + std::mem::take(&mut machine.debt);
        machine.phase = Phase::Op(g, op);
        let behind = machine.ready() + machine.p.map_or(0, |p| self.ps[p].queued());
        if behind > 0 {
            self.sysmon_is_told();
        }
        Next::Run(burst)
    }

    /// The operation of the G on M `m` takes effect.
    pub(crate) fn finish_op(&mut self, m: usize, g: Gid, op: Op) -> Next {
        match op {
            Op::Compute(_) => return self.begin_op(m, g),
            Op::Block(ns) => {
                self.ms[m].phase = Phase::Back(g);
                return Next::Block(ns + cost::TIMER_SLACK);
            }
            Op::Blocking(ns) => {
                if !self.help(m, g, ns) {
                    return self.block_in_place(m, g, ns);
                }
            }
            Op::Yield => self.queue_yielded(m, g),
            Op::Sleep(ns) => self.sleep(g, ns),
            Op::Stay => {}
            Op::End => {
                self.gs[g].ended = true;
                self.ms[m].settled -= usize::from(!self.gs[g].migratory);
            }
            Op::Go(script) => {
                let child = self.new_g(script);
                match self.ms[m].p {
                    Some(p) => self.ps[p].unstarted.push_back(child),
                    None => self.global.push_back(child),
                }
                self.poke_searchers();
                self.submit(Some(m));
                return self.go_on(m, g);
            }
            Op::Send(..) | Op::Recv(_) => {
                if let Applied::Done = self.channel_op(g, &op, Some(m)) {
                    return self.go_on(m, g);
                }
            }
        }
        self.round(m)
    }

    /// After an operation that may suspend: it does, if the slice is over, or the P was taken
    /// meanwhile.
    fn go_on(&mut self, m: usize, g: Gid) -> Next {
        if self.ms[m].p.is_some() && !self.ms[m].urged {
            return self.begin_op(m, g);
        }
        self.queue_yielded(m, g);
        self.round(m)
    }

    fn queue_yielded(&mut self, m: usize, g: Gid) {
        match self.ms[m].p {
            _ if !self.gs[g].migratory => self.ms[m].queue.push_back(g),
            Some(p) => self.ps[p].migratory.push_back(g),
            None => {
                self.woken.push_back(g);
                self.submit(Some(m));
            }
        }
    }

    fn channel_op(&mut self, g: Gid, op: &Op, by: Option<usize>) -> Applied {
        match *op {
            Op::Send(channel, value) => {
                let (done, served) = self.channels[channel].send(g, value);
                if let Some((receiver, value)) = served {
                    self.gs[receiver].received = value;
                    self.ready(receiver, by);
                }
                if done { Applied::Done } else { Applied::Parked }
            }
            Op::Recv(channel) => {
                let (value, through) = self.channels[channel].recv(g);
                if let Some(sender) = through {
                    self.ready(sender, by);
                }
                let Some(value) = value else { return Applied::Parked };
                self.gs[g].received = value;
                Applied::Done
            }
            _ => Applied::Done,
        }
    }

    /// A G that waited can go on.
    pub(crate) fn ready(&mut self, g: Gid, by: Option<usize>) {
        if let Some(t) = self.gs[g].thread {
            self.gs[g].wait = Wait::Served;
            return self.rouse(t, by);
        }
        if self.gs[g].migratory {
            match by.and_then(|m| self.ms[m].p) {
                Some(p) => self.ps[p].migratory.push_back(g),
                None => self.woken.push_back(g),
            }
            self.poke_searchers();
            return self.submit(by);
        }
        let home = self.gs[g].home.expect("what waited has started");
        if by == Some(home) {
            if let Some(before) = self.ms[home].next.replace(g) {
                self.ms[home].queue.push_back(before);
            }
            return;
        }
        self.ms[home].inbox.push_back(g);
        let t = self.ms[home].thread;
        if self.spins(t) {
            self.at(self.now + cost::SEEN, Event::Look(t, self.os.threads[t].epoch));
        } else {
            self.rouse_for_inbox(home, by);
        }
    }

    /// The thread looks: soon if it spins, later if it sleeps.
    fn rouse(&mut self, t: Tid, by: Option<usize>) {
        if self.spins(t) {
            self.at(self.now + cost::SEEN, Event::Look(t, self.os.threads[t].epoch));
        } else {
            self.wake_thread(t, by);
        }
    }

    /// Who spins sees what was published. A few of them: the others would come too late.
    pub(crate) fn poke_searchers(&mut self) {
        let spinning = |m: &usize| {
            matches!(self.ms[*m].phase, Phase::Search(_)) && self.spins(self.ms[*m].thread)
        };
        let few: Vec<usize> = (0..self.ms.len()).filter(spinning).take(4).collect();
        for m in few {
            let t = self.ms[m].thread;
            self.at(self.now + cost::SEEN, Event::Look(t, self.os.threads[t].epoch));
        }
    }

    fn sleep(&mut self, g: Gid, ns: u64) {
        self.timers.insert((self.now + ns, g));
        self.at(self.now + ns, Event::Timer);
    }

    pub(crate) fn timers_are_due(&self) -> bool {
        self.timers.first().is_some_and(|(due, _)| *due <= self.now)
    }

    /// Somebody's sleep is over: an M that sleeps was woken by it, or one that runs finds it in its
    /// next round.
    pub(crate) fn timer_is_due(&mut self) {
        if !self.timers_are_due() {
            return;
        }
        if self.searching > 0 {
            self.poke_searchers();
        } else if !self.dispatch.idle.is_empty() {
            self.submit(None);
        }
        self.sysmon_is_told();
    }

    pub(crate) fn run_timers(&mut self, m: usize) {
        while self.timers_are_due() {
            let (_, g) = self.timers.pop_first().expect("just looked");
            if let Some(home) = self.gs[g].home.filter(|home| *home != m) {
                self.ms[home].by_time = true;
            }
            self.ready(g, Some(m));
        }
    }

    /// Has a helper block for the G. False: there is none.
    fn help(&mut self, m: usize, g: Gid, ns: u64) -> bool {
        let now = self.now;
        let latency =
            if let Some(helper) = self.helpers.iter_mut().rfind(|helper| helper.until <= now) {
                helper.until = now + cost::WOKEN + ns + cost::TIMER_SLACK;
                self.ms[m].debt += cost::WAKE;
                cost::WOKEN
            } else if self.helpers.len() < policy::MAX_HELPERS {
                let until = now + cost::THREAD_STARTED + ns + cost::TIMER_SLACK;
                let thread = self.new_thread(Role::Helper);
                self.helpers.push(Helper { thread, until });
                self.ms[m].debt += cost::THREAD_MADE;
                cost::THREAD_STARTED
            } else {
                return false;
            };
        let done = now + latency + ns + cost::TIMER_SLACK;
        self.at(done, Event::Helped(g));
        let idle = u64::try_from(policy::HELPER_IDLE.as_nanos()).expect("it is short");
        self.at(done + idle, Event::HelpersLinger(idle));
        true
    }

    /// Helpers that have had nothing to do for so long end.
    pub(crate) fn helpers_linger(&mut self, idle: u64) {
        let (now, os) = (self.now, &mut self.os);
        self.helpers.retain(|helper| {
            let stays = helper.until + idle > now;
            if !stays {
                os.end_asleep(helper.thread);
            }
            stays
        });
    }

    fn block_in_place(&mut self, m: usize, g: Gid, ns: u64) -> Next {
        if let Some(p) = self.ms[m].p.take() {
            self.hand_off(p, Some(m));
        }
        self.ms[m].phase = Phase::Back(g);
        Next::Block(ns + cost::TIMER_SLACK)
    }

    /// A thread of C's in its callbacks.
    pub(crate) fn step_foreign(&mut self, g: Gid) -> Next {
        match self.gs[g].wait {
            Wait::Spins => {
                self.gs[g].wait = Wait::Sleeps;
                return Next::Sleep;
            }
            Wait::Sleeps => return Next::Sleep,
            Wait::Served => self.gs[g].wait = Wait::No,
            Wait::No => {}
        }
        if let Some(op) = self.gs[g].op.take() {
            match op {
                Op::Go(script) => {
                    let child = self.new_g(script);
                    self.publish_new(child);
                }
                Op::Sleep(ns) | Op::Block(ns) | Op::Blocking(ns) => {
                    return Next::Block(ns + cost::TIMER_SLACK);
                }
                Op::Stay => return Next::Sleep,
                Op::End => return Next::End,
                op => {
                    if let Applied::Parked = self.channel_op(g, &op, None) {
                        self.gs[g].wait = Wait::Spins;
                        return Next::Spin(self.spin_budget().total_ns);
                    }
                }
            }
        }
        let op = self.next_op(g);
        let burst = cost_of(&op);
        self.gs[g].op = Some(op);
        Next::Run(burst)
    }
}
