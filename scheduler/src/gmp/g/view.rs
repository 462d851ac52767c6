//! A goroutine as others see it: from its record alone, which stays when it ends.

use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;

use super::{G, Own};
use crate::gmp::wait_reason::Why;

/// A goroutine as it was at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) id: u64,
    pub(crate) begun: bool,
    pub(crate) parked: bool,
    pub(crate) why: Why,
    pub(crate) made_at: Option<&'static Location<'static>>,
    /// Where its own part lies: at the head of its stack, if it has one. Null before it has begun.
    own: *const Own,
}

impl Look {
    /// An address in its stack, if it has begun and has one of its own; somewhere else if not.
    pub(crate) fn stack(&self) -> usize {
        self.own.addr()
    }
}

impl G {
    /// The goroutine as it is at this moment; `None` when the record is not in use, or changes
    /// hands.
    pub(crate) fn look(&self) -> Option<Look> {
        let id = self.id();
        let own = self.own.load(Relaxed).cast_const();
        let look = Look {
            id,
            begun: !own.is_null(),
            parked: self.parker.is_parked(),
            why: Why::of(self.why.load(Relaxed)),
            made_at: self.made(),
            own,
        };
        (id != 0 && id == self.id()).then_some(look)
    }

    /// Whether it is still the goroutine that was looked at, where it was then.
    pub(crate) fn is_still(&self, look: &Look) -> bool {
        self.own.load(Relaxed).cast_const() == look.own && self.id() == look.id
    }
}
