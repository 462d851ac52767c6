//! Five philosophers, five forks. Each philosopher takes the lower-numbered of two forks first, and
//! eats. Eating takes a while, with both locks held over the wait.
//!
//! ```text
//! $ cargo run --release --example dining_philosophers
//! 5 philosophers had 100 meals each
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::time::Duration;

use gosched::sync::Mutex;
use gosched::{Mode, run, scope, time};

const PHILOSOPHERS: usize = 5;
const MEALS: u32 = 100;

/// Counts how often it was used. The philosopher that has the fork holds its lock.
#[derive(Default)]
struct Fork(Mutex<u32>);

fn dine(forks: &[Fork; PHILOSOPHERS], seat: usize) -> u32 {
    let (left, right) = (seat, (seat + 1) % PHILOSOPHERS);
    for _ in 0..MEALS {
        // In one order at every seat, so there is no circle of waiters.
        let mut first = forks[left.min(right)].0.lock().expect("nobody panics with a fork in hand");
        let mut second =
            forks[left.max(right)].0.lock().expect("nobody panics with a fork in hand");
        time::sleep(Duration::from_micros(10));
        *first += 1;
        *second += 1;
    }
    MEALS
}

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let forks: [Fork; PHILOSOPHERS] = Default::default();
    let meals: Vec<u32> = run(mode, || {
        let forks = &forks;
        scope(|s| {
            let seated: Vec<_> =
                (0..PHILOSOPHERS).map(|seat| s.go(move || dine(forks, seat))).collect();
            seated
                .into_iter()
                .map(|philosopher| philosopher.join().expect("nobody panics"))
                .collect()
        })
    });
    assert_eq!(meals, [MEALS; PHILOSOPHERS]);
    let used = forks.map(|fork| fork.0.into_inner().expect("nobody panicked"));
    assert_eq!(used, [2 * MEALS; PHILOSOPHERS], "each fork was used by its two neighbours");
    println!("{PHILOSOPHERS} philosophers had {MEALS} meals each");
}
