//! What an M runs next, and how it looks for it: in the order of `proc::find`.

use crate::g::Gid;
use crate::policy;
use crate::world::World;

/// What a look at the other queues found.
pub(crate) enum Look {
    Found(Gid),
    /// Something that may be taken at that time.
    Young(u64),
    Nothing,
}

impl World {
    pub(crate) fn local(&mut self, m: usize) -> Option<Gid> {
        let p = self.ms[m].p.expect("it has one");
        let machine = &mut self.ms[m];
        machine.tick = machine.tick.wrapping_add(1);
        machine.asked |= machine.urged;
        if policy::looks_everywhere(machine.tick, machine.asked) {
            machine.asked = false;
            machine.queue.append(&mut machine.inbox);
            let oldest = self
                .pop_global(m)
                .or_else(|| self.waited(m, p))
                .or_else(|| self.overdue(m, p))
                .or_else(|| self.offered(m, p));
            if oldest.is_some() {
                return oldest;
            }
        }
        if let Some(g) = self.ms[m].pop_next() {
            return Some(g);
        }
        if self.ms[m].tick.is_multiple_of(2) {
            self.start(m, p, false).or_else(|| self.pop_woken(m, p))
        } else {
            self.pop_woken(m, p).or_else(|| self.start(m, p, false))
        }
        .or_else(|| self.ms[m].mail())
    }

    fn pop_woken(&mut self, m: usize, p: usize) -> Option<Gid> {
        if self.ms[m].tick & 2 == 0 {
            self.ms[m].pop_settled().or_else(|| self.ps[p].migratory.pop_front())
        } else {
            self.ps[p].migratory.pop_front().or_else(|| self.ms[m].pop_settled())
        }
    }

    /// Takes an unstarted G of its own P, if it may.
    fn start(&mut self, m: usize, p: usize, oldest: bool) -> Option<Gid> {
        if self.ps[p].unstarted.is_empty() || self.is_relieved(m) {
            return None;
        }
        let room = self.has_room(m);
        self.ps[p].offers = !room;
        if !room || !self.admit(m) {
            return None;
        }
        let queue = &mut self.ps[p].unstarted;
        if oldest { queue.pop_front() } else { queue.pop_back() }
    }

    /// Takes the oldest unstarted G of its own P, if it has waited for long.
    fn waited(&mut self, m: usize, p: usize) -> Option<Gid> {
        let (queued, now) = (self.ps[p].unstarted.len(), self.now);
        if queued == 0 || !self.ps[p].oldest.is_due(queued, now) {
            return None;
        }
        self.start(m, p, true).inspect(|_| self.ps[p].oldest.went_first())
    }

    fn has_room(&self, m: usize) -> bool {
        policy::may_start(self.ms[m].settled, self.least_home().1)
    }

    /// The home M with the fewest settled Gs; none in place of one that is yet to be made.
    pub(crate) fn least_home(&self) -> (Option<usize>, usize) {
        if self.ms.len() < self.procs {
            return (None, 0);
        }
        let least = (0..self.procs).min_by_key(|m| self.ms[*m].settled).expect("there is a P");
        (Some(least), self.ms[least].settled)
    }

    fn pop_global(&mut self, m: usize) -> Option<Gid> {
        if let Some(woken) = self.woken.pop_front() {
            return Some(woken);
        }
        let room = policy::may_start_global(self.ms[m].settled, self.least_home().1);
        if self.global.is_empty() || self.is_relieved(m) || !room || !self.admit(m) {
            return None;
        }
        self.global.pop_front()
    }

    /// Looks at the oldest G of the global queue, for an M that has its share.
    fn look_at_global(&mut self, m: usize) -> Look {
        let Some(head) = self.global.front().copied() else { return Look::Nothing };
        if !self.sysmon.admits() || self.is_relieved(m) {
            return Look::Nothing;
        }
        if self.ms[m].global_head.0 != head {
            self.ms[m].global_head = (head, self.now);
            self.wake_least_home(m);
        }
        let since = self.ms[m].global_head.1;
        if !policy::may_take_head(since, self.now, false, false) {
            return Look::Young(since + still(false, false));
        }
        if !self.admit(m) {
            return Look::Nothing;
        }
        self.global.pop_front().map_or(Look::Nothing, Look::Found)
    }

    /// What others offer, by an M that is busy.
    fn offered(&mut self, m: usize, p: usize) -> Option<Gid> {
        let procs = self.ps.len();
        let offers = |p: &usize| self.ps[*p].offers && !self.ps[*p].unstarted.is_empty();
        let victim = (1..procs).map(|i| (p + i) % procs).find(offers)?;
        if self.is_relieved(m)
            || !policy::may_take_offered(self.ms[m].settled, self.least_home().1)
            || !self.admit(m)
        {
            return None;
        }
        self.ps[victim].unstarted.pop_front()
    }

    fn overdue(&mut self, m: usize, p: usize) -> Option<Gid> {
        if self.is_relieved(m) {
            return None;
        }
        let is_own = !self.ps[p].unstarted.is_empty() && !self.has_room(m);
        let own = if is_own { self.look_at(m, p) } else { Look::Nothing };
        match own {
            Look::Found(g) => Some(g),
            Look::Young(_) | Look::Nothing => match self.look_at_global(m) {
                Look::Found(g) => Some(g),
                Look::Young(_) | Look::Nothing => None,
            },
        }
    }

    /// Looks everywhere.
    pub(crate) fn look(&mut self, m: usize) -> Look {
        self.run_timers(m);
        if let Some(g) =
            self.ms[m].pop_next().or_else(|| self.ms[m].mail()).or_else(|| self.pop_global(m))
        {
            return Look::Found(g);
        }
        let mut young: Option<u64> = None;
        match self.look_at_global(m) {
            Look::Found(g) => return Look::Found(g),
            Look::Young(due) => young = Some(due),
            Look::Nothing => {}
        }
        let own = self.ms[m].p.filter(|p| self.ps[*p].offers);
        if let Some(g) = own.and_then(|p| self.start(m, p, false)) {
            return Look::Found(g);
        }
        let (me, procs) = (self.ms[m].p.unwrap_or(0), self.ps.len());
        for i in 0..procs {
            match self.look_at(m, (me + i) % procs) {
                Look::Found(g) => return Look::Found(g),
                Look::Young(due) => young = Some(young.map_or(due, |other| other.min(due))),
                Look::Nothing => {}
            }
        }
        young.map_or(Look::Nothing, Look::Young)
    }

    /// Looks at the oldest unstarted G of a P: it may be taken once it has stood still there.
    fn look_at(&mut self, m: usize, victim: usize) -> Look {
        if let Some(g) = self.ps[victim].migratory.pop_front() {
            return Look::Found(g);
        }
        let Some(head) = self.ps[victim].unstarted.front().copied() else { return Look::Nothing };
        if !self.sysmon.admits() || self.is_relieved(m) {
            return Look::Nothing;
        }
        let mine = self.has_room(m);
        let now = self.now;
        self.ms[m].heads.resize(self.ps.len(), (Gid::MAX, 0));
        let seen = &mut self.ms[m].heads[victim];
        if seen.0 != head {
            *seen = (head, now);
            if !mine {
                self.wake_least_home(m);
            }
        }
        let since = self.ms[m].heads[victim].1;
        let offered = self.ps[victim].offers;
        if !policy::may_take_head(since, now, mine, offered) {
            return Look::Young(since + still(mine, offered));
        }
        if !self.admit(m) {
            return Look::Nothing;
        }
        self.ps[victim].unstarted.pop_front().map_or(Look::Nothing, Look::Found)
    }
}

/// How long a head must have stood still. Asked rather than known: the constants are the policy's.
fn still(share: bool, offered: bool) -> u64 {
    let enough = |ns: &u64| policy::may_take_head(0, *ns, share, offered);
    (0..).map(|n| n * 1_000).find(enough).expect("some time is enough")
}
