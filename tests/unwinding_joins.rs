//! Joins in destructors, while their goroutine unwinds: a pool whose drop joins its workers, which
//! have settled on the same thread.
//!
//! By hand such a join waits for ever, and a warning says so. By `JoinHandle::join_on_drop` it
//! waits once the goroutine unwinds no more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use gosched::callback::Bridge;
use gosched::cancel::{Token, shield};
use gosched::{JoinHandle, JoinOnDrop, Mode, Runtime, blocking, chan, go, lock_thread, time};
use test_support::{in_child_with, migratory, modes, settled};

/// A time limit for what takes milliseconds.
const LONG: Duration = Duration::from_secs(30);

/// For how long a child hangs. The warning says for how long its goroutine had waited.
const HANGS: Duration = Duration::from_secs(2);

/// True if the warning came within a second of the wait.
fn is_in_time(warning: &str) -> bool {
    let waited = warning.split("lasted_ms=").nth(1).and_then(|rest| rest.split(' ').next());
    waited.and_then(|ms| ms.parse::<u64>().ok()).is_some_and(|ms| ms < 1000)
}

/// How a goroutine comes to unwind.
const WAYS: [&str; 5] = ["panic", "timeout", "cancel", "token", "shutdown"];

fn here() -> ThreadId {
    thread::current().id()
}

/// A guard around a worker that takes jobs until its channel is disconnected.
trait Guard: 'static {
    fn around(worker: JoinHandle<()>) -> Self;
}

/// What a newcomer writes.
struct ByHand(Option<JoinHandle<()>>);

impl Guard for ByHand {
    fn around(worker: JoinHandle<()>) -> Self {
        Self(Some(worker))
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let _ended_or_cancelled = self.0.take().expect("it is dropped once").join();
    }
}

impl Guard for JoinOnDrop<()> {
    fn around(worker: JoinHandle<()>) -> Self {
        worker.join_on_drop()
    }
}

/// Workers that have settled on the thread of their maker, in a settled runtime. Dropped, their
/// channel is disconnected first.
struct Pool<G> {
    _jobs: chan::Sender<()>,
    _workers: Vec<G>,
}

impl<G: Guard> Pool<G> {
    fn new(ended: &Arc<AtomicUsize>, beside: bool) -> Self {
        let (jobs, taken) = chan::bounded::<()>(1);
        let workers = (0..3).map(|_| {
            loop {
                let (taken, ended, (tx, rx)) = (taken.clone(), ended.clone(), chan::bounded(0));
                let (go_on, goes_on) = chan::bounded(0);
                let worker = go(move || {
                    tx.send(here()).expect("it is received");
                    if goes_on.recv() == Ok(true) {
                        taken.iter().for_each(drop);
                        ended.fetch_add(1, Relaxed);
                    }
                });
                let serves = rx.recv().expect("sent") == here() || !beside;
                go_on.send(serves).expect("it is received");
                if serves {
                    break G::around(worker);
                }
            }
        });
        Self { _workers: workers.collect(), _jobs: jobs }
    }
}

/// Unwinds with a pool.
fn unwind<G: Guard>(way: &str, ended: &Arc<AtomicUsize>, begun: &mpsc::Sender<()>, beside: bool) {
    let (_never, comes) = chan::bounded::<()>(0);
    let body = || {
        let _pool = shield(|| Pool::<G>::new(ended, beside));
        begun.send(()).expect("it is there");
        match way {
            "panic" => panic!("while the workers wait for jobs"),
            _ => comes.recv().expect_err("it never comes"),
        };
    };
    match way {
        "timeout" => {
            let late = time::timeout(Duration::from_millis(1), body);
            assert!(late.is_err());
            assert_eq!(ended.load(Relaxed), 3, "they were joined before");
        }
        "token" => {
            let token = Token::new();
            let cancels = token.clone();
            go(move || {
                time::sleep(Duration::from_millis(1));
                cancels.cancel();
            });
            token.run(body).expect_err("it was cancelled");
        }
        _ => body(),
    }
}

/// Runs a goroutine that unwinds in this way; its outcome is told when it has been joined.
fn run<G: Guard>(mode: Mode, procs: usize, way: &'static str) -> mpsc::Receiver<usize> {
    let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
    let ((tell, told), ended) = (mpsc::channel(), Arc::new(AtomicUsize::new(0)));
    thread::spawn(move || {
        let (begun, has_begun) = mpsc::channel();
        let beside = mode == settled();
        let theirs = ended.clone();
        let unwinds = rt.handle().go(move || unwind::<G>(way, &theirs, &begun, beside));
        has_begun.recv().expect("it begins");
        match way {
            "cancel" => _ = unwinds.cancel(),
            "shutdown" => _ = rt.shutdown(LONG),
            _ => {}
        }
        let _how = unwinds.join();
        tell.send(ended.load(Relaxed)).expect("somebody waits");
    });
    told
}

#[test]
fn a_guard_joins_when_its_goroutine_unwinds_no_more() {
    for mode in modes() {
        for procs in [1, 2, 4] {
            for way in WAYS {
                let ended = run::<JoinOnDrop<()>>(mode, procs, way).recv_timeout(LONG);
                // A shutdown cancels the workers, too.
                let all = if way == "shutdown" { 0..=3 } else { 3..=3 };
                assert!(ended.is_ok_and(|n| all.contains(&n)), "{mode:?} {procs} {way}: {ended:?}");
            }
        }
    }
}

/// By hand it works where goroutines do not share threads.
#[test]
fn by_hand_it_works_where_nothing_is_shared() {
    for mode in [migratory(), Mode::threads()] {
        for way in WAYS {
            let ended = run::<ByHand>(mode, 2, way).recv_timeout(LONG);
            assert!(ended.is_ok(), "{mode:?} {way}");
        }
    }
}

/// By hand it hangs in the settled mode: within a second a warning says who waits for whom.
#[test]
fn by_hand_it_is_told_within_a_second() {
    let name = "by_hand_it_is_told_within_a_second";
    if let Ok(case) = std::env::var("GOSCHED_CASE") {
        let (way, procs) = case.split_once(' ').expect("two words");
        let way = WAYS.into_iter().find(|known| *known == way).expect("a way");
        let told = run::<ByHand>(settled(), procs.parse().expect("a number"), way);
        assert!(told.recv_timeout(HANGS).is_err(), "it waits for ever");
        // Its threads never end.
        std::process::exit(7);
    }
    thread::scope(|threads| {
        for procs in [1, 2, 4] {
            threads.spawn(move || {
                for way in WAYS {
                    let case = format!("{way} {procs}");
                    // A panic's backtrace takes so long that it is told as well.
                    let variables = [("GOSCHED_CASE", case.as_str()), ("RUST_BACKTRACE", "0")];
                    let output = in_child_with(name, &variables);
                    let output = output.expect("this is the parent");
                    let stderr = String::from_utf8_lossy(&output.stderr);
                    assert_eq!(output.status.code(), Some(7), "{case}: {stderr}");
                    // Another one may say that the panic itself computes for long.
                    let of_wait = |line: &&str| line.contains("while it unwinds");
                    let warning = stderr.lines().find(of_wait);
                    let warning = warning.unwrap_or_else(|| panic!("{case}: {stderr}"));
                    let says =
                        ["waits in place for the end of goroutine", "while it unwinds", file!()];
                    assert!(says.iter().all(|part| warning.contains(part)), "{case}: {warning}");
                    assert!(warning.contains("join_on_drop"), "{case}: {warning}");
                    assert!(is_in_time(warning), "{case}: {warning}");
                }
            });
        }
    });
}

/// Holds a sibling up that is ready, in ways that do not unwind.
fn keep(way: &str) {
    let (tx, rx) = chan::bounded::<()>(1);
    let sibling = loop {
        let (tell, told) = chan::bounded(0);
        let (tx, (go_on, goes_on)) = (tx.clone(), chan::bounded::<bool>(1));
        let sibling = go(move || {
            tell.send(here()).expect("it is received");
            if goes_on.recv() == Ok(true) {
                tx.send(()).expect("it is received");
            }
        });
        let beside = told.recv() == Ok(here());
        let locked = (way == "blocking").then(lock_thread);
        go_on.send(beside).expect("there is room");
        if !beside {
            continue;
        }
        match way {
            "blocking" => blocking(|| thread::sleep(LONG)),
            _ => BRIDGE.enter(|| rx.recv().expect("it is sent")).expect("it runs"),
        }
        break (sibling, locked);
    };
    drop(sibling);
}

static BRIDGE: Bridge = Bridge::unbound();

#[test]
fn who_keeps_the_thread_in_other_ways_is_told_as_well() {
    let name = "who_keeps_the_thread_in_other_ways_is_told_as_well";
    if let Ok(case) = std::env::var("GOSCHED_CASE") {
        let (way, procs) = case.split_once(' ').expect("two words");
        let procs = procs.parse().expect("a number");
        let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
        BRIDGE.bind(rt.handle());
        let way = way.to_owned();
        let keeps = rt.handle().go(move || keep(&way));
        assert!(keeps.join_timeout(HANGS).is_err(), "it waits for long");
        std::process::exit(7);
    }
    for (way, says) in [("blocking", "`blocking` on its own thread"), ("call-back", "of C")] {
        for procs in [1, 2, 4] {
            let case = format!("{way} {procs}");
            let output = in_child_with(name, &[("GOSCHED_CASE", &case)]);
            let output = output.expect("this is the parent");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(7), "{case}: {stderr}");
            let warning = stderr.lines().find(|line| line.starts_with("gosched: "));
            let warning = warning.unwrap_or_else(|| panic!("{case}: {stderr}"));
            assert!(warning.contains(says) && warning.contains(file!()), "{case}: {warning}");
            assert!(is_in_time(warning), "{case}: {warning}");
        }
    }
}

#[test]
fn a_guard_that_is_dropped_by_itself_joins_at_once() {
    for mode in modes() {
        let rt = Runtime::builder(mode).procs(2).build().expect("a runtime");
        rt.run(|| {
            let ended = Arc::new(AtomicUsize::new(0));
            drop(Pool::<JoinOnDrop<()>>::new(&ended, false));
            assert_eq!(ended.load(Relaxed), 3);
            let guard = go(|| 7).join_on_drop();
            assert!(guard.id() > 0);
            assert_eq!(guard.into_handle().join().expect("no panic"), 7);
            // A panic that is caught in the goroutine: the end of the goroutine comes later.
            let fails = go(move || {
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    let _pool = Pool::<JoinOnDrop<()>>::new(&ended, false);
                    panic!("caught");
                }));
                assert!(caught.is_err());
                ended
            });
            assert_eq!(fails.join().expect("no panic").load(Relaxed), 6);
        });
    }
}
