//! Faults that a sanitizer must find, for `cargo xtask sanitize`. Without a sanitizer nothing
//! notices them, so they are run by that command alone.
#![expect(unsafe_code, reason = "faults on purpose")]

use std::cell::UnsafeCell;
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use gosched::{Mode, Runtime, yield_now};
use test_support::{migratory, settled};

/// A number that is said to be shared safely, and is not.
struct Racy(UnsafeCell<u64>);

// SAFETY: there is none. The sanitizer has to say so.
unsafe impl Sync for Racy {}

/// Two goroutines, on two threads at the same time, add to a number. Relaxed operations bring them
/// there, which order nothing.
fn race(mode: Mode) {
    let rt = Runtime::builder(mode).procs(2).build().expect("a runtime is built");
    let shared = Arc::new((Racy(UnsafeCell::new(0)), AtomicU32::new(0)));
    let adding = |shared: Arc<(Racy, AtomicU32)>| {
        move || {
            let until = |turn| {
                while shared.1.load(Relaxed) < turn {
                    spin_loop();
                }
            };
            // Nothing of a goroutine that spins lets the other one start, or go on, on its thread.
            let mut came = 0;
            for turn in [2, 4] {
                came = shared.1.fetch_add(1, Relaxed);
                until(turn);
                // Each is switched from, and to again.
                if turn == 2 {
                    yield_now();
                }
            }
            // The one that came last writes last: of two writes at the very same time, the
            // sanitizer may miss both.
            until(came + 2);
            let number = shared.0.0.get();
            // SAFETY: there is none.
            unsafe { number.write_volatile(1) };
            shared.1.fetch_add(1, Relaxed);
        }
    };
    let handles = [(); 2].map(|()| rt.handle().go(adding(shared.clone())));
    for handle in handles {
        handle.join().expect("it ends");
    }
    rt.shutdown(Duration::from_secs(30)).expect("all have ended");
}

#[test]
#[ignore = "cargo xtask sanitize thread"]
fn a_race_of_threads() {
    race(Mode::threads());
}

#[test]
#[ignore = "cargo xtask sanitize thread"]
fn a_race_of_settled_goroutines() {
    race(settled());
}

#[test]
#[ignore = "cargo xtask sanitize thread"]
fn a_race_of_migratory_goroutines() {
    race(migratory());
}

#[test]
#[ignore = "cargo xtask sanitize address"]
fn a_use_after_free() {
    let sum = gosched::run(settled(), || {
        let kept = Box::new(black_box(7));
        let address = &raw const *kept;
        drop(kept);
        yield_now();
        // SAFETY: there is none.
        unsafe { address.read_volatile() }
    });
    black_box(sum);
}
