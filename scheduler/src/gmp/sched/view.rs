//! The Ms of a runtime, and the Gs on their threads, as other threads see them: sysmon, the
//! deadlock check and reports.
//!
//! # Safety
//!
//! An M's progress points to the record of the G that the M runs. A record lives as long as its
//! runtime.
#![expect(unsafe_code, reason = "reads the records of Gs that run elsewhere")]

use crate::gmp::g::view::GView;
use crate::gmp::m::M;
use crate::gmp::sched::Sched;

/// The G that has an M's thread.
pub(crate) struct Occupant {
    pub(crate) view: GView,
    /// The thread sleeps or blocks in its place.
    pub(crate) in_place: bool,
}

impl Sched {
    /// Returns the G that has the thread of `m`, if `m` is still an M of this runtime: it runs, or
    /// the thread sleeps or blocks in its place.
    pub(crate) fn occupant(&self, m: &M) -> Option<Occupant> {
        let ms = self.ms.lock();
        if !ms.has(m) {
            return None;
        }
        // SAFETY: an M on the list runs Gs of this runtime's slab, and cannot leave the list while
        // the list is locked.
        let in_place = unsafe { m.progress.in_place() };
        // SAFETY: as above.
        let view = in_place.or_else(|| unsafe { m.progress.running() })?.view()?;
        Some(Occupant { view, in_place: in_place.is_some() })
    }

    /// Fills `ms` with the runtime's Ms. Allocates nothing under the lock.
    pub(crate) fn list_ms(&self, ms: &mut Vec<&'static M>) {
        loop {
            let wanted = self.m_count();
            ms.clear();
            ms.reserve(wanted);
            let list = self.ms.lock();
            if list.list.len() <= ms.capacity() {
                ms.extend_from_slice(&list.list);
                return;
            }
        }
    }

    /// Returns on how many Ms settled Gs wait. An M that runs the only one it has does not count.
    pub(crate) fn ms_with_waiting(&self) -> usize {
        let waits = |m: &&&'static M| m.settled() > usize::from(m.progress.runs());
        self.ms.lock().list.iter().filter(waits).count()
    }

    /// True if an M on which all settled Gs compute is awake, or waits for a P.
    pub(crate) fn somebody_computes(&self) -> bool {
        self.ms.lock().list.iter().any(|m| m.computes() && !m.remote.sleeps())
    }

    /// Returns how many Ms the runtime has, and how often that has changed.
    pub(crate) fn m_changes(&self) -> (usize, u64) {
        let ms = self.ms.lock();
        (ms.list.len(), ms.changes)
    }
}
