//! Sleeping goroutines wake up in time, many at once, and cost nothing while they sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::{Runtime, go, time};
use test_support::{migratory, settled};

use crate::support::{alone, at_most, measured};

/// Returns how late sleepers are whose deadlines are spread over a second: the 99th of a hundred.
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

/// Returns how late those wake up that sleep until the same moment, while nothing else happens: the
/// earliest and the latest of them.
fn late_together(rt: &Runtime, sleepers: u32) -> [Duration; 2] {
    rt.run(|| {
        let deadline = Instant::now() + Duration::from_millis(100);
        let sleeps = move || {
            time::sleep_until(deadline);
            deadline.elapsed()
        };
        let all: Vec<_> = (0..sleepers).map(|_| go(sleeps)).collect();
        let late: Vec<_> = all.into_iter().map(|one| one.join().expect("it ended")).collect();
        [late.iter().min(), late.iter().max()].map(|late| *late.expect("some"))
    })
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn a_crowd_sleeps_for_the_slack_and_a_few_do_not() {
    let _alone = alone();
    let slack = Duration::from_millis(200);
    for mode in [settled(), migratory()] {
        let built = Runtime::builder(mode).procs(2).timer_slack(slack).build();
        let rt = built.expect("a runtime");
        measured("8 sleepers and 7", || {
            let [earliest, latest] = late_together(&rt, 8);
            at_most("missing to the slack", slack.saturating_sub(earliest), Duration::ZERO)?;
            at_most("beyond the slack", latest.saturating_sub(slack), Duration::from_millis(20))?;
            at_most("of a few the last", late_together(&rt, 7)[1], Duration::from_millis(20))
        });
    }
}
