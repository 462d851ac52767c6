//! The list of a runtime's Ms.

use crate::gmp::m::M;

/// The Ms of a runtime, and the sums of the counts of those that have left it.
pub(super) struct Ms {
    pub(super) list: Vec<&'static M>,
    pub(super) spawned: u64,
    pub(super) ended: u64,
    pub(super) stolen: u64,
    /// How often an M joined or left.
    pub(super) changes: u64,
}

impl Ms {
    pub(super) fn new() -> Self {
        Self { list: Vec::new(), spawned: 0, ended: 0, stolen: 0, changes: 0 }
    }

    /// Adds an M. There is room for it.
    pub(super) fn join(&mut self, m: &'static M) {
        self.list.push(m);
        self.changes += 1;
    }

    pub(super) fn has(&self, m: &M) -> bool {
        self.list.iter().any(|other| std::ptr::eq(*other, m))
    }

    /// Removes an M from the list, if it is still there, and adds its counts to the sums.
    pub(super) fn leave(&mut self, m: &'static M) {
        if let Some(at) = self.list.iter().position(|other| std::ptr::eq(*other, m)) {
            self.list.swap_remove(at);
            self.changes += 1;
            self.spawned += m.spawned();
            self.ended += m.ended();
            self.stolen += m.stolen();
        }
    }
}
