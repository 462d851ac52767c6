//! Idle Ps, sleeping Ms, and the line.

use std::collections::VecDeque;

/// The status of an M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Awake,
    Asleep,
    InLine,
}

/// Why an M stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Returns,
    Woken,
    LetsPass,
}

#[derive(Debug)]
pub(crate) struct InLine {
    pub(crate) m: usize,
    pub(crate) since: u64,
    pub(crate) woken: bool,
    pub(crate) returns: bool,
    /// It has had a turn, and lets those pass that were woken.
    pub(crate) lets_pass: bool,
    /// The M was brought for a G that begins apart.
    pub(crate) apart: bool,
}

#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) idle: Vec<usize>,
    pub(crate) asleep: Vec<usize>,
    pub(crate) line: VecDeque<InLine>,
    /// How many Ms at the line's head are returning resident Ms.
    pub(crate) returning: usize,
}

impl Dispatch {
    pub(crate) fn new(procs: usize) -> Self {
        Self { idle: (0..procs).collect(), asleep: Vec::new(), line: VecDeque::new(), returning: 0 }
    }
}
