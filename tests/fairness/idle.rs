//! There is no work: no thread wakes up.

use std::time::{Duration, Instant};

use gosched::{Runtime, time};
use test_support::{death, in_child, settled};

use crate::support::{Ticker, compute};

/// Returns the voluntary context switches of every thread whose name begins with `prefix`, by
/// thread.
fn switches(prefix: &str) -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("it is there");
    let mut all: Vec<_> = tasks
        .filter_map(|task| {
            let path = task.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            let count =
                status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            Some((format!("{} {}", path.display(), name.trim()), count.trim().parse().ok()?))
        })
        .filter(|(name, _)| name.contains(&format!(" {prefix}")))
        .collect();
    all.sort();
    all
}

/// Waits until two looks, some time apart, see the same. By then the threads that nobody needs have
/// ended, and idle stacks have given their memory back.
fn settle(prefix: &str) -> Vec<(String, u64)> {
    let began = Instant::now();
    loop {
        let before = switches(prefix);
        std::thread::sleep(Duration::from_millis(1_500));
        if switches(prefix) == before {
            return before;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "somebody never comes to rest");
    }
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn after_hogs_and_blocking_an_idle_process_makes_no_wake_up() {
    let Some(output) = in_child("idle::after_hogs_and_blocking_an_idle_process_makes_no_wake_up")
    else {
        let rt = Runtime::builder(settled()).procs(2).name("quiet").build().expect("a runtime");
        let ticker = Ticker::start(&rt);
        let hogs: Vec<_> =
            (0..8).map(|_| rt.handle().go(|| compute(Duration::from_millis(40)))).collect();
        let naps: Vec<_> = (0..8)
            .map(|_| rt.handle().go(|| std::thread::sleep(Duration::from_millis(20))))
            .collect();
        let sleeps: Vec<_> =
            (0..8).map(|_| rt.handle().go(|| time::sleep(Duration::from_millis(5)))).collect();
        assert!(hogs.into_iter().chain(naps).chain(sleeps).all(|one| one.join().is_ok()));
        ticker.stop();
        let before = settle("quiet-");
        assert!(before.iter().any(|(name, _)| name.contains("sysmon")), "{before:?}");
        std::thread::sleep(Duration::from_secs(5));
        assert_eq!(switches("quiet-"), before);
        eprintln!("idle: {} threads", before.len());
        return;
    };
    assert!(output.status.success() && death(&output).1.contains("idle: "), "{}", death(&output).1);
}

#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn one_hog_alone_is_not_watched() {
    let Some(output) = in_child("idle::one_hog_alone_is_not_watched") else {
        let rt = Runtime::builder(settled()).procs(2).name("alone").build().expect("a runtime");
        // Sysmon exists: two goroutines had to share a P.
        let pair: Vec<_> =
            (0..4).map(|_| rt.handle().go(|| compute(Duration::from_millis(15)))).collect();
        assert!(pair.into_iter().all(|one| one.join().is_ok()));
        let hog = rt.handle().go(|| compute(Duration::from_secs(7)));
        let before = settle("alone-sysmon");
        assert_eq!(before.len(), 1, "{before:?}");
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(switches("alone-sysmon"), before);
        assert!(!hog.is_finished(), "it was there all the time");
        hog.join().expect("no panic");
        eprintln!("slept");
        return;
    };
    assert!(output.status.success() && death(&output).1.contains("slept"), "{}", death(&output).1);
}

/// One M is the timekeeper for all of them, until a moment that does not come.
#[test]
#[ignore = "measures time: cargo xtask test --only timing"]
fn goroutines_that_sleep_for_long_make_no_wake_up() {
    let Some(output) = in_child("idle::goroutines_that_sleep_for_long_make_no_wake_up") else {
        let rt = Runtime::builder(settled()).procs(2).name("asleep").build().expect("a runtime");
        let sleepers: Vec<_> = (0..100)
            .map(|n| rt.handle().go(move || time::sleep(Duration::from_secs(3600 + n))))
            .collect();
        let naps: Vec<_> =
            (0..8).map(|_| rt.handle().go(|| time::sleep(Duration::from_millis(5)))).collect();
        assert!(naps.into_iter().all(|one| one.join().is_ok()));
        let before = settle("asleep-");
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(switches("asleep-"), before);
        assert!(sleepers.iter().all(|sleeper| !sleeper.is_finished()));
        eprintln!("all quiet");
        return;
    };
    assert!(
        output.status.success() && death(&output).1.contains("all quiet"),
        "{}",
        death(&output).1
    );
}
