//! A spare M holds the only P, and its goroutine yields for ever, while the resident M sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gosched::{Mode, Runtime, chan, yield_now};
use test_support::{migratory, settled};

const LIMIT: Duration = Duration::from_secs(1);

/// Prepares what is started or woken at the end, which sets the flag.
type OneMore = fn(&Runtime, Arc<AtomicBool>) -> Box<dyn FnOnce()>;

/// What `one_more` starts or wakes must end the goroutine that yields, by the flag. The state is
/// made anew each time, since the resident M may still be on its way to sleep.
fn ends(mode: Mode, one_more: OneMore) {
    for _ in 0..20 {
        let rt = Runtime::builder(mode).procs(1).build().expect("a runtime is built");
        let (flag, yields) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let last = one_more(&rt, flag.clone());
        let (blocks, is_blocked) = mpsc::channel();
        let (unblock, until_unblocked) = mpsc::channel::<()>();
        let resident = rt.handle().go(move || {
            blocks.send(()).expect("it is awaited");
            until_unblocked.recv().expect("it is unblocked");
        });
        is_blocked.recv().expect("it blocks its thread");
        let (until, running) = (flag.clone(), yields.clone());
        let hog = rt.handle().go(move || {
            while !until.load(SeqCst) {
                running.store(true, SeqCst);
                yield_now();
            }
        });
        // Sysmon takes the P of the blocked M; the goroutine that yields begins on a spare M.
        while !yields.load(SeqCst) {
            std::thread::yield_now();
        }
        unblock.send(()).expect("it waits");
        resident.join().expect("no panic");
        last();
        let began = Instant::now();
        while !hog.is_finished() {
            if began.elapsed() > LIMIT {
                flag.store(true, SeqCst);
                panic!("{mode:?}: nobody ran it in {LIMIT:?}: {:?}", rt.handle().stats());
            }
            std::thread::yield_now();
        }
    }
}

fn a_new_one(rt: &Runtime, flag: Arc<AtomicBool>) -> Box<dyn FnOnce()> {
    let handle = rt.handle();
    Box::new(move || drop(handle.go(move || flag.store(true, SeqCst))))
}

fn a_woken_one(rt: &Runtime, flag: Arc<AtomicBool>) -> Box<dyn FnOnce()> {
    let (tx, rx) = chan::bounded(1);
    let (waits, is_waiting) = mpsc::channel();
    drop(rt.handle().go(move || {
        waits.send(()).expect("it is awaited");
        rx.recv().expect("it is sent");
        flag.store(true, SeqCst);
    }));
    is_waiting.recv().expect("it begins");
    Box::new(move || tx.send(()).expect("it is received"))
}

#[test]
fn a_new_goroutine_begins_settled() {
    ends(settled(), a_new_one);
}

#[test]
fn a_new_goroutine_begins_migratory() {
    ends(migratory(), a_new_one);
}

#[test]
fn a_woken_goroutine_goes_on_settled() {
    ends(settled(), a_woken_one);
}

#[test]
fn a_woken_goroutine_goes_on_migratory() {
    ends(migratory(), a_woken_one);
}
