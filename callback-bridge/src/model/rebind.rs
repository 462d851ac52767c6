//! A bridge that is bound anew under loom: calls run in the former runtime or in the next one, and
//! the former one is let go once, when nobody is inside of it and nobody will be.
//!
//! # Safety
//!
//! Loom checks that what the calls use is not written while one is inside.
#![expect(unsafe_code, reason = "reads and writes that loom checks")]

use crate::extra::door::{Place, Places};
use crate::extra::line::{Line, Link, Next};
use crate::extra::room::Room;
use gosched_runtime_sys::sync::primitive::{
    AtomicU32, Ordering, UnsafeCell, loom, switch_on, thread,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What the calls use, behind a door.
struct Used(UnsafeCell<u32>);

// SAFETY: the model checks who reads and writes it.
unsafe impl Sync for Used {}
// SAFETY: as above.
unsafe impl Send for Used {}

/// An entrance.
struct Entrance {
    room: Room<Used>,
    next: Next<Entrance>,
}

impl Link for Entrance {
    fn next(&self) -> &Next<Self> {
        &self.next
    }
}

impl Entrance {
    fn new() -> Arc<Self> {
        let new = Self { room: Room::new(Used(UnsafeCell::new(0))), next: Next::none() };
        // Loom's pointers are made where they are first used: here, before other threads look.
        assert!(!new.next.is_some());
        Arc::new(new)
    }
}

struct Bridge {
    line: Line<Entrance>,
    places: Places,
    /// How many runtimes were let go.
    gone: AtomicU32,
}

impl Bridge {
    /// Leaked, as in the model of the door.
    fn new() -> &'static Self {
        let bridge = Self { line: Line::new(), places: Places::new(), gone: AtomicU32::new(0) };
        assert!(bridge.line.known().is_none(), "made here, too");
        assert!(bridge.line.append(None, Entrance::new()));
        Box::leak(Box::new(bridge))
    }

    /// Lets a runtime go.
    fn let_go(&self, used: Option<Used>) {
        let Some(used) = used else { return };
        used.0.with_mut(|used| {
            // SAFETY: nobody is inside; loom checks that.
            unsafe { *used += 1 }
        });
        self.gone.fetch_add(1, Ordering::Relaxed);
    }

    /// A call. True if it has run.
    fn call(&self, place: &Place) -> bool {
        let came_in = self.come_in(place);
        came_in.inspect(|entrance| self.go_out(entrance, place)).is_some()
    }

    /// Comes in, and uses what is there.
    fn come_in(&self, place: &Place) -> Option<&Entrance> {
        let known = self.line.known().filter(|known| !known.room.door.is_closed());
        let entrance = known.or_else(|| self.line.newest()).expect("it was bound");
        // SAFETY: used before the call goes out.
        if let Ok(used) = unsafe { entrance.room.come_in(place) } {
            used.0.with(|used| {
                // SAFETY: inside; loom checks that the content is written after that.
                let _read = unsafe { *used };
            });
            return Some(entrance);
        }
        self.tell(entrance);
        None
    }

    fn go_out(&self, entrance: &Entrance, place: &Place) {
        entrance.room.door.go_out(place);
        self.tell(entrance);
    }

    fn tell(&self, entrance: &Entrance) {
        if entrance.room.door.is_waited_for() {
            self.let_go(entrance.room.take_if_left(&self.places));
        }
    }

    /// Binds the bridge anew.
    fn rebind(&self) -> bool {
        let last = self.line.newest().expect("it was bound");
        let is_new = self.line.append(Some(last), Entrance::new());
        if is_new {
            self.let_go(last.room.retire(&self.places));
        }
        is_new
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A thread that is inside and goes out, one that calls, and one that binds anew.
fn calls_and_a_rebind() {
    check(|| {
        let bridge = Bridge::new();
        let (own, place) = (bridge.places.add(), bridge.places.add());
        let inside = bridge.come_in(own).expect("it is open");
        let binder = thread::spawn(|| assert!(bridge.rebind(), "nobody else does"));
        let caller = thread::spawn(move || bridge.call(place));
        bridge.go_out(inside, own);
        binder.join().expect("joined");
        assert!(bridge.call(own), "who knows of it comes in");
        caller.join().expect("joined");
        assert_eq!(bridge.gone.load(Ordering::Relaxed), 1, "the former one was let go");
        assert_eq!(bridge.line.iter().count(), 2);
    });
}

/// Two threads that bind anew, and one that calls.
fn two_rebinds_and_a_call() {
    check(|| {
        let bridge = Bridge::new();
        let place = bridge.places.add();
        let caller = thread::spawn(move || bridge.call(place));
        let other = thread::spawn(|| bridge.rebind());
        let rebound = u32::from(bridge.rebind()) + u32::from(other.join().expect("joined"));
        assert!(bridge.call(bridge.places.add()), "who knows of it comes in");
        caller.join().expect("joined");
        assert_eq!(bridge.gone.load(Ordering::Relaxed), rebound, "each former one was let go");
        assert_eq!(bridge.line.iter().count() as u32, rebound + 1);
    });
}

fn catches(mutant: &'static str, model: fn()) {
    switch_on(mutant);
    let outcome = catch_unwind(AssertUnwindSafe(model));
    switch_on("");
    assert!(outcome.is_err(), "{mutant} went unnoticed");
}

#[test]
fn rebind_with_calls_holds() {
    calls_and_a_rebind();
}

#[test]
fn rebind_by_two_holds() {
    two_rebinds_and_a_call();
}

#[test]
fn rebind_mutant_append_relaxed_is_caught() {
    catches("line.append_relaxed", calls_and_a_rebind);
}

#[test]
fn rebind_mutant_retire_early_is_caught() {
    catches("room.retire_early", calls_and_a_rebind);
}

#[test]
fn rebind_mutant_retire_late_is_caught() {
    catches("room.retire_late", calls_and_a_rebind);
}
