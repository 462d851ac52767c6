//! Ms and Ps.

use std::collections::VecDeque;

use super::dispatch::Standing;
use super::g::{Gid, Op};
use crate::os::Tid;
use crate::policy;

/// The owned and the shared half of a P.
#[derive(Debug, Default)]
pub(crate) struct P {
    /// The newest at the back.
    pub(crate) unstarted: VecDeque<Gid>,
    pub(crate) migratory: VecDeque<Gid>,
    /// The M that has it leaves what has not started to others.
    pub(crate) offers: bool,
    pub(crate) oldest: policy::oldest::Oldest,
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
    pub(crate) turn: Option<policy::TimeWithP>,
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
    pub(crate) inherits: bool,
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
