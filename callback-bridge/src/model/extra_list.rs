//! The extra-M list under loom: an M belongs to one thread at a time, no thread sleeps for ever,
//! and a failed refill reaches the waiters.
//!
//! # Safety
//!
//! Ms are leaked, and each has one link.
#![expect(unsafe_code, reason = "a node for the list, and writes that loom checks")]

use crate::extra_list::{Chain, ExtraList, Link, Node, Take};
use gosched_runtime_sys::sync::primitive::{UnsafeCell, loom, switch_on, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};

const OUT_OF_MEMORY: i32 = 12;

struct M {
    link: Link<M>,
    /// Written by the thread that has the M: loom reports two writers that nothing orders.
    used: UnsafeCell<u32>,
}

// SAFETY: one link per M.
unsafe impl Node for M {
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

// SAFETY: only the thread that took an M uses it; the model checks that.
unsafe impl Send for M {}

type List = ExtraList<M>;

impl M {
    fn make() -> &'static mut Self {
        Box::leak(Box::new(Self { link: Link::new(), used: UnsafeCell::new(0) }))
    }

    fn run(&self) {
        self.used.with_mut(|used| {
            // SAFETY: the M is this thread's; loom checks that.
            unsafe { *used += 1 }
        });
    }
}

/// One callback: a thread takes an M, uses it, and puts it back.
fn callback(list: &List, can_make: bool) -> Result<(), i32> {
    loop {
        let (m, owed) = match list.take() {
            Take::One(m) => (m, None),
            Take::Last(m, owed) => (m, Some(owed)),
            Take::Wait(seen) => {
                list.wait(seen)?;
                continue;
            }
            Take::Dry(owed) => {
                refill(list, owed, can_make)?;
                continue;
            }
        };
        if let Some(owed) = owed {
            // A thread that is inside does not need the Ms that it failed to make.
            let _made = refill(list, owed, can_make);
        }
        m.run();
        list.put(m);
        return Ok(());
    }
}

fn refill(list: &List, owed: crate::extra_list::Owed, can_make: bool) -> Result<(), i32> {
    let mut made = Chain::new();
    if can_make {
        for _ in 0..list.wanted() {
            made.push(M::make());
        }
    }
    list.pay(owed, made, OUT_OF_MEMORY);
    if can_make { Ok(()) } else { Err(OUT_OF_MEMORY) }
}

/// Leaked: a failing model unwinds through the values it owns, and loom's own destructors abort
/// there.
fn stocked() -> &'static List {
    let list: &'static List = Box::leak(Box::new(List::new()));
    let owed = list.stock().expect("an empty list");
    let mut made = Chain::new();
    made.push(M::make());
    list.pay(owed, made, 0);
    list
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Two threads, one M: both get in, one of them twice. Afterwards the list is neither empty nor in
/// debt.
fn coming_and_going() {
    check(|| {
        let list = stocked();
        let enter = move || callback(list, true).expect("Ms can be made");
        let other = thread::spawn(enter);
        enter();
        enter();
        other.join().expect("joined");
        assert!(matches!(list.take(), Take::One(_)), "one more than is needed");
    });
}

/// Two threads, one M, and no second one can be made: each gets in or gets the error.
fn nothing_to_be_had() {
    check(|| {
        let list = stocked();
        let other = thread::spawn(move || callback(list, false));
        let outcomes = [callback(list, false), other.join().expect("joined")];
        assert!(outcomes.contains(&Ok(())), "one M serves at least one thread");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(OUT_OF_MEMORY))));
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
fn extra_refill_that_fails_holds() {
    nothing_to_be_had();
}

#[test]
fn extra_list_mutant_unlock_releases_is_caught() {
    catches("extra.unlock_releases", coming_and_going);
}

#[test]
fn extra_refill_mutant_ticket_under_lock_is_caught() {
    catches("extra.ticket_under_lock", nothing_to_be_had);
}

#[test]
fn extra_refill_mutant_failed_refill_wakes_is_caught() {
    catches("extra.failed_refill_wakes", nothing_to_be_had);
}
