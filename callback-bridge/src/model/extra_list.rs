//! The extra-M list under loom: an M belongs to one thread at a time, whatever a late reader read
//! of it; the list has one more than is needed; and what is spare goes to another list and back.
//!
//! # Safety
//!
//! Ms are leaked, and each has one number.
#![expect(unsafe_code, reason = "a node for the list, and writes that loom checks")]

use crate::extra::list::{ExtraList, Node, Number, Take};
use gosched_runtime_sys::sync::primitive::{UnsafeCell, loom, switch_on, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};

struct M {
    number: Number,
    /// Written by the thread that has the M: loom reports two writers that nothing orders.
    used: UnsafeCell<u32>,
}

// SAFETY: one number per M.
unsafe impl Node for M {
    fn number(&self) -> &Number {
        &self.number
    }
}

// SAFETY: only the thread that took an M uses it; the model checks that.
unsafe impl Send for M {}

type List = ExtraList<M>;

impl M {
    fn run(&self) {
        self.used.with_mut(|used| {
            // SAFETY: the M is this thread's; loom checks that.
            unsafe { *used += 1 }
        });
    }
}

fn make(list: &List) -> &'static mut M {
    let m = Box::new(M { number: Number::new(), used: UnsafeCell::new(0) });
    list.adopt(m).expect("a number")
}

/// A list of so many Ms. Leaked: a failing model unwinds through the values it owns, and loom's own
/// destructors abort there.
fn stocked(ms: usize) -> &'static List {
    let list: &'static List = Box::leak(Box::new(List::new()));
    (0..ms).for_each(|_| list.put(make(list)));
    list
}

/// A thread inside: it has an M, and has seen to another one if that was the last. An error: there
/// is no M, and none can be made.
fn enter(list: &'static List, can_make: bool) -> Result<&'static mut M, ()> {
    let m = match list.take() {
        Take::One(m) => return Ok(m),
        Take::Last(m) => m,
        Take::Empty if can_make => make(list),
        Take::Empty => return Err(()),
    };
    if let Some(owed) = list.owe().filter(|_| can_make) {
        owed.pay(make(list));
    }
    Ok(m)
}

fn callback(list: &'static List, can_make: bool) -> Result<(), ()> {
    let m = enter(list, can_make)?;
    m.run();
    list.put(m);
    Ok(())
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Two threads, one M: both get in, one of them twice.
fn coming_and_going() {
    check(|| {
        let list = stocked(1);
        let callback = move || callback(list, true).expect("Ms can be made");
        let other = thread::spawn(callback);
        callback();
        callback();
        other.join().expect("joined");
        assert!(list.owe().is_none(), "the list is empty");
    });
}

/// Both threads stay inside: the list has one more M, whoever took the last one, and whichever M
/// that was.
fn staying_inside() {
    check(|| {
        let list = stocked(1);
        let other = thread::spawn(move || enter(list, true).map(|m| m.run()));
        enter(list, true).expect("Ms can be made").run();
        other.join().expect("joined").expect("Ms can be made");
        assert!(!matches!(list.take(), Take::Empty), "nobody saw to another one");
    });
}

/// One thread takes two Ms and puts the first back, while another has looked at that one and is
/// about to take it.
fn a_late_reader() {
    check(|| {
        let list = stocked(2);
        let take = || match list.take() {
            Take::One(m) | Take::Last(m) => Some(m),
            Take::Empty => None,
        };
        let other = thread::spawn(move || {
            let one = take();
            let two = take();
            if let Some(one) = one {
                one.run();
                list.put(one);
            }
            if let Some(two) = two {
                two.run();
            }
        });
        for m in [take(), take()].into_iter().flatten() {
            m.run();
        }
        other.join().expect("joined");
    });
}

/// Two threads, one M, and no second one can be made: each gets in or is told so.
fn nothing_to_be_had() {
    check(|| {
        let list = stocked(1);
        let other = thread::spawn(move || callback(list, false));
        let outcomes = [callback(list, false), other.join().expect("joined")];
        assert!(outcomes.contains(&Ok(())), "one M serves at least one thread");
        assert!(list.owe().is_none(), "the M is back");
    });
}

/// A thread that strips what is spare, and one that comes in twice, where no new M can be had: the
/// list always has one, and an M is on one list at a time.
fn stripping() {
    check(|| {
        let list = stocked(2);
        let bare: &'static List = Box::leak(Box::new(List::new()));
        let strip = move || {
            let spare = list.take_spare();
            let is_there = spare.is_some();
            if let Some(m) = spare {
                m.run();
                let m = bare.know(m);
                bare.put(m);
            }
            is_there
        };
        let other = thread::spawn(move || u32::from(strip()) + u32::from(strip()));
        for _ in 0..2 {
            assert!(callback(list, false).is_ok(), "the last one is never spare");
        }
        let stripped = other.join().expect("joined");
        assert!(stripped <= 1, "one is left");
        let mut undressed = 0;
        while let Take::One(m) | Take::Last(m) = bare.take() {
            m.run();
            list.put(m);
            undressed += 1;
        }
        assert_eq!(undressed, stripped);
        let mut there = 0;
        while let Take::One(m) | Take::Last(m) = list.take() {
            m.run();
            there += 1;
        }
        assert_eq!(there, 2, "none is lost, and none is there twice");
    });
}

fn catches(mutant: &'static str, model: fn()) {
    switch_on(mutant);
    let outcome = catch_unwind(AssertUnwindSafe(model));
    switch_on("");
    assert!(outcome.is_err(), "{mutant} went unnoticed");
}

#[test]
fn extra_list_holds() {
    coming_and_going();
}

#[test]
fn extra_list_with_late_readers_holds() {
    a_late_reader();
}

#[test]
fn extra_list_debt_holds() {
    staying_inside();
}

#[test]
fn extra_list_without_memory_holds() {
    nothing_to_be_had();
}

#[test]
fn extra_list_with_spare_ones_holds() {
    stripping();
}

#[test]
fn extra_list_mutant_spare_last_is_caught() {
    catches("extra.spare_last", stripping);
}

#[test]
fn extra_list_mutant_put_relaxed_is_caught() {
    catches("extra.put_relaxed", coming_and_going);
}

#[test]
fn extra_list_mutant_take_relaxed_is_caught() {
    catches("extra.take_relaxed", coming_and_going);
}

#[test]
fn extra_list_mutant_tag_stays_is_caught() {
    catches("extra.tag_stays", a_late_reader);
}

#[test]
fn extra_list_mutant_clear_after_put_is_caught() {
    catches("extra.clear_after_put", staying_inside);
}
