//! `lock_thread`: the goroutine keeps its thread, on which nothing new begins. If it ends locked,
//! the thread ends, too.

use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use gosched::chan::{self, Sender};
use gosched::{
    JoinHandle, Mode, Runtime, ThreadLock, blocking, go, goroutine, lock_thread, time,
    try_lock_thread, yield_now,
};
use test_support::{each_procs, in_child, migratory, settled, without_memory_for_threads};

/// A time limit for events that happen at once.
const LONG: Duration = Duration::from_secs(30);

fn runtime(mode: Mode, procs: usize) -> Runtime {
    Runtime::builder(mode).procs(procs).build().expect("a runtime")
}

fn here() -> ThreadId {
    thread::current().id()
}

/// Runs `f` as a goroutine on a thread of the runtime.
fn on_its_own<T: Send + 'static>(rt: &Runtime, f: impl FnOnce() -> T + Send + 'static) -> T {
    rt.handle().go(f).join().expect("no panic")
}

/// A goroutine settled on the calling goroutine's thread. Once its gate is opened, it notes that it
/// ran, and where.
struct Sibling {
    ran: Arc<AtomicBool>,
    gate: Sender<()>,
    handle: JoinHandle<ThreadId>,
}

impl Sibling {
    fn new() -> Self {
        loop {
            let (gate, opened) = chan::bounded(1);
            let (report, reported) = chan::bounded(1);
            let ran = Arc::new(AtomicBool::new(false));
            let note = Arc::clone(&ran);
            let handle = go(move || {
                report.send(here()).expect("it is awaited");
                let _elsewhere = opened.recv();
                note.store(true, Relaxed);
                here()
            });
            // A goroutine that started elsewhere sees its gate dropped and ends.
            if reported.recv() == Ok(here()) {
                return Self { ran, gate, handle };
            }
        }
    }

    /// Makes it ready.
    fn open(&self) {
        self.gate.send(()).expect("it waits");
    }

    fn ran(&self) -> bool {
        self.ran.load(Relaxed)
    }
}

#[test]
fn siblings_run_while_a_locked_goroutine_waits_and_others_run_elsewhere() {
    each_procs(settled(), |rt| {
        on_its_own(rt, || {
            let sibling = Sibling::new();
            let locked = lock_thread();
            let (tx, rx) = chan::bounded(0);
            let other = go(move || {
                (0..100).for_each(|_| yield_now());
                tx.send(()).expect("it is awaited");
                here()
            });
            assert!(!sibling.ran());
            sibling.open();
            assert!(!sibling.ran(), "only a wait lets it run");
            assert_eq!(sibling.handle.join().expect("no panic"), here());
            rx.recv().expect("sent");
            assert_ne!(other.join().expect("no panic"), here());
            drop(locked);
        });
    });
}

#[test]
fn locks_nest_and_nothing_begins_here_before_the_last_is_gone() {
    each_procs(settled(), |rt| {
        on_its_own(rt, || {
            let sibling = Sibling::new();
            let (outer, inner) = (lock_thread(), lock_thread());
            let begin_elsewhere = || {
                let new: Vec<_> = (0..20).map(|_| go(here)).collect();
                (0..100).for_each(|_| yield_now());
                new.into_iter().all(|one| one.join().expect("no panic") != here())
            };
            assert!(begin_elsewhere());
            drop(outer);
            assert!(begin_elsewhere(), "one is left");
            drop(inner);
            sibling.open();
            sibling.handle.join().expect("no panic");
            // It may take new ones again: one of them begins here.
            while go(here).join().expect("no panic") != here() {}
        });
    });
}

/// A goroutine that is to begin beside one on a locked thread begins elsewhere, whether it was made
/// before the lock or after it.
#[test]
fn no_newcomer_waits_behind_a_lock() {
    each_procs(settled(), |rt| {
        on_its_own(rt, || {
            let (gate, opened) = chan::bounded::<()>(0);
            let host = go(move || {
                let _closed = opened.recv();
            });
            let beside = || goroutine::Builder::new().with(&host).go(here);
            // The host begins here, as far as it can be seen: it is the only one.
            (0..100).for_each(|_| yield_now());
            let before = beside();
            let locked = lock_thread();
            let after = beside();
            time::sleep(Duration::from_millis(1));
            let threads = [before, after].map(|new| new.join().expect("no panic"));
            drop(locked);
            drop(gate);
            host.join().expect("no panic");
            threads
        });
    });
}

/// The only P, when it is with a locked thread whose goroutines never run dry.
#[test]
fn what_may_not_begin_on_a_busy_locked_thread_begins_elsewhere() {
    for mode in [settled(), migratory()] {
        let rt = runtime(mode, 1);
        let (tx, told) = mpsc::channel();
        let lent = thread::spawn(move || {
            rt.run(|| {
                let stop = Arc::new(AtomicBool::new(false));
                let (theirs, set) = (stop.clone(), stop.clone());
                let (locked, is_locked) = chan::bounded(0);
                // It has the root as its sibling, or is on a thread of its own.
                let busy = go(move || {
                    let _locked = lock_thread();
                    locked.send(()).expect("it is awaited");
                    while !theirs.load(Relaxed) {
                        yield_now();
                    }
                });
                is_locked.recv().expect("sent");
                go(move || set.store(true, Relaxed));
                while !stop.load(Relaxed) {
                    yield_now();
                }
                busy.join().expect("no panic");
            });
            tx.send(()).expect("the test waits");
        });
        assert_eq!(told.recv_timeout(LONG), Ok(()), "{mode:?}");
        lent.join().expect("no panic");
    }
}

#[test]
fn without_a_thread_for_others_the_lock_is_an_error() {
    for mode in [settled(), migratory()] {
        for most in [1, 2, 4] {
            let rt = Runtime::builder(mode).procs(1).max_threads(most).build().expect("a runtime");
            let (stop, stopped) = chan::bounded::<()>(0);
            let holders: Vec<_> = (1..most)
                .map(|_| {
                    let (stopped, (tx, rx)) = (stopped.clone(), chan::bounded(0));
                    let holder = rt.handle().go(move || {
                        let _locked = lock_thread();
                        tx.send(()).expect("it is awaited");
                        let _closed = stopped.recv();
                    });
                    rx.recv().expect("it has the lock");
                    holder
                })
                .collect();
            let refused = on_its_own(&rt, || {
                let refused = try_lock_thread().map(drop).expect_err("it would be the last");
                assert_eq!(go(|| 7).join().expect("no panic"), 7, "nothing is left of it");
                refused
            });
            assert_eq!(refused.kind(), std::io::ErrorKind::QuotaExceeded);
            let payload = rt.handle().go(|| drop(lock_thread())).join().expect_err("it panics");
            let text = payload.downcast_ref::<String>().expect("a text");
            assert!(text.contains("max_threads"), "{text}");
            // A lent thread does not count.
            rt.run(|| drop(lock_thread()));
            drop(stop);
            holders.into_iter().for_each(|holder| holder.join().expect("no panic"));
            if most > 1 {
                on_its_own(&rt, || drop(try_lock_thread().expect("the others are gone")));
            }
        }
    }
}

#[test]
fn others_run_while_a_locked_goroutine_yields() {
    for procs in [1, 2, 4, 8] {
        let rt = runtime(settled(), procs as usize);
        on_its_own(&rt, move || {
            let _locked = lock_thread();
            let began = Arc::new(AtomicU32::new(0));
            // As many as there are Ps. None of them suspends before all have begun.
            let others: Vec<_> = (0..procs)
                .map(|_| Arc::clone(&began))
                .map(|began| {
                    go(move || {
                        began.fetch_add(1, Relaxed);
                        while began.load(Relaxed) < procs {
                            thread::yield_now();
                        }
                        here()
                    })
                })
                .collect();
            while began.load(Relaxed) < procs {
                yield_now();
            }
            for other in others {
                assert_ne!(other.join().expect("no panic"), here());
            }
        });
    }
}

#[test]
fn a_migratory_goroutine_stays_on_its_thread() {
    thread_local! { static MINE: Cell<u32> = const { Cell::new(0) } }
    each_procs(migratory(), |rt| {
        on_its_own(rt, || {
            let (requests, answers) = (chan::bounded(0), chan::bounded(0));
            let (asked, answer) = (requests.1, answers.0);
            let echo =
                go(move || asked.iter().for_each(|n: u32| answer.send(n).expect("it is awaited")));
            // Migratory goroutines, which would use the thread if they could.
            let crowd: Vec<_> = (0..8).map(|_| go(|| (0..500).for_each(|_| yield_now()))).collect();
            let locked = lock_thread();
            let thread = here();
            MINE.set(0);
            for n in 0..500 {
                requests.0.send(n).expect("it is received");
                assert_eq!(answers.1.recv(), Ok(n));
                yield_now();
                blocking(|| MINE.set(MINE.get() + 1));
                assert_eq!((here(), MINE.get()), (thread, n + 1));
            }
            drop((locked, requests.0));
            echo.join().expect("no panic");
            crowd.into_iter().for_each(|other| other.join().expect("no panic"));
        });
    });
}

/// Sends when its thread ends.
struct AtThreadEnd(mpsc::Sender<ThreadId>);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        let _the_test_is_over = self.0.send(here());
    }
}

thread_local! {
    static AT_END: RefCell<Option<AtThreadEnd>> = const { RefCell::new(None) };
    static KEPT: RefCell<Option<ThreadLock>> = const { RefCell::new(None) };
}

#[test]
fn a_goroutine_that_ends_locked_takes_its_thread_along() {
    for mode in [settled(), migratory()] {
        each_procs(mode, |rt| {
            let (tx, ended) = mpsc::channel();
            let thread = on_its_own(rt, move || {
                AT_END.set(Some(AtThreadEnd(tx)));
                mem::forget(lock_thread());
                here()
            });
            assert_eq!(ended.recv_timeout(LONG), Ok(thread), "{mode:?}");
            let others: Vec<_> = (0..20).map(|_| rt.handle().go(here)).collect();
            others
                .into_iter()
                .for_each(|other| assert_ne!(other.join().expect("no panic"), thread));
        });
    }
}

#[test]
fn a_thread_that_ends_runs_its_siblings_to_their_end_and_starts_nothing() {
    for procs in [1, 2, 4, 8] {
        // Each that ends leaves room for another: this runtime may have one beside it.
        let rt =
            Runtime::builder(settled()).procs(procs).max_threads(2).build().expect("a runtime");
        let (tx, ended) = mpsc::channel();
        let (thread, sibling) = on_its_own(&rt, move || {
            AT_END.set(Some(AtThreadEnd(tx)));
            let sibling = Sibling::new();
            mem::forget(lock_thread());
            (here(), sibling)
        });
        for _ in 0..20 {
            assert_ne!(on_its_own(&rt, here), thread);
        }
        assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty), "the sibling lives there");
        sibling.open();
        assert_eq!(sibling.handle.join().expect("no panic"), thread);
        assert_eq!(ended.recv_timeout(LONG), Ok(thread));
        assert_ne!(on_its_own(&rt, here), thread);
    }
}

#[test]
fn a_thread_that_has_lent_itself_goes_on() {
    let rt = runtime(settled(), 1);
    for _ in 0..3 {
        let sibling = rt.run(|| {
            let sibling = Sibling::new();
            mem::forget(lock_thread());
            sibling.open();
            sibling.handle
        });
        assert_eq!(sibling.join().expect("no panic"), here());
    }
}

#[test]
fn where_a_goroutine_is_its_thread_there_is_nothing_to_lock() {
    mem::forget(lock_thread());
    let rt = runtime(Mode::threads(), 1);
    on_its_own(&rt, || mem::forget(lock_thread()));
    let rt = runtime(settled(), 1);
    on_its_own(&rt, || blocking(|| mem::forget(lock_thread())));
    // A helper that had ended would have taken the mailbox of this one with it.
    assert_eq!(on_its_own(&rt, || blocking(|| 7)), 7);
}

/// A value that an ended goroutine left in a thread-local unlocks no other goroutine.
#[test]
fn a_lock_that_another_goroutine_drops_is_not_its_own() {
    let rt = runtime(settled(), 1);
    rt.run(|| {
        go(|| KEPT.set(Some(lock_thread()))).join().expect("no panic");
        let locked = lock_thread();
        KEPT.set(None);
        let new: Vec<_> = (0..20).map(|_| go(here)).collect();
        (0..100).for_each(|_| yield_now());
        assert!(new.into_iter().all(|new| new.join().expect("no panic") != here()));
        drop(locked);
    });
}

#[test]
fn a_goroutine_that_lost_its_processor_may_lock() {
    for mode in [settled(), migratory()] {
        let rt = runtime(mode, 1);
        on_its_own(&rt, || {
            let ran = Arc::new(AtomicBool::new(false));
            let note = Arc::clone(&ran);
            let (tx, rx) = chan::bounded(0);
            let other = go(move || {
                note.store(true, Relaxed);
                tx.send(here()).expect("it is awaited");
            });
            // Until another M has the only P.
            while !ran.load(Relaxed) {
                std::hint::spin_loop();
            }
            let locked = lock_thread();
            assert_ne!(rx.recv(), Ok(here()));
            yield_now();
            drop(locked);
            other.join().expect("no panic");
            assert_eq!(go(|| 7).join().expect("no panic"), 7);
        });
    }
}

#[test]
fn without_another_thread_it_is_kept() {
    if let Some(output) = in_child("without_another_thread_it_is_kept") {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let rt = runtime(settled(), 1);
    on_its_own(&rt, || {
        let ran = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&ran);
        go(move || note.store(true, Relaxed));
        // Until the only P was revoked: all threads that this runtime needs exist.
        while !ran.load(Relaxed) {
            std::hint::spin_loop();
        }
    });
    let (tx, ended) = mpsc::channel();
    without_memory_for_threads(1 << 20, || {
        on_its_own(&rt, move || {
            AT_END.set(Some(AtThreadEnd(tx)));
            mem::forget(lock_thread());
        });
        for n in 0..100 {
            assert_eq!(on_its_own(&rt, move || n), n);
        }
        assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty), "its thread goes on");
    });
}
