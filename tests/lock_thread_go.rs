//! Go's tests of `LockOSThread` (`runtime/proc_test.go`, `testprog/lockosthread.go`), in the
//! settled and in the migratory mode, on lent and on other threads. The names are Go's.
//!
//! # Safety
//!
//! `unshare` and `pthread_sigmask` change the calling thread; no memory is involved.
#![expect(unsafe_code, reason = "calls unshare, gettid")]

use std::env;
use std::mem;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use gosched::{Mode, Runtime, chan, go, lock_thread, select, time, try_lock_thread, yield_now};
use test_support::{in_child, migratory, settled};

/// A time limit for what takes milliseconds.
const LONG: Duration = Duration::from_secs(30);

fn here() -> ThreadId {
    thread::current().id()
}

/// Runs `body` in each mode, with 1, 2 and 4 Ps, as the root on a lent thread and as a goroutine on
/// a thread of the runtime.
fn each(body: fn(Mode)) {
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4] {
            for root in [false, true] {
                let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
                let (done, is_done) = mpsc::channel();
                let run = move || {
                    body(mode);
                    done.send(()).expect("the test waits");
                };
                let case = format!("{mode:?}, {procs} Ps, root: {root}");
                let lent = thread::spawn(move || {
                    if root {
                        rt.run(run);
                    } else {
                        rt.handle().go(run).join().expect("no panic");
                    }
                    rt.shutdown(LONG).expect("all have ended");
                });
                assert_eq!(is_done.recv_timeout(LONG), Ok(()), "{case}");
                lent.join().expect("no panic");
            }
        }
    }
}

#[test]
fn block_locked() {
    each(|_| {
        let (tx, rx) = chan::bounded(0);
        go(move || {
            let _locked = lock_thread();
            (0..10).for_each(|n| tx.send(n).expect("it is received"));
        });
        (0..10).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
    });
}

fn yield_progress(locks: bool) {
    let (tx, rx) = chan::bounded(0);
    let (seen, is_seen) = chan::bounded(0);
    go(move || {
        let _locked = locks.then(lock_thread);
        loop {
            select! {
                recv(rx) -> got => {
                    got.expect("sent");
                    return seen.send(true).expect("it is received");
                }
                default => yield_now(),
            }
        }
    });
    time::sleep(Duration::from_millis(10));
    tx.send(()).expect("it is received");
    assert_eq!(is_seen.recv(), Ok(true));
}

#[test]
fn yield_progress_and_yield_locked_progress() {
    each(|_| yield_progress(false));
    each(|_| yield_progress(true));
}

#[test]
fn yield_locked() {
    each(|_| {
        let (tx, rx) = chan::bounded(0);
        go(move || {
            let locked = lock_thread();
            for _ in 0..10 {
                yield_now();
                time::sleep(Duration::from_millis(1));
            }
            tx.send(()).expect("it is received");
            // Go's test leaves the unlock out, too.
            mem::forget(locked);
        });
        assert_eq!(rx.recv(), Ok(()));
    });
}

#[test]
fn lock_os_thread_nesting() {
    each(|_| {
        let nests = go(|| {
            let thread = here();
            let (outer, inner) = (lock_thread(), lock_thread());
            let stays = || {
                (0..100).for_each(|_| yield_now());
                time::sleep(Duration::from_millis(1));
                assert_eq!(here(), thread);
                // What is made now begins elsewhere.
                assert_ne!(go(here).join().expect("no panic"), thread);
            };
            stays();
            drop(outer);
            stays();
            drop(inner);
            let again = lock_thread();
            drop(again);
        });
        nests.join().expect("no panic");
    });
}

fn thread_number() -> i64 {
    // SAFETY: no precondition.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

fn is_there(thread: i64) -> bool {
    Path::new(&format!("/proc/self/task/{thread}")).exists()
}

/// `LockOSThreadAlt`: the thread of a goroutine that ends locked ends. The maker is locked, too.
#[test]
fn lock_os_thread_exit() {
    each(|_| {
        let locked = lock_thread();
        let (tx, rx) = chan::bounded(1);
        go(move || {
            mem::forget(lock_thread());
            tx.send(thread_number()).expect("it is received");
        });
        let thread = rx.recv().expect("sent");
        assert_ne!(thread, thread_number());
        drop(locked);
        let ended = (0..3_000).any(|_| {
            time::sleep(Duration::from_millis(1));
            !is_there(thread)
        });
        assert!(ended, "its thread is still there");
    });
}

/// What a locked goroutine, also the root, does to its thread reaches no other.
#[test]
fn lock_os_thread_avoids_state_propagation() {
    if let Some(output) = in_child("lock_os_thread_avoids_state_propagation") {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    env::set_current_dir("/").expect("it is there");
    each(|_| {
        let locked = lock_thread();
        // SAFETY: no precondition.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0);
        env::set_current_dir("/usr").expect("it is there");
        let others: Vec<_> = (0..5)
            .map(|_| {
                go(|| {
                    let _locked = lock_thread();
                    let directory = env::current_dir().expect("there is one");
                    // It keeps its thread, so the next one gets another.
                    time::sleep(Duration::from_millis(5));
                    directory
                })
            })
            .collect();
        for other in others {
            assert_eq!(other.join().expect("no panic"), Path::new("/"));
        }
        mem::forget(locked);
    });
}

/// Goroutines that lock their threads at the same time each have threads made for what they start.
#[test]
fn lock_os_thread_template_thread_race() {
    each(|_| {
        let all: Vec<_> = (0..40)
            .map(|_| {
                go(|| {
                    let locked = lock_thread();
                    go(|| {}).join().expect("no panic");
                    drop(locked);
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().expect("no panic"));
    });
}

/// Goroutines lock the thread that lends itself before its root has begun. The root begins there
/// all the same: its closure need not be `Send`.
#[test]
fn a_root_begins_on_its_own_thread_whoever_locks_it() {
    for procs in [1, 2] {
        let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
        for _ in 0..300 {
            let (tx, rx) = chan::unbounded();
            rt.handle().go(move || {
                for _ in 0..6 {
                    let tx = tx.clone();
                    go(move || {
                        let _lock = try_lock_thread();
                        yield_now();
                        tx.send(()).expect("a root listens");
                    });
                }
            });
            for _ in 0..6 {
                let (lent, rx) = (thread::current().id(), rx.clone());
                rt.run(move || {
                    assert_eq!(thread::current().id(), lent, "it lent itself");
                    rx.recv().expect("all are sent");
                });
            }
        }
    }
}
