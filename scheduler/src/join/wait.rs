//! A join by a goroutine: whom it waits for, and that it is no load of its thread meanwhile.

use std::time::Instant;

use crate::gmp::current;
use crate::gmp::m::M;
use crate::proc::park;

/// A join by the calling goroutine: while it exists, the goroutine does not count as a load of the
/// M that it has settled on.
pub(super) struct JoinWait(Option<&'static M>);

impl JoinWait {
    /// Begins a join of goroutine `id`, until the deadline if there is one.
    ///
    /// # Panics
    ///
    /// If the calling thread runs that goroutine, which would wait for itself for ever.
    pub(super) fn begin(id: u64, deadline: Option<Instant>) -> Self {
        let begun = current::with(|cx| {
            let own = deadline.is_none() && current::any_place(cx, |g| g.id() == id);
            cx.and_then(|cx| cx.owned()).inspect(|owned| owned.joins.set(id));
            (!own).then(|| cx.and_then(park::home_of).inspect(|m| m.enter_join()))
        });
        Self(begun.expect("gosched: a goroutine cannot join itself: it would wait for its own end"))
    }
}

impl Drop for JoinWait {
    fn drop(&mut self) {
        self.0.inspect(|m| m.leave_join());
    }
}
