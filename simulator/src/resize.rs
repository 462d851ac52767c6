//! The number of Ps changes while all goes on: as `proc::set_procs` and `proc::excess_p` do it.

use std::mem;

use crate::machine::P;
use crate::world::World;

impl World {
    /// So many Ps, from here on. Those that are too many go when whoever has them comes by.
    pub(crate) fn set_procs(&mut self, procs: usize) {
        self.procs = procs;
        while self.in_use() < procs {
            let p = self.retired.pop().unwrap_or_else(|| {
                self.ps.push(P::default());
                self.ps.len() - 1
            });
            self.put_back(p, None);
        }
        while self.excess() > 0
            && let Some(p) = self.dispatch.idle.pop()
        {
            self.retire_p(p, None);
        }
        if self.excess() > 0 {
            self.sysmon_is_told();
        }
        if self.has_free_work() {
            self.submit(None);
        }
    }

    /// How many Ps there are, with those that are too many.
    pub(crate) fn in_use(&self) -> usize {
        self.ps.len() - self.retired.len()
    }

    /// How many are too many.
    pub(crate) fn excess(&self) -> usize {
        self.in_use().saturating_sub(self.procs)
    }

    /// What the P has is everybody's.
    pub(crate) fn retire_p(&mut self, p: usize, by: Option<usize>) {
        self.global.append(&mut self.ps[p].unstarted);
        self.woken.append(&mut self.ps[p].migratory);
        self.retired.push(p);
        if self.has_free_work() {
            self.submit(by);
        }
    }

    /// An M between two goroutines lets its P go, if that is one too many.
    pub(crate) fn shed(&mut self, m: usize) {
        if self.excess() == 0 {
            return;
        }
        let Some(p) = self.ms[m].p.take() else { return };
        if mem::take(&mut self.ms[m].searching) {
            self.searching -= 1;
        }
        self.retire_p(p, Some(m));
    }
}
