//! Scopes whose goroutines fail together: the first error in time is returned, and nothing is left.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use gosched::callback::{Binding, Bridge};
use gosched::cancel::Token;
use gosched::chan::{self, Receiver};
use gosched::future::block_on;
use gosched::{TryScope, go, scope_try, time, yield_now};
use test_support::each_mode;

/// Nothing comes from it as long as the first is there.
fn never() -> (chan::Sender<()>, Receiver<()>) {
    chan::bounded(0)
}

#[test]
fn results_come_back_and_goroutines_borrow() {
    each_mode(|rt, _| {
        let words = ["far", "and", "wide"].map(String::from);
        let mut longest = 0;
        let letters = rt.run(|| {
            scope_try(|s| {
                let longest = &mut longest;
                s.go(|| {
                    *longest = words.iter().map(String::len).max().ok_or("no words")?;
                    Ok(())
                });
                let parts: Vec<_> = words.iter().map(|word| s.go(|| Ok(word.len()))).collect();
                Ok::<usize, &str>(parts.into_iter().map(|part| part.join()).sum())
            })
        });
        assert_eq!(letters, Ok(10));
        assert_eq!(longest, 4);
    });
}

#[test]
fn the_first_error_in_time_is_returned_and_ends_the_rest() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (_tx, rx) = never();
            let unwound = AtomicUsize::new(0);
            let failed: Result<(), String> = scope_try(|s| {
                let (begun, has_begun) = chan::bounded(0);
                for n in 0..4 {
                    let (begun, rx, unwound) = (begun.clone(), &rx, &unwound);
                    s.go(move || {
                        begun.send(()).expect("awaited");
                        // Each fails, too, but later.
                        let outcome = catch_unwind(AssertUnwindSafe(|| rx.recv()));
                        unwound.fetch_add(1, Relaxed);
                        assert!(outcome.is_err(), "nothing is sent");
                        Err::<(), _>(format!("the error of {n}, which comes late"))
                    });
                }
                (0..4).for_each(|_| has_begun.recv().expect("they begin"));
                s.go(|| Err::<(), _>(String::from("the first")));
                // So does the closure's wait end.
                rx.recv().expect_err("nothing is sent");
                unreachable!("it was cancelled")
            });
            assert_eq!((failed, unwound.load(Relaxed)), (Err(String::from("the first")), 4));
        });
    });
}

#[test]
fn the_closures_error_ends_the_rest() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (_tx, rx) = never();
            let failed: Result<(), u8> = scope_try(|s| {
                (0..3).for_each(|_| _ = s.go(|| Ok(rx.recv())));
                Err(7)
            });
            assert_eq!(failed, Err(7));
        });
    });
}

#[test]
fn panics_travel_and_come_before_errors() {
    each_mode(|rt, _| {
        rt.run(|| {
            for fails_first in [false, true] {
                let (_tx, rx) = never();
                let scoped = catch_unwind(AssertUnwindSafe(|| {
                    scope_try(|s| {
                        let (begun, has_begun) = chan::bounded(0);
                        let rx = &rx;
                        let panics = s.go(move || -> Result<u8, _> {
                            begun.send(()).expect("awaited");
                            if fails_first {
                                let cancelled = catch_unwind(AssertUnwindSafe(|| rx.recv()));
                                assert!(cancelled.is_err(), "nothing is sent");
                            }
                            resume_unwind(Box::new("the payload"))
                        });
                        has_begun.recv().expect("it begins");
                        if fails_first {
                            s.go(|| Err::<(), _>("an error"));
                        }
                        // Unwinds to the end of the scope.
                        Ok(panics.join())
                    })
                }));
                let payload = scoped.expect_err("it panics").downcast::<&str>();
                assert_eq!(*payload.expect("of the goroutine"), "the payload");
            }
            let (_tx, rx) = never();
            let scoped = catch_unwind(AssertUnwindSafe(|| {
                scope_try(|s: &TryScope<'_, '_, u8>| -> Result<(), u8> {
                    s.go(|| Ok(rx.recv()));
                    resume_unwind(Box::new("of the closure"))
                })
            }));
            assert!(scoped.expect_err("it panics").is::<&str>());
        });
    });
}

#[test]
fn an_error_may_borrow() {
    each_mode(|rt, _| {
        rt.run(|| {
            let words = ["far", "", "wide"].map(String::from);
            let texts = String::from("an empty word");
            let failed = scope_try(|s| {
                for word in &words {
                    s.go(|| if word.is_empty() { Err(texts.as_str()) } else { Ok(()) });
                }
                Ok(())
            });
            assert_eq!(failed, Err("an empty word"));
        });
    });
}

#[test]
fn a_cancel_of_the_caller_cancels_the_goroutines() {
    each_mode(|rt, _| {
        rt.run(|| {
            for waits_inside in [true, false] {
                let (_tx, rx) = never();
                let (begun, has_begun) = chan::bounded(0);
                let token = Token::new();
                let theirs = token.clone();
                let caller = go(move || {
                    let outcome = theirs.run(|| {
                        scope_try(|s| {
                            s.go(|| {
                                begun.send(()).expect("awaited");
                                Ok(rx.recv())
                            });
                            if waits_inside {
                                let _never = rx.recv();
                            }
                            Ok::<(), ()>(())
                        })
                    });
                    outcome.is_err()
                });
                has_begun.recv().expect("it begins");
                token.cancel();
                assert!(caller.join().expect("no panic"), "it was cancelled");
            }
        });
    });
}

#[test]
fn every_way_to_join_gives_the_result_or_ends_the_scope() {
    fn fails(way: usize) -> Result<u8, &'static str> {
        scope_try(|s| {
            let (begun, has_begun) = chan::bounded(1);
            let child = s.go(move || {
                begun.send(()).expect("awaited");
                Err::<u8, _>("failed")
            });
            let _cancelled = has_begun.recv();
            let minute = Duration::from_secs(60);
            Ok(match way {
                0 => child.join(),
                1 => child.join_timeout(minute).expect("in time"),
                2 => child.join_deadline(std::time::Instant::now() + minute).expect("in time"),
                3 => block_on(child),
                _ => {
                    let mut child = child;
                    loop {
                        match child.try_join() {
                            Ok(value) => break value,
                            Err(handle) => child = handle,
                        }
                    }
                }
            })
        })
    }
    each_mode(|rt, _| {
        rt.run(|| (0..5).for_each(|way| assert_eq!(fails(way), Err("failed"), "way {way}")));
        let from_outside = rt.handle().scope_try(|s| {
            let one = s.go(|| Ok(1));
            let failed = s.go(|| Err::<u8, _>("seen by a plain thread"));
            Ok(one.join() + failed.join())
        });
        assert_eq!(from_outside, Err("seen by a plain thread"));
    });
}

#[test]
fn no_more_run_than_the_limit_says() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let done = scope_try(|s| {
                s.set_limit(3);
                let parts: Vec<_> = (0..40)
                    .map(|n| {
                        let (running, most) = (&running, &most);
                        s.go(move || {
                            most.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
                            yield_now();
                            running.fetch_sub(1, Relaxed);
                            Ok::<_, ()>(n)
                        })
                    })
                    .collect();
                Ok(parts.into_iter().map(|part| part.join()).sum::<usize>())
            });
            assert_eq!(done, Ok(780));
            assert!(most.load(Relaxed) <= 3, "{most:?}");
        });
    });
}

#[test]
fn who_waits_for_a_place_is_ended_by_the_first_error() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = never();
            let failed = scope_try(|s| {
                s.set_limit(1);
                s.go(|| {
                    let waited = rx.recv();
                    waited.map_err(|_| "nobody sends")
                });
                assert!(s.try_go(|| Ok(())).is_err(), "there is no place");
                drop(tx);
                s.go(|| Ok(()));
                s.go(|| Ok(()));
                Ok(())
            });
            assert_eq!(failed, Err("nobody sends"));
        });
    });
}

#[test]
fn callbacks_have_scopes_and_goroutines_add_to_them() {
    each_mode(|rt, _| {
        let bridge = Bridge::new(rt).with_binding(Binding::PerCall);
        let failed = thread::spawn(move || {
            let outcome = bridge.enter(|| {
                let (_tx, rx) = never();
                scope_try(|s| {
                    s.go(|| {
                        s.go(|| Err::<(), _>("a grandchild"));
                        Ok(rx.recv())
                    });
                    time::sleep(Duration::MAX);
                    Ok(())
                })
            });
            outcome.expect("no panic")
        });
        assert_eq!(failed.join().expect("no panic"), Err("a grandchild"));
    });
}
