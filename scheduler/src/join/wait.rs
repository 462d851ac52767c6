//! A join by a goroutine: whom it waits for, and that it is no load of its thread meanwhile.
//!
//! What a goroutine waits for in a join begins on its own M, as a rule, and is the load. That is
//! not so for one that was to begin apart (`proc::apart`): its maker goes on here and counts, or a
//! burst of goroutines that each wait for such a one would all begin on the first M that comes.

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
            let mine = cx.and_then(|cx| cx.owned()).inspect(|owned| owned.joins.set(id));
            let counts = mine.is_some_and(|owned| owned.made_apart.get());
            let no_load = || cx.filter(|_| !counts).and_then(park::home_of);
            (!own).then(|| no_load().inspect(|m| m.enter_join()))
        });
        Self(begun.expect("gosched: a goroutine cannot join itself: it would wait for its own end"))
    }
}

impl Drop for JoinWait {
    fn drop(&mut self) {
        self.0.inspect(|m| m.leave_join());
    }
}
