//! A goroutine as other threads see it: from its record alone, which stays when the goroutine ends.

use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;

use super::{G, GOwned};
use crate::gmp::wait_reason::WaitReason;

/// The state of a goroutine at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GView {
    pub(crate) id: u64,
    pub(crate) begun: bool,
    pub(crate) parked: bool,
    /// The number of the M that the G has settled on; zero if it has not.
    pub(crate) settled_on: u16,
    /// The mark of the G's wait; zero without one. See `wait_ages`.
    pub(crate) wait_mark: u8,
    pub(crate) wait_reason: WaitReason,
    pub(crate) made_at: Option<&'static Location<'static>>,
    /// The address of the owned half: the top of the G's stack, if it has one. Null before the G
    /// has begun.
    owned: *const GOwned,
}

impl GView {
    /// Returns an address in the G's own stack, if it has begun and has one; else an address in no
    /// stack of the pool.
    pub(crate) fn stack(&self) -> usize {
        self.owned.addr()
    }
}

impl G {
    /// Returns the goroutine's state at this moment. `None` if the record is vacant, or goes to
    /// another goroutine during the call.
    pub(crate) fn view(&self) -> Option<GView> {
        let id = self.id();
        let owned = self.owned.load(Relaxed).cast_const();
        let view = GView {
            id,
            begun: !owned.is_null(),
            parked: self.parker.is_parked(),
            settled_on: self.settled_on(),
            wait_mark: self.wait_mark(),
            wait_reason: self.wait_reason(),
            made_at: self.made_at(),
            owned,
        };
        (id != 0 && id == self.id()).then_some(view)
    }

    /// True if the record still holds the goroutine of `view`, and its owned half lies where it
    /// did.
    pub(crate) fn is_still(&self, view: &GView) -> bool {
        self.owned.load(Relaxed).cast_const() == view.owned && self.id() == view.id
    }
}
