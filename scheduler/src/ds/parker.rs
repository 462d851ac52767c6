//! The park word: one owner (a G) parks, and its wake-up is never lost and never runs it twice.
//!
//! # What the outside needs
//!
//! A wait has three parties. The *owner* decides to wait and is switched out; then
//! [`commit`](Parker::commit) runs on the stack below it. *Notifiers* have what the owner waits
//! for. *Cancellers* want the owner to give the wait up. Three promises:
//!
//! 1. **No lost wake-up.** After a `notify`, the commit refuses, or somebody has claimed the owner
//!    that the commit parked.
//! 2. **One claimer.** For each `Parked`, at most one `notify` or `cancel` returns `Won`.
//! 3. **Whole hand-over.** The claimer sees all that the owner wrote, and all that switching it out
//!    wrote. An owner that is refused, or sees [`notified`](Parker::notified) or
//!    [`pending`](Parker::pending), sees all that the notifier or canceller wrote before.
//!
//! # The word
//!
//! ```text
//!              commit                   RUNNING   the owner runs, or its claimer makes it run
//!    RUNNING ----------> PARKED         PARKED    switched out; a notify or cancel claims it
//!       | ^ <-----------                SHIELDED  the same, but a cancel only leaves its bit
//!       | |    notify, cancel: Won      NOTIFIED  notified while it ran: the next commit refuses
//!       v | prepare                     + CANCEL  a cancel was asked for; the bit stays until
//!    NOTIFIED                                     `reset`, or the owner finds no reason for it
//! ```
//!
//! # Why it holds
//!
//! Everything is in one word, and every change but `reset` is a read-modify-write. So the changes
//! have one order, and each acts on the word that the one before it left. Let C be the commit's
//! exchange, N a notify's, X a cancel's.
//!
//! - Promise 1. If N is before C, C finds NOTIFIED and refuses; only the owner's own `prepare`
//!   takes that state away. If C is before N, N finds PARKED and claims, or somebody else claimed
//!   between the two. The same holds for X: C tests its bit, and only `reset`, or the owner before
//!   its next commit, takes the bit away. A commit that may not be cancelled goes to SHIELDED,
//!   which X does not claim.
//! - Promise 2. To claim is to exchange PARKED for RUNNING. PARKED comes back by a commit only, and
//!   only an owner that a claimer made run commits again. So between two commits there is one
//!   claim.
//! - Promise 3. C releases, N and X acquire: the claimer has the owner's saved registers. N and X
//!   release; a refused C, `notified` and `pending` acquire. Release sequences never break off,
//!   because all changes are read-modify-writes. Each half is one edge: [parker.park],
//!   [parker.note].
//!
//! After a C that succeeded, its thread must touch neither the owner nor this word: the owner may
//! run elsewhere, and end.
//!
//! # A notification sticks
//!
//! A refusal does not use NOTIFIED up; only `prepare` does, which begins the next wait. A notifier
//! claims under its queue's lock and *then* makes its last store to the waiting node. Suppose that
//! an owner used the notification up, found the node untouched and parked again. It would sleep for
//! good, because the notifier got `Lost` and wakes nobody. As it is, the owner retries until it
//! sees that store, which is a few instructions away. `prepare` loses no notification: those of the
//! last wait came before that wait returned, and those of this wait cannot come before its node is
//! linked.
//!
//! # Rejected
//!
//! - Bits that are only ever set (`fetch_or` for notify and cancel, no loop): every wait then pays
//!   a third read-modify-write to clear them. Here `prepare` is a load, and a loop repeats only
//!   when parties collide.
//! - Go's lock that the parking function holds until the G is off its stack (`unlockf`): it binds
//!   every waiter to one lock, and a select or a cancel has several.
//! - A count of permits: a G waits for one thing at a time, and one wake-up too many must not
//!   excuse the next wait.

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, const_fn, mutated};

const RUNNING: u32 = 0;
const PARKED: u32 = 1;
const SHIELDED: u32 = 2;
const NOTIFIED: u32 = 3;
/// The bits of the word that hold one of the states above.
const STATE: u32 = 3;
const CANCEL: u32 = 4;

/// The result of [`Parker::commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refused owner goes on running, a parked one is not to be touched"]
pub(crate) enum Commit {
    /// The owner is parked and belongs to the notifier or canceller that claims it.
    Parked,
    /// The owner is notified or cancelled already, and goes on.
    Refused,
}

/// The result of [`Parker::notify`] or [`Parker::cancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the claimer of a parked owner must make it run"]
pub(crate) enum Claim {
    /// The caller has claimed the parked owner, and must make it run, once.
    Won,
    /// The caller has nothing to make run: the owner runs, or will find out when it next parks, or
    /// somebody else claimed it.
    Lost,
}

/// The park word of one owner.
#[derive(Debug)]
pub(crate) struct Parker {
    word: AtomicU32,
}

impl Parker {
    const_fn! {
        /// Returns the word of an owner that runs.
        #[inline]
        pub(crate) fn new() -> Self {
            Self { word: AtomicU32::new(RUNNING) }
        }
    }

    /// Begins a wait and forgets the notification of an earlier one. The owner calls it before any
    /// other party can learn of the wait.
    #[inline(always)]
    pub(crate) fn prepare(&self) {
        if self.word.load(Ordering::Relaxed) & STATE == RUNNING {
            return;
        }
        if mutated("parker.prepare_stores") {
            self.word.store(RUNNING, Ordering::Relaxed);
        } else {
            // Not a store: a cancel may come at any time, and its bit must survive.
            self.word.fetch_and(CANCEL, Ordering::Relaxed);
        }
    }

    /// Parks the owner, which is switched out. A cancel refuses or wakes it only if it is
    /// `cancellable`.
    #[inline(always)]
    pub(crate) fn commit(&self, cancellable: bool) -> Commit {
        let parked = if cancellable { PARKED } else { SHIELDED };
        // ORDERING[parker.park]: partner are the exchanges in `notify` and `cancel`: the claimer
        // sees the owner as it was left, its saved registers and the context that was switched out.
        let published =
            if mutated("parker.park_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[parker.note]: as in `commit_over`.
        match self.word.compare_exchange(RUNNING, parked, published, Ordering::Acquire) {
            Ok(_) => Commit::Parked,
            Err(word) => self.commit_over(word, parked, published),
        }
    }

    /// The rest of `commit`, where the word was not the usual RUNNING.
    #[inline(never)]
    fn commit_over(&self, mut word: u32, parked: u32, published: Ordering) -> Commit {
        let cancellable = parked == PARKED;
        loop {
            let refused = word & STATE == NOTIFIED || (cancellable && word & CANCEL != 0);
            if refused && !mutated("parker.park_regardless") {
                if mutated("parker.refusal_uses_up") {
                    self.word.fetch_and(CANCEL, Ordering::Relaxed);
                }
                return Commit::Refused;
            }
            // ORDERING[parker.note]: partner are the exchanges in `notify` and `cancel`: a refused
            // owner sees what they wrote before.
            match self.word.compare_exchange(
                word,
                word & CANCEL | parked,
                published,
                Ordering::Acquire,
            ) {
                Ok(_) => return Commit::Parked,
                Err(other) => word = other,
            }
            debug_assert!(!matches!(word & STATE, PARKED | SHIELDED), "a parked owner cannot park");
        }
    }

    /// Claims the owner if it is parked; otherwise makes its next commit refuse.
    #[inline(always)]
    pub(crate) fn notify(&self) -> Claim {
        // The first guess is the common case; a load before it would fetch the line twice.
        let claimed = if mutated("parker.claim_leaves_parked") { PARKED } else { RUNNING };
        // ORDERING[parker.park]: as in `notify_over`.
        match self.word.compare_exchange(PARKED, claimed, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Claim::Won,
            Err(word) => self.notify_over(word),
        }
    }

    /// The rest of `notify`, where the guess was wrong.
    #[inline(never)]
    fn notify_over(&self, mut word: u32) -> Claim {
        loop {
            let (next, outcome) = match word & STATE {
                PARKED | SHIELDED if mutated("parker.claim_leaves_parked") => (word, Claim::Won),
                PARKED | SHIELDED => (word & CANCEL | RUNNING, Claim::Won),
                _ => (word & CANCEL | NOTIFIED, Claim::Lost),
            };
            // ORDERING[parker.park]: partner is the exchange in `commit`.
            // ORDERING[parker.note]: partner are the failing exchange in `commit` and the load in
            // `notified`.
            match self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return outcome,
                Err(other) => word = other,
            }
        }
    }

    /// Asks the owner to give up this and every later cancellable wait, and claims it if it is
    /// parked in one.
    pub(crate) fn cancel(&self) -> Claim {
        let mut word = PARKED;
        loop {
            let (next, outcome) = match word & STATE {
                PARKED => (CANCEL | RUNNING, Claim::Won),
                SHIELDED if mutated("parker.cancel_claims_shielded") => {
                    (CANCEL | RUNNING, Claim::Won)
                }
                _ => (word | CANCEL, Claim::Lost),
            };
            // ORDERING[parker.park]: partner is the exchange in `commit`.
            // ORDERING[parker.note]: partner are the failing exchange in `commit` and the load in
            // `cancelled`.
            match self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return outcome,
                Err(other) => word = other,
            }
        }
    }

    /// True if a cancel was asked for, with a reason or without.
    #[inline(always)]
    pub(crate) fn cancelled(&self) -> bool {
        // ORDERING[parker.note]: partner is the exchange in `cancel`: its reason is visible.
        self.word.load(Ordering::Acquire) & CANCEL != 0
    }

    /// True if the owner is parked. Only a hint to others: the owner may be claimed already, or
    /// begin another wait.
    pub(crate) fn is_parked(&self) -> bool {
        matches!(self.word.load(Ordering::Relaxed) & STATE, PARKED | SHIELDED)
    }

    /// True if the running owner was notified in this wait.
    #[inline(always)]
    pub(crate) fn notified(&self) -> bool {
        // ORDERING[parker.note]: partner is the exchange in `notify`: what the notifier wrote
        // before is visible.
        self.word.load(Ordering::Acquire) & STATE == NOTIFIED
    }

    /// Returns the reason for which the running owner must give its waits up, if there is one.
    ///
    /// `reason` looks for it; a canceller makes its reason visible before it cancels. A cancel
    /// without a reason is left over from an earlier owner, or from a region that this owner has
    /// left, and is forgotten.
    #[inline(always)]
    pub(crate) fn pending<R>(&self, reason: impl Fn() -> Option<R>) -> Option<R> {
        if !self.cancelled() {
            return None;
        }
        self.reason_or_forget(reason)
    }

    #[cold]
    fn reason_or_forget<R>(&self, reason: impl Fn() -> Option<R>) -> Option<R> {
        if let Some(why) = reason() {
            return Some(why);
        }
        // ORDERING[parker.note]: partner is the exchange in `cancel`: the reason of every cancel
        // that is forgotten here is visible to the second look.
        self.word.fetch_and(STATE, Ordering::Acquire);
        if mutated("parker.forgets_unseen") {
            return None;
        }
        let why = reason()?;
        let _it_runs = self.cancel();
        Some(why)
    }

    /// Makes it the word of a new owner. No party may know the old owner any more: a notify or
    /// cancel that comes while this runs may reach either of them.
    pub(crate) fn reset(&self) {
        self.word.store(RUNNING, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Commit, Parker};

    #[test]
    fn a_parked_owner_is_claimed_once() {
        for cancellable in [true, false] {
            let parker = Parker::new();
            parker.prepare();
            assert_eq!(parker.commit(cancellable), Commit::Parked);
            assert_eq!(parker.notify(), Claim::Won);
            assert_eq!(parker.notify(), Claim::Lost, "the owner runs, or is about to");
        }
    }

    #[test]
    fn a_notification_sticks_until_the_next_wait() {
        let parker = Parker::new();
        assert_eq!(parker.notify(), Claim::Lost);
        assert!(parker.notified());
        assert_eq!(parker.commit(true), Commit::Refused);
        assert_eq!(parker.commit(false), Commit::Refused);
        parker.prepare();
        assert!(!parker.notified());
        assert_eq!(parker.commit(true), Commit::Parked);
    }

    #[test]
    fn a_cancel_claims_and_then_refuses_every_wait() {
        let parker = Parker::new();
        assert_eq!(parker.commit(true), Commit::Parked);
        assert_eq!(parker.cancel(), Claim::Won);
        assert_eq!(parker.cancel(), Claim::Lost);
        parker.prepare();
        assert!(parker.cancelled());
        assert_eq!(parker.commit(true), Commit::Refused);
        assert_eq!(parker.notify(), Claim::Lost);
        parker.prepare();
        assert!(parker.cancelled(), "a notification does not hide a cancel");
        parker.reset();
        assert!(!parker.cancelled());
        assert_eq!(parker.commit(true), Commit::Parked);
    }

    #[test]
    fn a_shield_keeps_a_cancel_off() {
        let parker = Parker::new();
        assert_eq!(parker.commit(false), Commit::Parked);
        assert_eq!(parker.cancel(), Claim::Lost);
        assert_eq!(parker.notify(), Claim::Won);
        assert!(parker.cancelled());
        parker.prepare();
        assert_eq!(
            parker.commit(false),
            Commit::Parked,
            "a pending cancel does not refuse a shielded wait"
        );
        assert_eq!(parker.notify(), Claim::Won);
    }
}
