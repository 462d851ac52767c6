//! The door of a bridge and what lies behind it under loom: a call and a closer see each other, the
//! closer hears of the last one that goes out, and takes out what no call looks at any more.
//!
//! # Safety
//!
//! Loom checks that what the calls use is not written while one is inside.
#![expect(unsafe_code, reason = "reads and writes that loom checks")]

use crate::extra::door::{Place, Places};
use crate::extra::room::Room;
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{UnsafeCell, loom, switch_on, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the calls use, behind the door.
struct Used(UnsafeCell<u32>);

// SAFETY: the model checks who reads and writes it.
unsafe impl Sync for Used {}
// SAFETY: as above.
unsafe impl Send for Used {}

impl Used {
    fn read(&self) {
        self.0.with(|used| {
            // SAFETY: inside; loom checks that the closer writes after that.
            let _read = unsafe { *used };
        });
    }

    fn write(&self) {
        self.0.with_mut(|used| {
            // SAFETY: nobody is inside; loom checks that.
            unsafe { *used += 1 }
        });
    }
}

struct Bridge {
    room: Room<Used>,
    places: Places,
    told: Note,
}

impl Bridge {
    /// Leaked: a failing model unwinds through the values it owns, and loom's own destructors abort
    /// there.
    fn new() -> &'static Self {
        Box::leak(Box::new(Self {
            room: Room::new(Used(UnsafeCell::new(0))),
            places: Places::new(),
            told: Note::new(),
        }))
    }

    fn tell(&self) {
        if self.room.door.is_waited_for() {
            self.told.wake();
        }
    }

    /// A call with a place.
    fn call(&self, place: &Place) {
        // SAFETY: used before the call goes out.
        if let Ok(used) = unsafe { self.room.come_in(place) } {
            used.read();
            self.room.door.go_out(place);
        }
        self.tell();
    }

    /// A call without one.
    fn call_counted(&self) {
        // SAFETY: as above.
        if let Ok(used) = unsafe { self.room.count_in() } {
            used.read();
            self.room.door.count_out();
        }
        self.tell();
    }

    /// Closes, and waits for all but the `own` calls of the closer.
    fn close(&self, own: usize) {
        self.room.door.close();
        while self.room.door.inside(&self.places) != own {
            self.told.sleep();
        }
    }

    /// Takes out what the calls use.
    fn finish(&self) {
        // SAFETY: nobody is inside; loom checks that.
        let used = unsafe { self.room.take() };
        used.expect("it is taken once").write();
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
        bridge.finish();
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
        bridge.finish();
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
        bridge.room.door.come_in(own).expect("it is open");
        bridge.close(1);
        bridge.room.door.go_out(own);
        bridge.tell();
        bridge.finish();
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
fn door_mutant_read_first_is_caught() {
    catches("room.read_first", calls_and_a_closer);
}

#[test]
fn door_mutant_tell_nobody_is_caught() {
    catches("door.tell_nobody", calls_and_a_closer);
}
