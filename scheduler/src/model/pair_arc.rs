//! A box of several owners: the last owner to drop its share, or the owner that finds itself alone,
//! sees what the others did.
//!
//! # Safety
//!
//! The value is a plain cell; loom reports an access that the protocol does not order.
#![expect(unsafe_code, reason = "the model reads and writes a plain cell, which loom checks")]

use gosched_runtime_sys::sync::primitive::{UnsafeCell, thread};

use super::models;
use crate::ds::pair_arc::PairArc;

struct Value(UnsafeCell<u32>);

// SAFETY: loom watches the cell, and reports two threads in it at once.
unsafe impl Sync for Value {}
// SAFETY: it is a number.
unsafe impl Send for Value {}

impl Value {
    fn add(&self) {
        // SAFETY: loom reports it if it is not so.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }

    fn get(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|value| unsafe { *value })
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // A failed model no longer checks its cells.
        if !std::thread::panicking() {
            assert_eq!(self.get(), 1, "the first owner has used it");
        }
    }
}

/// One owner uses the value and drops its share; the other drops its share.
fn dropped_by_both() {
    let [one, other] = PairArc::pair(Value(UnsafeCell::new(0)));
    let first = thread::spawn(move || {
        one.add();
        drop(one);
    });
    drop(other);
    first.join().unwrap();
}

/// The same, and the other owner uses the value as its own when it is alone.
fn used_by_the_only_owner() {
    let [one, mut other] = PairArc::pair(Value(UnsafeCell::new(0)));
    let first = thread::spawn(move || {
        one.add();
        drop(one);
    });
    if let Some(value) = other.get_mut_if_unique() {
        assert_eq!(value.get(), 1);
    }
    match other.try_unwrap() {
        Ok(value) => assert_eq!(value.get(), 1),
        Err(shared) => drop(shared),
    }
    first.join().unwrap();
}

/// The other owner looks until it is alone. (Loom does not move a single look that comes just
/// before the first owner's drop behind that drop.)
fn awaited_by_the_other() {
    let [one, mut other] = PairArc::pair(Value(UnsafeCell::new(0)));
    let first = thread::spawn(move || {
        one.add();
        drop(one);
    });
    while !other.is_unique() {
        thread::yield_now();
    }
    assert_eq!(other.get_mut_if_unique().map(|value| value.get()), Some(1));
    drop(other);
    first.join().unwrap();
}

/// A third owner is cloned from the second.
fn cloned_meanwhile() {
    let [one, other] = PairArc::pair(Value(UnsafeCell::new(0)));
    let first = thread::spawn(move || {
        one.add();
        drop(one);
    });
    let third = other.clone();
    let second = thread::spawn(move || drop(other));
    drop(third);
    first.join().unwrap();
    second.join().unwrap();
}

models! {
    holds two_that_drop = dropped_by_both;
    holds an_owner_that_is_alone = used_by_the_only_owner;
    holds an_owner_that_waits_to_be_alone = awaited_by_the_other;
    holds a_third_owner = cloned_meanwhile;
    catches alone_relaxed = "pair_arc.alone_relaxed" in awaited_by_the_other;
    catches drop_relaxed = "pair_arc.drop_relaxed" in dropped_by_both;
}
