//! Ms and Ps.

use std::collections::VecDeque;

use super::apart::FirstRun;
use super::dispatch::Standing;
use super::g::{Gid, Op};
use crate::os::Tid;
use crate::policy;
use crate::policy::behaviour::Company;
use crate::policy::chain::{Chain, Look};
use crate::policy::head_age::HeadAge;
use crate::policy::keeps_up::KeepsUp;
use crate::policy::look_everywhere::LookEverywhere;
use crate::policy::time_with_p::TimeWithP;

/// The owned and the shared half of a P.
#[derive(Debug, Default)]
pub(crate) struct P {
    /// The newest at the back.
    pub(crate) unstarted: VecDeque<Gid>,
    /// Woken ones, and those that have had a turn.
    pub(crate) migratory: VecDeque<Gid>,
    pub(crate) yielded: VecDeque<Gid>,
    /// The migratory G that was woken last.
    pub(crate) next: Option<Gid>,
    /// The M that has the P offers its unstarted Gs to other Ms.
    pub(crate) offers: bool,
    /// Its unstarted Gs are spread evenly over the Ms.
    pub(crate) spreads: bool,
    pub(crate) spreads_since: u64,
    pub(crate) oldest: policy::oldest::Oldest,
    pub(crate) look_everywhere: LookEverywhere,
    /// How many migratory Gs the M with the P has taken, and whether a thief found it to keep up.
    pub(crate) taken: u32,
    pub(crate) keeps_up: bool,
}

impl P {
    /// Queues an unstarted G.
    pub(crate) fn push_unstarted(&mut self, g: Gid) {
        self.spreads &= !self.unstarted.is_empty();
        self.unstarted.push_back(g);
    }

    /// True if its unstarted Gs are still spread evenly.
    pub(crate) fn spreads(&mut self, now: u64) -> bool {
        if self.spreads && self.spreads_since == 0 {
            self.spreads_since = now;
        }
        self.spreads &= policy::is_left_to_others(self.spreads_since, now);
        self.spreads
    }

    pub(crate) fn queued(&self) -> usize {
        self.unstarted.len() + self.migratory()
    }

    /// Returns the number of migratory Gs that are ready.
    pub(crate) fn migratory(&self) -> usize {
        self.migratory.len() + self.yielded.len() + usize::from(self.next.is_some())
    }

    /// Readies the P for an M that it is handed to: the G that was woken last is queued.
    pub(crate) fn hand(&mut self) {
        self.migratory.extend(self.next.take());
        self.look_everywhere.handed_on(false);
        self.keeps_up = false;
    }

    /// Has the M with the P take the woken migratory G that has waited longest.
    pub(crate) fn take_migratory(&mut self) -> Option<Gid> {
        let g = self.migratory.pop_front().or_else(|| self.next.take());
        g.inspect(|_| self.taken = self.taken.wrapping_add(1))
    }

    /// Has the M with the P take the migratory G that has had its turn before the others.
    pub(crate) fn take_yielded(&mut self) -> Option<Gid> {
        self.yielded.pop_front().inspect(|_| self.taken = self.taken.wrapping_add(1))
    }

    /// Takes a migratory G for another M.
    pub(crate) fn pop_migratory(&mut self) -> Option<Gid> {
        self.migratory.pop_front().or_else(|| self.yielded.pop_front()).or_else(|| self.next.take())
    }
}

/// The next step of an M's thread.
pub(crate) enum Phase {
    Loop,
    /// In a G, whose operation ends with the thread's burst.
    Op(Gid, Op),
    /// In a G that blocked its thread.
    Back(Gid),
    /// It has searched since this time.
    Search(u64),
    /// It has watched its inbox since this time.
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
    /// Woken Gs. They go before those of `queue`, which have had a turn.
    pub(crate) woken: VecDeque<Gid>,
    fresh_streak: u32,
    pub(crate) inbox: VecDeque<Gid>,
    chain: Chain,
    pub(crate) tick: u32,
    pub(crate) choices: u32,
    pub(crate) settled: usize,
    pub(crate) turn: Option<TimeWithP>,
    /// When the M gave its P to the line, if it has had none since.
    pub(crate) gave_way: Option<u64>,
    pub(crate) heads: Vec<HeadAge>,
    pub(crate) keeps_up: Vec<KeepsUp>,
    pub(crate) global_head: (Gid, u64),
    pub(crate) thrift: policy::AdaptiveSpin,
    /// A deadline readied some of the Gs in the inbox.
    pub(crate) by_time: bool,
    /// How often the M fell asleep, and when last.
    pub(crate) slept: u64,
    pub(crate) asleep_since: u64,
    /// The work for others that the M does before it goes on.
    pub(crate) debt: u64,
    /// Rounds; rounds that began a slice; whether this round goes on in the slice of the last one.
    pub(crate) round: u64,
    pub(crate) slice: u64,
    pub(crate) inherits: bool,
    /// The slice is over: the next operation that may suspend suspends.
    pub(crate) urged: bool,
    /// User code runs.
    pub(crate) in_user_code: bool,
    /// The running G was started with a permit.
    pub(crate) permit: bool,
    /// The M has been handed a P since it last looked for what is to begin apart.
    pub(crate) came: bool,
    /// Its P was taken over, and it has not noticed that yet.
    pub(crate) taken_over: bool,
    pub(crate) first_run: Option<FirstRun>,
    /// Whom a G joins that begins here.
    pub(crate) company: Company,
    /// The round in which a G of this M last made others that begin apart, and their burst.
    pub(crate) burst: (u64, u16),
    /// The running G has made Gs that begin apart. An M is brought for them after the round.
    pub(crate) brings_apart: bool,
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
            woken: VecDeque::new(),
            fresh_streak: 0,
            inbox: VecDeque::new(),
            chain: Chain::default(),
            tick: 0,
            choices: 0,
            settled: 0,
            turn: None,
            gave_way: None,
            heads: Vec::new(),
            keeps_up: Vec::new(),
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
            in_user_code: false,
            permit: false,
            came: false,
            taken_over: false,
            first_run: None,
            company: Company::default(),
            burst: (0, 0),
            brings_apart: false,
            ended: false,
        }
    }

    /// Returns the number of ready settled Gs.
    pub(crate) fn ready(&self) -> usize {
        usize::from(self.next.is_some()) + self.queued() + self.inbox.len()
    }

    /// Returns the number of settled Gs that count for the M's share.
    pub(crate) fn load(&self) -> usize {
        if self.company.computes { policy::LOADED } else { self.settled }
    }

    /// Takes the G that was woken last, unless its chain ends. `of_p` Gs wait in the queues of the
    /// P.
    pub(crate) fn pop_next(&mut self, of_p: usize, now: u64) -> Option<Gid> {
        let Some(g) = self.next.take() else {
            self.chain.end();
            return None;
        };
        if self.follows_chain(of_p, now) {
            return Some(g);
        }
        self.queue.push_back(g);
        None
    }

    /// True if the G that was woken last may run next. If not, its chain has ended.
    pub(crate) fn follows_chain(&mut self, of_p: usize, now: u64) -> bool {
        let others = self.queued() + of_p;
        let look = || Look { others, slices: self.slice as u32, now };
        self.inherits = !self.urged && self.chain.extend(look);
        if !self.inherits {
            self.chain.end();
        }
        self.inherits
    }

    /// Takes a settled G that was woken.
    pub(crate) fn pop_woken(&mut self) -> Option<Gid> {
        self.chain.end();
        self.woken.pop_front()
    }

    /// Takes a settled G that has had a turn.
    pub(crate) fn pop_yielded(&mut self) -> Option<Gid> {
        self.chain.end();
        self.queue.pop_front()
    }

    /// True if one that has not had a turn yet may go before those that have. The caller says
    /// whether it went.
    pub(crate) fn may_go_first(&self) -> bool {
        self.fresh_streak < policy::MAX_FRESH_STREAK
    }

    pub(crate) fn went_first(&mut self, went: bool) {
        self.fresh_streak = if went { self.fresh_streak + 1 } else { 0 };
    }

    fn queued(&self) -> usize {
        self.queue.len() + self.woken.len()
    }

    pub(crate) fn take_inbox(&mut self) {
        self.woken.append(&mut self.inbox);
    }

    /// Notes that the M has nothing to run, or no P.
    pub(crate) fn rest(&mut self) {
        self.chain.rest();
        self.woken.extend(self.next.take());
    }

    pub(crate) fn mail(&mut self) -> Option<Gid> {
        self.take_inbox();
        self.pop_woken().or_else(|| self.pop_yielded())
    }
}
