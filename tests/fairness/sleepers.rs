//! Sleeping goroutines wake up in time, many at once, and cost nothing while they sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::{Runtime, go, time};
use test_support::{migratory, settled};

use crate::support::{alone, at_most, measured};

/// How late so many are whose deadlines are spread over a second: the 99th of a hundred.
fn late(rt: &Runtime, sleepers: u32) -> Duration {
    rt.run(|| {
        let first = Instant::now() + Duration::from_millis(500);
        let all: Vec<_> = (0..sleepers)
            .map(|i| {
                let deadline = first + Duration::from_secs(1) * (i * 7 % sleepers) / sleepers;
                go(move || {
                    time::sleep_until(deadline);
                    deadline.elapsed()
                })
            })
            .collect();
        let mut late: Vec<_> = all.into_iter().map(|one| one.join().expect("it ended")).collect();
        late.sort_unstable();
        late[late.len() * 99 / 100]
    })
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn ten_thousand_sleepers_are_not_late() {
    let _alone = alone();
    for mode in [settled(), migratory()] {
        let rt = Runtime::builder(mode).procs(2).stack_size(32 * 1024).build().expect("a runtime");
        measured("10,000 sleepers", || {
            at_most("the 99th of 100 is late by", late(&rt, 10_000), Duration::from_millis(10))
        });
    }
}

/// Returns how long after their common deadline two goroutines run that compute from there on: nine
/// times of ten.
fn together(rt: &Runtime, rounds: usize) -> Duration {
    rt.run(|| {
        let mut took: Vec<_> = (0..rounds)
            .map(|_| {
                let (deadline, running) =
                    (Instant::now() + Duration::from_millis(2), Arc::new(AtomicU32::new(0)));
                let both = [(); 2].map(|()| {
                    let running = running.clone();
                    go(move || {
                        time::sleep_until(deadline);
                        running.fetch_add(1, Relaxed);
                        while running.load(Relaxed) < 2 {
                            std::hint::spin_loop();
                        }
                        deadline.elapsed()
                    })
                });
                both.map(|one| one.join().expect("it ended"))[0]
            })
            .collect();
        took.sort_unstable();
        took[took.len() * 9 / 10]
    })
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn of_two_that_come_due_together_one_does_not_wait_for_the_others_slice_to_end() {
    let _alone = alone();
    let rt = Runtime::builder(migratory()).procs(2).build().expect("a runtime");
    measured("two sleepers that compute", || {
        at_most("both run after", together(&rt, 100), Duration::from_millis(5))
    });
}
