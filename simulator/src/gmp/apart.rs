//! Goroutines that are to begin apart, and what is known of where goroutines are made. After
//! `gmp::apart` and `gmp::call_sites` of the scheduler.

use std::any::TypeId;
use std::collections::{BTreeMap, VecDeque};

use super::g::Gid;
use crate::policy::behaviour::{Behaviour, Conduct, Run};

/// The queue of Gs that are to begin apart. A call site is the type of a script.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    pub(crate) line: VecDeque<Gid>,
    /// An M was brought, and has not looked yet.
    pub(crate) coming: bool,
    /// Any M may take the oldest G.
    pub(crate) open: bool,
    /// Which G sysmon saw as the oldest first, and when.
    pub(crate) head: Option<(Gid, u64)>,
    /// The burst of which an M last took a G; that M looks here for the others.
    pub(crate) served: u16,
    bursts: u16,
    conducts: BTreeMap<TypeId, Conduct>,
}

impl Apart {
    pub(crate) fn new_burst(&mut self) -> u16 {
        self.bursts = self.bursts % u16::MAX + 1;
        self.bursts
    }

    /// Takes the oldest G.
    pub(crate) fn pop(&mut self) -> Option<Gid> {
        self.open = false;
        self.line.pop_front()
    }

    pub(crate) fn waits(&self) -> bool {
        !self.line.is_empty()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open && self.waits()
    }

    pub(crate) fn behaviour(&self, made_at: TypeId) -> Behaviour {
        self.conducts.get(&made_at).copied().unwrap_or_default().behaviour()
    }

    /// Records a first run of a G. True if others of its burst are spread evenly.
    pub(crate) fn first_run(&mut self, made_at: TypeId, ns: u64) -> bool {
        let run = Run { lasted_ns: ns, cpu_ns: Some(ns), blocked: false, timed: false };
        let conduct = self.conducts.entry(made_at).or_default();
        *conduct = conduct.after_first_run(run);
        run.works()
    }

    /// Records that a G has computed or blocked.
    pub(crate) fn computes(&mut self, made_at: TypeId) {
        self.conducts.insert(made_at, Conduct::computed());
    }
}

/// The first run of a G that was to begin apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstRun {
    pub(crate) behaviour: Behaviour,
    pub(crate) since: u64,
    pub(crate) made_at: TypeId,
}
