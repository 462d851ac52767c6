//! Which M has which P: idle Ps, sleeping Ms, and the line. As `dispatch` and `proc::wake` do it.

use std::collections::VecDeque;
use std::mem;

use crate::cost;
use crate::machine::M;
use crate::policy;
use crate::world::{Event, Role, World};

/// How an M stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Awake,
    Asleep,
    InLine,
}

#[derive(Debug)]
pub(crate) struct InLine {
    m: usize,
    since: u64,
    woken: bool,
    returns: bool,
}

#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) idle: Vec<usize>,
    asleep: Vec<usize>,
    pub(crate) line: VecDeque<InLine>,
    /// How many at the line's head are home Ms that come back.
    pub(crate) returning: usize,
}

impl Dispatch {
    pub(crate) fn new(procs: usize) -> Self {
        Self { idle: (0..procs).collect(), asleep: Vec::new(), line: VecDeque::new(), returning: 0 }
    }
}

impl World {
    /// Work was published that any M may take; by M `by`, or from outside.
    pub(crate) fn submit(&mut self, by: Option<usize>) {
        if !self.dispatch.idle.is_empty() && self.searching == 0 {
            self.wake_p(by);
        }
    }

    /// Brings an idle P to an M that then searches.
    fn wake_p(&mut self, by: Option<usize>) {
        let p = self.dispatch.idle.pop().expect("the caller has looked");
        let m = self.pop_asleep().unwrap_or_else(|| self.start_m(by));
        self.searching += 1;
        self.ms[m].searching = true;
        self.hand(p, m, by);
    }

    /// A P on its way to an M that sleeps, in whatever way.
    fn hand(&mut self, p: usize, m: usize, by: Option<usize>) {
        self.ms[m].p = Some(p);
        self.ms[m].begin_with_woken();
        self.ms[m].standing = Standing::Awake;
        self.record.count("hand-overs");
        let asleep = self.now + cost::WOKEN - self.ms[m].asleep_since;
        if !mem::take(&mut self.ms[m].by_time) {
            self.ms[m].thrift.woken_after(asleep);
        }
        self.wake_thread(self.ms[m].thread, by);
    }

    /// Wakes a thread; who does so pays for it.
    pub(crate) fn wake_thread(&mut self, t: usize, by: Option<usize>) {
        if let Some(by) = by {
            self.ms[by].debt += cost::WAKE;
        }
        let latency =
            if self.os.threads[t].epoch == 0 { cost::THREAD_STARTED } else { cost::WOKEN };
        self.at(self.now + latency, Event::Wake(t));
    }

    /// A new M, whose thread begins when it is handed a P.
    pub(crate) fn start_m(&mut self, by: Option<usize>) -> usize {
        let m = self.ms.len();
        let thread = self.new_thread(Role::M(m));
        self.ms.push(M::new(thread));
        if let Some(by) = by {
            self.ms[by].debt += cost::THREAD_MADE;
        }
        self.record.count("threads made");
        m
    }

    /// A P that nobody has: to the line's head if it was passed over, else it lies idle; unless it
    /// is one too many.
    pub(crate) fn put_back(&mut self, p: usize, by: Option<usize>) {
        if self.excess() > 0 {
            return self.retire_p(p, by);
        }
        if self.dispatch.line.front().is_some_and(|head| policy::passed_over(head.since, self.now))
        {
            let head = self.leave_line(0);
            self.hand(p, head, by);
        } else {
            self.dispatch.idle.push(p);
        }
        self.line_changed(by);
    }

    /// A P that is idle while somebody stands in the line: the head looks.
    fn line_changed(&mut self, by: Option<usize>) {
        if self.dispatch.idle.is_empty() {
            return;
        }
        let Some(head) = self.dispatch.line.front_mut() else { return };
        if !mem::replace(&mut head.woken, true) {
            let t = self.ms[head.m].thread;
            self.wake_thread(t, by);
        }
    }

    /// Somebody to run a P that has work: the line's head, an M that sleeps, or a new one.
    pub(crate) fn hand_off(&mut self, p: usize, by: Option<usize>) {
        if self.excess() > 0 {
            return self.retire_p(p, by);
        }
        let needed =
            self.has_free_work() || !self.dispatch.line.is_empty() || self.timers_are_due();
        if !needed {
            return self.put_back(p, by);
        }
        let m = if self.dispatch.line.is_empty() {
            self.pop_asleep()
        } else {
            Some(self.leave_line(0))
        };
        let m = m.unwrap_or_else(|| self.start_m(by));
        self.hand(p, m, by);
        self.line_changed(by);
    }

    /// An idle P for an M that is awake.
    pub(crate) fn try_take(&mut self, m: usize) -> bool {
        self.ms[m].p = self.dispatch.idle.pop();
        self.ms[m].p.is_some()
    }

    /// An M in the line was woken: an idle P is its, wherever it stands.
    pub(crate) fn take_turn(&mut self, m: usize) -> bool {
        let at = self.dispatch.line.iter().position(|l| l.m == m).expect("it stands in the line");
        if !self.try_take(m) {
            self.dispatch.line[at].woken = false;
            return false;
        }
        self.leave_line(at);
        self.ms[m].begin_with_woken();
        self.ms[m].standing = Standing::Awake;
        self.record.count("hand-overs");
        self.line_changed(Some(m));
        true
    }

    /// Behind the others; a home M that returns behind those that do.
    pub(crate) fn stand_in_line(&mut self, m: usize, returns: bool) {
        let at = if returns { self.dispatch.returning } else { self.dispatch.line.len() };
        self.dispatch.returning += usize::from(returns);
        self.dispatch.line.insert(at, InLine { m, since: self.now, woken: false, returns });
        self.ms[m].standing = Standing::InLine;
    }

    fn leave_line(&mut self, at: usize) -> usize {
        let left = self.dispatch.line.remove(at).expect("somebody stands there");
        self.dispatch.returning -= usize::from(left.returns);
        left.m
    }

    pub(crate) fn fall_asleep(&mut self, m: usize) {
        self.ms[m].standing = Standing::Asleep;
        self.ms[m].slept += 1;
        self.ms[m].asleep_since = self.now;
        self.dispatch.asleep.push(m);
    }

    /// A home M if one sleeps, else the last to fall asleep.
    fn pop_asleep(&mut self) -> Option<usize> {
        let home = self.dispatch.asleep.iter().rposition(|m| self.is_home(*m));
        let at = home.or_else(|| self.dispatch.asleep.len().checked_sub(1))?;
        let m = self.dispatch.asleep.swap_remove(at);
        self.ms[m].standing = Standing::Awake;
        Some(m)
    }

    /// This very M, which sleeps.
    pub(crate) fn take_asleep(&mut self, m: usize) {
        self.dispatch.asleep.retain(|other| *other != m);
        self.ms[m].standing = Standing::Awake;
    }

    pub(crate) fn homes_asleep(&self) -> usize {
        self.dispatch.asleep.iter().filter(|m| self.is_home(**m)).count()
    }

    /// Something lies in the inbox of M `m`, put there by `by`.
    pub(crate) fn rouse_for_inbox(&mut self, m: usize, by: Option<usize>) {
        if self.ms[m].standing != Standing::Asleep {
            return;
        }
        self.take_asleep(m);
        match self.dispatch.idle.pop() {
            Some(p) => self.hand(p, m, by),
            None => {
                self.stand_in_line(m, false);
                self.sysmon_is_told();
            }
        }
    }

    /// Sees to it that the home M with the fewest settled Gs comes.
    pub(crate) fn wake_least_home(&mut self, by: usize) {
        match self.least_home().0 {
            Some(m) => self.rouse_for_inbox(m, Some(by)),
            // Those who search may be as full as this one: the M that is to come is yet to be made.
            None if !self.dispatch.idle.is_empty() => self.wake_p(Some(by)),
            None => {}
        }
    }
}
