//! A goroutine as others see it: from its record alone, which stays when it ends.

use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;

use super::{G, GOwned};
use crate::gmp::wait_reason::WaitReason;

/// A goroutine as it was at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GView {
    pub(crate) id: u64,
    pub(crate) begun: bool,
    pub(crate) parked: bool,
    pub(crate) why: WaitReason,
    pub(crate) made_at: Option<&'static Location<'static>>,
    /// Where its own part lies: at the head of its stack, if it has one. Null before it has begun.
    owned: *const GOwned,
}

impl GView {
    /// An address in its stack, if it has begun and has one of its own; somewhere else if not.
    pub(crate) fn stack(&self) -> usize {
        self.owned.addr()
    }
}

impl G {
    /// The goroutine as it is at this moment; `None` when the record is not in use, or changes
    /// hands.
    pub(crate) fn view(&self) -> Option<GView> {
        let id = self.id();
        let owned = self.owned.load(Relaxed).cast_const();
        let view = GView {
            id,
            begun: !owned.is_null(),
            parked: self.parker.is_parked(),
            why: WaitReason::of(self.why.load(Relaxed)),
            made_at: self.made(),
            owned,
        };
        (id != 0 && id == self.id()).then_some(view)
    }

    /// Whether it is still the goroutine that was looked at, where it was then.
    pub(crate) fn is_still(&self, view: &GView) -> bool {
        self.owned.load(Relaxed).cast_const() == view.owned && self.id() == view.id
    }
}
