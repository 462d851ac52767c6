//! The door of a bridge under loom: a call and a closer see each other, and the closer hears of the
//! last one that goes out.
//!
//! # Safety
//!
//! Loom checks that what the calls use is not written while one is inside.
#![expect(unsafe_code, reason = "reads and writes that loom checks")]

use crate::extra::door::{Door, Place, Places};
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{UnsafeCell, loom, switch_on, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A bridge, and something that its calls use.
struct Bridge {
    door: Door,
    places: Places,
    told: Note,
    used: UnsafeCell<u32>,
}

// SAFETY: the model checks who reads and writes `used`.
unsafe impl Sync for Bridge {}
// SAFETY: as above.
unsafe impl Send for Bridge {}

impl Bridge {
    /// Leaked: a failing model unwinds through the values it owns, and loom's own destructors abort
    /// there.
    fn new() -> &'static Self {
        Box::leak(Box::new(Self {
            door: Door::new(),
            places: Places::new(),
            told: Note::new(),
            used: UnsafeCell::new(0),
        }))
    }

    fn tell(&self) {
        if self.door.is_waited_for() {
            self.told.wake();
        }
    }

    fn read(&self) {
        self.used.with(|used| {
            // SAFETY: inside; loom checks that the closer writes after that.
            let _read = unsafe { *used };
        });
    }

    /// A call with a place.
    fn call(&self, place: &Place) {
        if self.door.come_in(place).is_ok() {
            self.read();
            self.door.go_out(place);
        }
        self.tell();
    }

    /// A call without one.
    fn call_counted(&self) {
        if self.door.count_in().is_ok() {
            self.read();
            self.door.count_out();
        }
        self.tell();
    }

    /// Closes, and waits for all but the `own` calls of the closer.
    fn close(&self, own: usize) {
        self.door.close();
        while self.door.inside(&self.places) != own {
            self.told.sleep();
        }
        self.used.with_mut(|used| {
            // SAFETY: nobody is inside; loom checks that.
            unsafe { *used += 1 }
        });
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A thread that calls twice, the second time by a place that it lists meanwhile, and a closer.
fn calls_and_a_closer() {
    check(|| {
        let bridge = Bridge::new();
        let place = bridge.places.add();
        let caller = thread::spawn(move || {
            bridge.call(place);
            bridge.call(bridge.places.add());
        });
        bridge.close(0);
        caller.join().expect("joined");
    });
}

/// One call with a place and one without, and a closer.
fn both_kinds_and_a_closer() {
    check(|| {
        let bridge = Bridge::new();
        let place = bridge.places.add();
        let placed = thread::spawn(move || bridge.call(place));
        let counted = thread::spawn(|| bridge.call_counted());
        bridge.close(0);
        placed.join().expect("joined");
        counted.join().expect("joined");
    });
}

/// A closer that is inside itself, as a callback that unregisters itself, and another call.
fn a_closer_that_is_inside() {
    check(|| {
        let bridge = Bridge::new();
        let (own, place) = (bridge.places.add(), bridge.places.add());
        let caller = thread::spawn(move || bridge.call(place));
        bridge.door.come_in(own).expect("it is open");
        bridge.close(1);
        bridge.door.go_out(own);
        bridge.tell();
        caller.join().expect("joined");
    });
}

fn catches(mutant: &'static str, model: fn()) {
    switch_on(mutant);
    let outcome = catch_unwind(AssertUnwindSafe(model));
    switch_on("");
    assert!(outcome.is_err(), "{mutant} went unnoticed");
}

#[test]
fn door_holds() {
    calls_and_a_closer();
}

#[test]
fn door_with_both_kinds_holds() {
    both_kinds_and_a_closer();
}

#[test]
fn door_with_a_closer_inside_holds() {
    a_closer_that_is_inside();
}

#[test]
fn door_mutant_no_light_fence_is_caught() {
    catches("door.no_light_fence", calls_and_a_closer);
}

#[test]
fn door_mutant_no_heavy_fence_is_caught() {
    catches("door.no_heavy_fence", calls_and_a_closer);
}

#[test]
fn door_mutant_go_out_relaxed_is_caught() {
    catches("door.go_out_relaxed", calls_and_a_closer);
}

#[test]
fn door_mutant_tell_nobody_is_caught() {
    catches("door.tell_nobody", calls_and_a_closer);
}
