//! The park word between an owner, two notifiers or a notifier and a canceller.
//!
//! # Safety
//!
//! Plain cells stand for what the protocol hands over; loom reports an access that the protocol
//! does not order.
#![expect(unsafe_code, reason = "the model reads and writes plain cells, which loom checks")]

use gosched_runtime_sys::sync::primitive::{Arc, AtomicU32, Ordering, UnsafeCell, thread};

use super::models;
use crate::ds::parker::{Claim, Commit, Parker};

/// A G as the model sees it: its park word, what is saved when it is switched out, and how often it
/// was made to run.
struct Owner {
    parker: Parker,
    saved: UnsafeCell<u32>,
    runs: AtomicU32,
}

const SAVED: u32 = 7;

impl Owner {
    fn new() -> Arc<Self> {
        Arc::new(Self { parker: Parker::new(), saved: UnsafeCell::new(0), runs: AtomicU32::new(0) })
    }

    /// Switches the owner out, and parks it; a refused owner runs on here.
    fn park(&self, cancellable: bool) {
        // SAFETY: the owner has not parked yet.
        self.saved.with_mut(|saved| unsafe { *saved = SAVED });
        if self.parker.commit(cancellable) == Commit::Refused {
            self.run();
        }
    }

    /// Switches the owner in, as a claimer does; the owner takes its saved state apart.
    fn claim(&self, outcome: Claim) -> bool {
        if outcome == Claim::Won {
            self.run();
        }
        outcome == Claim::Won
    }

    fn run(&self) {
        // SAFETY: the thread that makes the owner run is alone with it; loom reports it if not.
        let saved = self.saved.with_mut(|saved| std::mem::take(unsafe { &mut *saved }));
        assert_eq!(saved, SAVED, "the owner runs twice, or on registers that were not saved yet");
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    fn assert_ran_once(&self) {
        assert_eq!(self.runs.load(Ordering::Relaxed), 1);
    }
}

/// A thread with the owner.
fn beside(owner: &Arc<Owner>, f: impl FnOnce(&Owner) + Send + 'static) -> thread::JoinHandle<()> {
    let owner = Arc::clone(owner);
    thread::spawn(move || f(&owner))
}

/// Two notifiers.
fn notified_twice() {
    let owner = Owner::new();
    let others = [(); 2].map(|()| {
        beside(&owner, |owner| {
            owner.claim(owner.parker.notify());
        })
    });
    owner.park(true);
    for other in others {
        other.join().unwrap();
    }
    owner.assert_ran_once();
}

/// A notifier and a canceller.
fn notified_and_cancelled() {
    let owner = Owner::new();
    let notifier = beside(&owner, |owner| {
        owner.claim(owner.parker.notify());
    });
    let canceller = beside(&owner, |owner| {
        owner.claim(owner.parker.cancel());
    });
    owner.park(true);
    notifier.join().unwrap();
    canceller.join().unwrap();
    owner.assert_ran_once();
    assert!(owner.parker.cancelled());
}

/// Only a canceller.
fn cancelled() {
    let owner = Owner::new();
    let canceller = beside(&owner, |owner| {
        owner.claim(owner.parker.cancel());
    });
    owner.park(true);
    canceller.join().unwrap();
    owner.assert_ran_once();
}

/// The canceller must not claim the owner of a shielded wait. The notifier must, or the refused
/// owner itself goes on.
fn shielded() {
    let owner = Owner::new();
    let notifier = beside(&owner, |owner| {
        owner.claim(owner.parker.notify());
    });
    let canceller = beside(&owner, |owner| {
        assert!(!owner.claim(owner.parker.cancel()), "a cancel claimed a shielded owner");
    });
    owner.park(false);
    notifier.join().unwrap();
    canceller.join().unwrap();
    owner.assert_ran_once();
    assert!(owner.parker.cancelled());
}

/// A cancel that comes while the owner forgets an old notification is not forgotten with it.
fn prepared_under_cancel() {
    let owner = Owner::new();
    assert_eq!(owner.parker.notify(), Claim::Lost);
    let canceller = beside(&owner, |owner| {
        owner.claim(owner.parker.cancel());
    });
    owner.parker.prepare();
    owner.park(true);
    canceller.join().unwrap();
    owner.assert_ran_once();
    assert!(owner.parker.cancelled());
}

/// The notifier claims first and finishes the waiting node after that, as wait queues do. The owner
/// parks again as long as the node is not finished.
fn claimed_before_done() {
    let owner = Owner::new();
    let done = Arc::new(AtomicU32::new(0));
    let notifier = {
        let done = Arc::clone(&done);
        beside(&owner, move |owner| {
            let outcome = owner.parker.notify();
            done.store(1, Ordering::Release);
            owner.claim(outcome);
        })
    };
    // SAFETY: as in `Owner::park`.
    owner.saved.with_mut(|saved| unsafe { *saved = SAVED });
    loop {
        match owner.parker.commit(true) {
            Commit::Parked => break,
            Commit::Refused if done.load(Ordering::Acquire) == 1 => break owner.run(),
            Commit::Refused => thread::yield_now(),
        }
    }
    notifier.join().unwrap();
    owner.assert_ran_once();
}

/// A cancel that was meant for an earlier owner is forgotten, while another cancel comes that is
/// meant for this owner.
fn forgotten_under_cancel() {
    let owner = Owner::new();
    let reason = Arc::new(AtomicU32::new(0));
    assert_eq!(owner.parker.cancel(), Claim::Lost);
    let canceller = {
        let reason = Arc::clone(&reason);
        beside(&owner, move |owner| {
            reason.store(1, Ordering::Relaxed);
            owner.claim(owner.parker.cancel());
        })
    };
    let pending = || owner.parker.pending(|| (reason.load(Ordering::Relaxed) == 1).then_some(()));
    if pending().is_some() {
        canceller.join().unwrap();
        assert!(pending().is_some(), "it stays pending");
        return;
    }
    owner.park(true);
    canceller.join().unwrap();
    owner.assert_ran_once();
    assert!(pending().is_some(), "a cancel with a reason was forgotten");
}

models! {
    holds a_cancel_while_one_is_forgotten = forgotten_under_cancel;
    holds two_notifiers = notified_twice;
    holds a_notifier_and_a_canceller = notified_and_cancelled;
    holds a_canceller = cancelled;
    holds a_shielded_wait = shielded;
    holds a_cancel_while_preparing = prepared_under_cancel;
    holds a_node_finished_after_the_claim = claimed_before_done;
    catches a_commit_that_never_refuses = "parker.park_regardless" in notified_and_cancelled;
    catches a_commit_that_overlooks_a_cancel = "parker.park_regardless" in cancelled;
    catches a_commit_that_publishes_nothing = "parker.park_relaxed" in notified_twice;
    catches a_claim_that_leaves_it_parked = "parker.claim_leaves_parked" in notified_twice;
    catches a_cancel_through_the_shield = "parker.cancel_claims_shielded" in shielded;
    catches a_cancel_forgotten_unseen = "parker.forgets_unseen" in forgotten_under_cancel;
    catches a_prepare_that_stores = "parker.prepare_stores" in prepared_under_cancel;
    catches a_refusal_that_uses_the_notification_up = "parker.refusal_uses_up"
        in claimed_before_done;
}
