//! Goroutines that sleep wake up in time, many at once, and cost nothing while they do.

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
