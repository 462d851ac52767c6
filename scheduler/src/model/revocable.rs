//! The revocable slot between its own thread and two outsiders.
//!
//! # Safety
//!
//! Plain cells stand for what the protocol hands over; loom reports an access that the protocol
//! does not order.
#![expect(unsafe_code, reason = "the model reads and writes plain cells, which loom checks")]

use gosched_runtime_sys::sync::primitive::{
    Arc, AtomicPtr, AtomicU32, Ordering, UnsafeCell, thread,
};
use std::ptr;

use super::models;
use crate::ds::revocable::{Reentered, Revocable};

/// A P as the model sees it: its owner writes in it, without atomics.
struct Thing {
    uses: UnsafeCell<u32>,
}

// SAFETY: the owner of the thing is alone with it, which is what the model checks.
unsafe impl Send for Thing {}

impl Thing {
    fn work(&self) {
        // SAFETY: as above; loom reports it if not.
        self.uses.with_mut(|uses| unsafe { *uses += 1 });
    }
}

struct World {
    slot: Revocable<Thing>,
    /// What an outsider revoked. Boxes are kept as pointers, and freed only when all went well: a
    /// mistake may have made two of them.
    revoked: [AtomicPtr<Thing>; 2],
    /// Written by an outsider before it revokes.
    note: UnsafeCell<u32>,
    uses: AtomicU32,
}

// SAFETY: the one outsider that revokes writes the note, and the own thread reads it once the thing
// is gone.
unsafe impl Sync for World {}
// SAFETY: nothing in it is bound to a thread.
unsafe impl Send for World {}

impl World {
    /// A world with one thing in the slot.
    fn new() -> Arc<Self> {
        let slot = Revocable::new();
        assert!(slot.acquire().is_ok_and(|found| found.is_none()));
        slot.release(Some(Box::new(Thing { uses: UnsafeCell::new(0) })));
        let nobody = || AtomicPtr::new(ptr::null_mut());
        let (note, uses) = (UnsafeCell::new(0), AtomicU32::new(0));
        Arc::new(Self { slot, revoked: [nobody(), nobody()], note, uses })
    }

    /// The own thread enters, calls `inside`, works, leaves. True if the thing was there.
    fn own(&self, inside: impl FnOnce()) -> bool {
        // A pointer, not a box: in a broken protocol others might have it, too.
        let found = self.slot.acquire().expect("it is not inside").map(Box::into_raw);
        inside();
        if let Some(thing) = found {
            // SAFETY: the thing is the own thread's.
            unsafe { &*thing }.work();
            self.uses.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: made from the box above.
        self.slot.release(found.map(|thing| unsafe { Box::from_raw(thing) }));
        found.is_some()
    }

    /// An outsider looks, and revokes what it saw.
    fn outside(&self, me: usize) {
        let observed = self.slot.observe();
        let Some(thing) = self.slot.revoke(&observed).map(Box::into_raw) else { return };
        // SAFETY: the thing is the outsider's.
        unsafe { &*thing }.work();
        self.uses.fetch_add(1, Ordering::Relaxed);
        self.revoked[me].store(thing, Ordering::Relaxed);
    }

    /// At the end the thing is in one place, and all that was done with it is in it.
    fn assert_one_owner(&self) {
        let revoked = self.revoked.each_ref().map(|revoked| revoked.load(Ordering::Relaxed));
        let mut things: Vec<_> = revoked.into_iter().filter(|thing| !thing.is_null()).collect();
        things.extend(self.slot.acquire().expect("the own thread has left").map(Box::into_raw));
        self.slot.release(None);
        assert_eq!(things.len(), 1, "the thing has not one owner");
        // SAFETY: it comes from a box, and it is the only one.
        let thing = unsafe { Box::from_raw(things[0]) };
        // SAFETY: all threads have ended.
        let uses = thing.uses.with(|uses| unsafe { *uses });
        assert_eq!(uses, self.uses.load(Ordering::Relaxed));
    }
}

/// The own thread enters and leaves twice while two outsiders want the thing.
fn wanted_by_two() {
    let world = World::new();
    let outsiders = [0, 1].map(|me| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.outside(me))
    });
    let was_there = [world.own(|| ()), world.own(|| ())];
    assert!(was_there[0] || !was_there[1], "nobody puts back what was revoked");
    for outsider in outsiders {
        outsider.join().unwrap();
    }
    world.assert_one_owner();
}

/// The outsider notes that it will revoke before it does. The own thread, if it finds nothing,
/// reads the note.
fn noted_before_revoking() {
    let world = World::new();
    let outsider = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            // SAFETY: nobody reads the note before the thing is gone.
            world.note.with_mut(|note| unsafe { *note = 1 });
            world.outside(0);
        })
    };
    if !world.own(|| ()) {
        // SAFETY: the thing is gone, so the outsider is done with the note; loom reports it if not.
        assert_eq!(world.note.with(|note| unsafe { *note }), 1);
    }
    outsider.join().unwrap();
    world.assert_one_owner();
}

/// The own thread is entered again from below while an outsider wants the thing.
fn entered_again() {
    let world = World::new();
    let outsider = {
        let world = Arc::clone(&world);
        thread::spawn(move || world.outside(0))
    };
    world.own(|| assert!(matches!(world.slot.acquire(), Err(Reentered))));
    outsider.join().unwrap();
    world.assert_one_owner();
}

models! {
    holds two_outsiders = wanted_by_two within 3 preemptions;
    holds an_entry_inside_an_entry = entered_again;
    holds a_note_before_the_revocation = noted_before_revoking;
    catches an_acquire_that_only_looks = "revocable.acquire_peeks"
        in wanted_by_two within 3 preemptions;
    catches a_release_that_publishes_nothing = "revocable.release_relaxed"
        in wanted_by_two within 3 preemptions;
    catches a_revocation_that_publishes_nothing = "revocable.revoke_unannounced"
        in noted_before_revoking;
}
