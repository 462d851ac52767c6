//! What sysmon remembers between two looks, and the gate for new goroutines.

use std::collections::BTreeMap;

use crate::os::Tid;
use crate::policy::retake::{Cpu, Pace};

/// What earlier looks saw of an M.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) round: u64,
    pub(crate) round_since: u64,
    pub(crate) slice: u64,
    pub(crate) slice_since: u64,
    /// When the clock of the M's thread was read last, and its value.
    pub(crate) clock: Option<(u64, u64)>,
    pub(crate) cpu: Cpu,
    /// The call site of the G that makes the stay has been told.
    pub(crate) told: bool,
}

pub(crate) struct Sysmon {
    pub(crate) thread: Tid,
    pub(crate) asleep: bool,
    pub(crate) looks: bool,
    pub(crate) pace: Pace,
    pub(crate) seen: BTreeMap<usize, Seen>,
    pub(crate) crowded: bool,
    pub(crate) permit_is_out: bool,
    pub(crate) permit_since: Option<u64>,
    pub(crate) hogs: u32,
    /// Since when each look has found work for more Ps.
    pub(crate) wanted_since: Option<u64>,
    /// Since when each look has found free work beside an idle P while no M searched.
    pub(crate) leftover_since: Option<u64>,
}

impl Sysmon {
    pub(crate) fn new(thread: Tid) -> Self {
        Self {
            thread,
            asleep: true,
            looks: false,
            pace: Pace::new(),
            seen: BTreeMap::new(),
            crowded: false,
            permit_is_out: false,
            permit_since: None,
            hogs: 0,
            wanted_since: None,
            leftover_since: None,
        }
    }

    /// True if a goroutine could be started now.
    pub(crate) fn admits(&self) -> bool {
        !self.crowded || !self.permit_is_out
    }
}
