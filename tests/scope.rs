//! Scopes: goroutines that borrow. They are waited for whatever happens.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use gosched::callback::{Binding, Bridge};
use gosched::chan::{self, Receiver};
use gosched::{CancelScope, Cancelled, go, scope, yield_now};
use test_support::each_mode;

#[test]
fn goroutines_borrow() {
    each_mode(|rt, _| {
        let words: Vec<usize> = (0..64).collect();
        let mut lengths = vec![0; 64];
        let sum: usize = rt.run(|| {
            scope(|s| {
                for (length, word) in lengths.iter_mut().zip(&words) {
                    s.go(move || {
                        yield_now();
                        *length = word + 1;
                    });
                }
                let handles: Vec<_> = words.iter().map(|word| s.go(move || *word)).collect();
                handles.into_iter().map(|handle| handle.join().unwrap()).sum()
            })
        });
        assert_eq!(sum, 63 * 32);
        assert!(lengths.iter().zip(&words).all(|(length, word)| *length == word + 1));
    });
}

#[test]
fn scopes_nest_and_their_goroutines_make_more() {
    each_mode(|rt, _| {
        let done = AtomicUsize::new(0);
        rt.run(|| {
            scope(|outer| {
                for _ in 0..4 {
                    outer.go(|| {
                        scope(|inner| {
                            for _ in 0..4 {
                                inner.go(|| {
                                    yield_now();
                                    done.fetch_add(1, Relaxed);
                                });
                            }
                        });
                        // The goroutines of the inner scope have ended; this one belongs to the
                        // outer scope.
                        outer.go(|| done.fetch_add(100, Relaxed));
                    });
                }
            });
            assert_eq!(done.load(Relaxed), 416);
        });
    });
}

#[test]
fn a_panic_in_the_closure_waits_for_the_goroutines() {
    each_mode(|rt, _| {
        let (tx, rx) = chan::bounded(0);
        let ended = AtomicBool::new(false);
        let payload = rt.run(|| {
            let payload = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    s.go(|| {
                        // Needs the thread that it may share with the goroutine that panics.
                        yield_now();
                        rx.recv().expect("sent");
                        ended.store(true, Relaxed);
                    });
                    s.go(|| tx.send(1).expect("received"));
                    yield_now();
                    resume_unwind(Box::new(5_u8));
                });
            }));
            assert!(ended.load(Relaxed), "the scope was left before");
            payload.expect_err("it panicked")
        });
        assert_eq!(*payload.downcast::<u8>().expect("its own payload"), 5);
    });
}

#[test]
fn a_cancel_waits_for_the_goroutines_and_stays_pending() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded::<u32>(0);
            let (begun, has_begun) = chan::bounded(1);
            let log = Arc::new(AtomicUsize::new(0));
            let theirs = log.clone();
            let parent = go(move || {
                let mut got = 0;
                scope(|s| {
                    s.go(|| got = rx.recv().expect("sent"));
                    begun.send(()).expect("awaited");
                });
                theirs.fetch_add(got as usize, Relaxed);
                yield_now();
                theirs.fetch_add(100, Relaxed);
            });
            has_begun.recv().expect("it begins");
            parent.cancel();
            tx.send(7).expect("the child is not cancelled with its parent");
            let payload = parent.join().expect_err("cancelled at its next wait");
            assert_eq!(
                payload.downcast::<Cancelled>().expect("cancelled").scope,
                CancelScope::Goroutine
            );
            assert!([0, 7].contains(&log.load(Relaxed)), "it went on after a wait");
        });
    });
}

#[test]
fn a_cancel_of_a_child_is_no_panic_of_the_scope() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (_tx, rx) = chan::bounded::<u32>(0);
            scope(|s| {
                let waits = s.go(|| rx.recv());
                waits.cancel();
                let joined = s.go(|| rx.recv());
                joined.cancel();
                joined.join().expect_err("cancelled");
            });
        });
    });
}

#[test]
fn a_panic_of_a_child_is_the_scopes_unless_it_is_joined() {
    each_mode(|rt, _| {
        rt.run(|| {
            let boom = || -> u8 { resume_unwind(Box::new(3_u8)) };
            let joined = scope(|s| s.go(boom).join()).expect_err("it panicked");
            assert_eq!(*joined.downcast::<u8>().expect("its own payload"), 3);
            // Dropped at once, and dropped after it has ended.
            catch_unwind(|| {
                scope(|s| {
                    s.go(boom);
                });
            })
            .expect_err("a child panicked");
            catch_unwind(|| {
                scope(|s| {
                    let handle = s.go(boom);
                    while !handle.is_finished() {
                        yield_now();
                    }
                });
            })
            .expect_err("a child panicked");
        });
    });
}

/// Notes whether it is dropped before its scope is over.
struct InTime<'a>(&'a AtomicBool, &'a AtomicUsize);

impl Drop for InTime<'_> {
    fn drop(&mut self) {
        // Would end the scope, if it could.
        yield_now();
        assert!(!self.0.load(Relaxed), "its scope was over");
        self.1.fetch_add(1, Relaxed);
    }
}

#[test]
fn closures_and_results_are_dropped_before_the_scope_is_over() {
    each_mode(|rt, _| {
        let (over, drops) = (AtomicBool::new(false), AtomicUsize::new(0));
        rt.run(|| {
            scope(|s| {
                for _ in 0..8 {
                    let captured = InTime(&over, &drops);
                    s.go(|| {
                        drop(captured);
                        InTime(&over, &drops)
                    });
                    let never_run = InTime(&over, &drops);
                    let unstarted = s.go(|| {
                        let _captured = never_run;
                        InTime(&over, &drops)
                    });
                    unstarted.cancel();
                }
            });
            over.store(true, Relaxed);
        });
        assert!(drops.load(Relaxed) >= 24, "something was not dropped");
    });
}

#[test]
fn forgetting_handles_changes_nothing() {
    each_mode(|rt, _| {
        let value = AtomicUsize::new(0);
        rt.run(|| {
            scope(|s| {
                for _ in 0..8 {
                    mem::forget(s.go(|| {
                        yield_now();
                        value.fetch_add(1, Relaxed)
                    }));
                    let mut polled = s.go(|| value.fetch_add(1, Relaxed));
                    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                    let _ready_or_not = std::pin::Pin::new(&mut polled).poll(&mut cx);
                    mem::forget(polled);
                }
            });
            assert_eq!(value.load(Relaxed), 16);
        });
    });
}

#[test]
fn a_plain_thread_has_scopes_by_a_handle() {
    each_mode(|rt, _| {
        let mut values = [0; 16];
        let longest = rt.handle().scope(|s| {
            for (n, value) in values.iter_mut().enumerate() {
                s.go(move || *value = n);
            }
            s.go(|| 5).join().expect("no panic")
        });
        assert_eq!((longest, values[15]), (5, 15));
    });
}

#[test]
fn a_callback_has_scopes() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        each_mode(|rt, _| {
            let bridge = Bridge::new(rt).with_binding(binding);
            let words = ["far", "and", "wide"];
            let in_callback = |bridge: &Bridge| {
                bridge.enter(|| {
                    scope(|s| {
                        let parts: Vec<_> =
                            words.iter().map(|word| s.go(move || word.len())).collect();
                        parts.into_iter().map(|part| part.join().expect("no panic")).sum::<usize>()
                    })
                })
            };
            std::thread::scope(|threads| {
                let caller = threads.spawn(|| in_callback(&bridge).expect("let in"));
                assert_eq!(caller.join().expect("no panic"), 10);
            });
        });
    }
}

/// Opens a scope while it is dropped.
struct ScopeInDrop<'a>(&'a AtomicUsize);

impl Drop for ScopeInDrop<'_> {
    fn drop(&mut self) {
        scope(|s| {
            for _ in 0..4 {
                s.go(|| self.0.fetch_add(1, Relaxed));
            }
        });
    }
}

#[test]
fn a_scope_may_be_opened_while_panicking() {
    each_mode(|rt, _| {
        let done = AtomicUsize::new(0);
        rt.run(|| {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let _opens = ScopeInDrop(&done);
                resume_unwind(Box::new(()));
            }));
            outcome.expect_err("it panicked");
        });
        assert_eq!(done.load(Relaxed), 4);
    });
}

#[test]
fn a_runtime_that_ends_ends_scopes() {
    each_mode(|rt, _| {
        let (begun, has_begun) = chan::bounded(1);
        let ended = Arc::new(AtomicUsize::new(0));
        let theirs = ended.clone();
        let parent = rt.handle().go(move || {
            let (_tx, never): (_, Receiver<()>) = chan::bounded(0);
            scope(|s| {
                for _ in 0..4 {
                    s.go(|| {
                        let _counts = Counts(&theirs);
                        let _never = never.recv();
                    });
                }
                begun.send(()).expect("awaited");
            });
            theirs.fetch_add(100, Relaxed);
        });
        has_begun.recv().expect("it begins");
        rt.shutdown(gosched::DROP_GRACE)
            .expect("children are cancelled, and the scope with them over");
        parent.join().expect("a scope's wait is not ended by a cancel");
        // Goroutines that had not begun never did.
        assert!((100..=104).contains(&ended.load(Relaxed)));
    });
}

struct Counts<'a>(&'a AtomicUsize);

impl Drop for Counts<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Only a joiner has seen the panic.
#[test]
fn a_forgotten_handle_is_not_joined() {
    each_mode(|rt, _| {
        rt.run(|| {
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| std::mem::forget(s.go(|| std::panic::resume_unwind(Box::new(1)))));
            }));
            unwound.expect_err("nobody has seen the panic");
            scope(|s| {
                let joined = s.go(|| std::panic::resume_unwind(Box::new(2)));
                joined.join().expect_err("it panicked");
                let polled = s.go(|| std::panic::resume_unwind(Box::new(3)));
                gosched::future::block_on(polled).expect_err("it panicked");
            });
        });
    });
}
