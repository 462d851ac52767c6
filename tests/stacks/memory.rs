//! The memory that goroutines take while they wait, and that it is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::{Runtime, chan, go, yield_now};
use test_support::{in_child_with, migratory, settled};

/// Runs `body` alone in a process, whose memory is then the test's.
#[track_caller]
fn alone(name: &str, body: impl FnOnce()) {
    let name = format!("memory::{name}");
    let Some(output) = in_child_with(&name, &[]) else { return body() };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "no test is called {name}"
    );
}

/// Returns the bytes in memory, page tables included.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let kib = |key: &str| -> usize {
        let line =
            status.lines().find_map(|line| line.strip_prefix(key)).expect("every process has it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    (kib("VmRSS:") + kib("VmPTE:")) << 10
}

/// Spawns `n` goroutines that wait. Returns the sender that releases them, and the count of those
/// that have ended.
fn waiting(n: usize) -> (chan::Sender<()>, Arc<AtomicUsize>) {
    let (release, released) = chan::bounded::<()>(0);
    let (started, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for made in 0..n {
        let (released, here, gone) = (released.clone(), started.clone(), ended.clone());
        go(move || {
            here.fetch_add(1, Relaxed);
            let _disconnected = released.recv();
            gone.fetch_add(1, Relaxed);
        });
        if made % 512 == 0 {
            until(&started, made);
        }
    }
    until(&started, n);
    (release, ended)
}

fn until(counter: &AtomicUsize, n: usize) {
    while counter.load(Relaxed) < n {
        yield_now();
    }
}

fn one_p() -> Runtime {
    Runtime::builder(settled()).procs(1).build().expect("a runtime")
}

/// Checks what each of many takes that wait.
fn each_takes_at_most(most: usize, rt: &Runtime) {
    const N: usize = 100_000;
    rt.run(|| {
        let before = memory();
        let (release, ended) = waiting(N);
        let each = (memory() - before) / N;
        drop(release);
        until(&ended, N);
        assert!(each <= most, "{each} bytes for each");
    });
}

#[test]
fn a_goroutine_that_waits_takes_one_page_of_stack() {
    alone("a_goroutine_that_waits_takes_one_page_of_stack", || {
        // Unoptimised, frames are larger.
        let most = if cfg!(debug_assertions) { 3 * 4096 + 800 } else { 4_700 };
        let rt = Runtime::builder(settled()).procs(1).stack_size(192 << 10).build();
        each_takes_at_most(most, &rt.expect("a runtime"));
    });
}

#[test]
fn a_stack_of_the_default_size_takes_more_page_tables_and_nothing_else() {
    alone("a_stack_of_the_default_size_takes_more_page_tables_and_nothing_else", || {
        let most = if cfg!(debug_assertions) { 3 * 4096 + 2_500 } else { 6_400 };
        each_takes_at_most(most, &one_p());
    });
}

#[test]
fn mappings_are_few() {
    alone("mappings_are_few", || {
        let mappings =
            || std::fs::read_to_string("/proc/self/maps").expect("Linux has it").lines().count();
        if !one_p().stack_stats().light_guards {
            return;
        }
        // The kernel makes one mapping of two slabs, unless two threads have used both before. That
        // depends on who runs when: 30 as a rule, and 100 where other programs want the cores.
        let mut more = Vec::new();
        while more.len() < 3 && more.last().is_none_or(|more| *more >= 100) {
            more.push(one_p().run(|| {
                let before = mappings();
                let (release, ended) = waiting(50_000);
                let now = mappings();
                drop(release);
                until(&ended, 50_000);
                now.saturating_sub(before)
            }));
        }
        let few = more.last().is_some_and(|more| *more < 100);
        assert!(few, "{more:?} more with 50,000 goroutines");
    });
}

#[test]
fn many_after_each_other_take_no_more_than_those_that_lived_together() {
    alone("many_after_each_other_take_no_more_than_those_that_lived_together", || {
        // Optimised, a million in all, of which ten thousand live together.
        const TOGETHER: usize = if cfg!(debug_assertions) { 2_000 } else { 10_000 };
        const BATCHES: usize = if cfg!(debug_assertions) { 30 } else { 97 };
        one_p().run(|| {
            let batch = || {
                let (release, ended) = waiting(TOGETHER);
                drop(release);
                until(&ended, TOGETHER);
            };
            (0..3).for_each(|_| batch());
            let before = memory();
            (0..BATCHES).for_each(|_| batch());
            let grown = memory().saturating_sub(before);
            assert!(grown < 2 << 20, "{grown} bytes");
        });
    });
}

/// What stays after a burst of goroutines, in parts of a hundred of the peak.
const STAYS: usize = 5;

/// Runs `body` for each mode and number of Ps, each alone in a process: two processes at a time.
#[track_caller]
fn each_alone(name: &str, body: impl Fn(&Runtime)) {
    let name = format!("memory::{name}");
    if let Ok(case) = std::env::var("GOSCHED_CASE") {
        let (mode, procs) = case.split_once(' ').expect("two words");
        let mode = if mode == "settled" { settled() } else { migratory() };
        let procs = procs.parse().expect("a number");
        let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
        return body(&rt);
    }
    std::thread::scope(|threads| {
        for mode in ["settled", "migratory"] {
            let name = &name;
            threads.spawn(move || {
                for case in [1, 2, 4].map(|procs| format!("{mode} {procs}")) {
                    let output = in_child_with(name, &[("GOSCHED_CASE", &case)]);
                    let output = output.expect("this is the parent");
                    let stderr = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{case}: {stderr}");
                }
            });
        }
    });
}

/// A burst of goroutines ends, but for one of a thousand, and another one yields all the time.
/// After ten seconds the memory is back. The burst comes back and goes.
#[test]
fn after_a_burst_the_memory_is_back_whoever_lives_on() {
    each_alone("after_a_burst_the_memory_is_back_whoever_lives_on", |rt| {
        const N: usize = if cfg!(debug_assertions) { 20_000 } else { 50_000 };
        let (stop, before) = (Arc::new(AtomicUsize::new(0)), memory());
        let busy = stop.clone();
        rt.handle().go(move || {
            while busy.load(Relaxed) == 0 {
                yield_now();
            }
        });
        let (keep, kept) = chan::bounded::<()>(0);
        for round in 0..2 {
            let kept = (round == 0).then(|| kept.clone());
            let peak = rt.handle().go(move || burst(N, kept)).join().expect("no panic");
            let (patience, mut now) = (Instant::now() + Duration::from_secs(10), peak);
            let bound = before + (peak - before) * STAYS / 100;
            while now > bound && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(100));
                now = memory();
            }
            assert!(now <= bound, "{before} before, {peak} at the peak, {now} now, {round}");
        }
        drop(keep);
        stop.store(1, Relaxed);
    });
}

/// Makes `n` goroutines that wait at the same time. Returns the memory at the peak when they have
/// ended, but for one of a thousand, if those are to be `kept`.
fn burst(n: usize, kept: Option<chan::Receiver<()>>) -> usize {
    let (release, released) = chan::bounded::<()>(0);
    let (started, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for made in 0..n {
        let (released, here, gone) = (released.clone(), started.clone(), ended.clone());
        let kept = kept.clone().filter(|_| made % 1000 == 999);
        go(move || {
            here.fetch_add(1, Relaxed);
            let _disconnected = released.recv();
            gone.fetch_add(1, Relaxed);
            let _disconnected = kept.map(|kept| kept.recv());
        });
        if made % 512 == 0 {
            until(&started, made);
        }
    }
    until(&started, n);
    let peak = memory();
    drop(release);
    until(&ended, n);
    peak
}

#[test]
fn after_a_peak_the_stacks_go_although_nobody_calls() {
    alone("after_a_peak_the_stacks_go_although_nobody_calls", || {
        const N: usize = 20_000;
        let rt = one_p();
        let before = memory();
        // Not on this thread, which would leave with the last goroutine.
        let peak = rt.handle().go(|| {
            let (release, ended) = waiting(N);
            let peak = memory();
            drop(release);
            until(&ended, N);
            peak
        });
        let peak = peak.join().expect("no panic");
        assert!(peak - before > N * 4096, "{before} {peak}");
        let (patience, mut now) = (Instant::now() + Duration::from_secs(20), peak);
        while now - before > (peak - before) / 20 && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(100));
            now = memory();
        }
        assert!(
            now - before <= (peak - before) / 20,
            "{before} before, {peak} at the peak, {now} now"
        );
        assert!(rt.stack_stats().unmapped > 0, "{:?}", rt.stack_stats());
    });
}
