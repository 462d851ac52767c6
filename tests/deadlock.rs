//! No goroutine can be woken any more: the runtime reports that or ends, and reports nothing where
//! that is not so.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use gosched::callback::{Binding, Bridge};
use gosched::cancel::Token;
use gosched::chan::{self, Receiver};
use gosched::future::block_on;
use gosched::goroutine::{self, Dump, State};
use gosched::{
    CancelScope, Cancelled, Deadlock, JoinHandle, Mode, Runtime, blocking, go, scope, time,
    yield_now,
};
use test_support::{each_mode, migratory, settled};

/// Runs `body` with a runtime whose goroutines wake each other, and nothing else wakes them.
fn alone(body: impl Fn(&Runtime)) {
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4, 8] {
            let rt = Runtime::builder(mode)
                .procs(procs)
                .deadlock(Deadlock::Panic)
                .build()
                .expect("a runtime");
            body(&rt);
            rt.shutdown(Duration::from_secs(30)).expect("it ends");
        }
    }
}

/// Returns the payload with which `run` panicked.
fn report(rt: &Runtime, f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| rt.run(f))).expect_err("a deadlock");
    // The goroutines elsewhere unwind in their own time.
    rt.shutdown(Duration::from_secs(30)).expect("it ends");
    *payload.downcast::<String>().expect("a report")
}

fn cancelled(payload: Box<dyn Any + Send>) -> Cancelled {
    *payload.downcast::<Cancelled>().expect("cancelled, not panicked")
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Until then it might have ended the wait.
#[test]
fn a_tokens_deadline_that_wakes_nobody_is_followed_by_a_look() {
    alone(|rt| {
        let text = report(rt, || {
            let (_tx, rx) = chan::bounded::<u32>(0);
            let _passes = Token::new().with_timeout(Duration::from_millis(30));
            let _never = rx.recv();
        });
        assert!(text.starts_with("gosched: deadlock, all goroutines wait\n"), "{text}");
    });
}

#[test]
fn run_panics_with_the_list() {
    /// Where three of the goroutines are made.
    const MADE_IN: u32 = line!() + 8;
    alone(|rt| {
        let drops = Arc::new(AtomicUsize::new(0));
        let text = report(rt, || {
            let (_tx, rx) = chan::bounded::<u32>(0);
            for _ in 0..3 {
                let (rx, counted) = (rx.clone(), Counted(drops.clone()));
                const { assert!(MADE_IN == line!() + 1) };
                go(move || {
                    let _counts = counted;
                    rx.recv()
                });
            }
            let me = goroutine::current_id().expect("a goroutine");
            let waits = go(move || {
                yield_now();
                rx.recv()
            });
            let (root, last) = (me, waits.id());
            assert!(root < last);
            let _never = waits.join();
        });
        assert!(text.starts_with("gosched: deadlock, all goroutines wait\n"), "{text}");
        let of_these = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(of_these("goroutine "), 5, "{text}");
        let of_channel =
            format!("waits for a value from a channel, made at {}:{MADE_IN}:", file!());
        assert_eq!(of_these(&of_channel), 3, "{text}");
        assert_eq!(
            of_these("waits for the end of a goroutine, made at tests/deadlock.rs:"),
            1,
            "{text}"
        );
        assert_eq!(drops.load(Relaxed), 3, "the others were cancelled");
    });
}

#[test]
fn goroutines_that_join_each_other_are_told_of_it() {
    alone(|rt| {
        let scopes = Arc::new(std::sync::Mutex::new(Vec::new()));
        let theirs = scopes.clone();
        let text = report(rt, move || {
            let (give, given) = chan::bounded::<JoinHandle<()>>(1);
            let first = go(move || {
                let other = given.recv().expect("sent");
                // Both are cancelled, and the other one may be the first to end.
                let outcome = catch_unwind(AssertUnwindSafe(|| other.join())).unwrap_or_else(Err);
                theirs
                    .lock()
                    .expect("no panic")
                    .push(cancelled(outcome.expect_err("cancelled")).scope);
            });
            let second = go(move || first.join().expect("it caught its own"));
            give.send(second).expect("received");
            let (_tx, rx) = chan::bounded::<()>(0);
            let _never = rx.recv();
        });
        assert_eq!(text.matches("waits for the end of a goroutine").count(), 2, "{text}");
        assert_eq!(*scopes.lock().expect("no panic"), [CancelScope::Deadlock]);
    });
}

#[test]
fn without_a_root_all_are_cancelled() {
    alone(|rt| {
        let drops = Arc::new(AtomicUsize::new(0));
        let theirs = drops.clone();
        let first = rt.handle().go(move || {
            let (_tx, rx) = chan::bounded::<u32>(0);
            for _ in 0..4 {
                let (rx, counted) = (rx.clone(), Counted(theirs.clone()));
                go(move || {
                    let _counts = counted;
                    rx.recv()
                });
            }
            rx.recv()
        });
        assert_eq!(cancelled(first.join().expect_err("cancelled")).scope, CancelScope::Deadlock);
        rt.shutdown(Duration::from_secs(30)).expect("it ends");
        assert_eq!(drops.load(Relaxed), 4);
    });
}

#[test]
fn what_still_comes_is_no_deadlock() {
    alone(|rt| {
        let received = rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            // A timer.
            let (theirs, first) = (tx.clone(), rx.clone());
            go(move || {
                time::sleep(Duration::from_millis(5));
                theirs.send(1).expect("received");
            });
            let first = first.recv().expect("sent");
            // A blocking call.
            let theirs = tx.clone();
            go(move || {
                let value = blocking(|| {
                    thread::sleep(Duration::from_millis(5));
                    2
                });
                theirs.send(value).expect("received");
            });
            let second = rx.recv().expect("sent");
            // A future whose waker a plain thread has.
            let (woken, is_woken) = std::sync::mpsc::channel();
            let waker = thread::spawn(move || {
                let waker: std::task::Waker = is_woken.recv().expect("polled");
                waker.wake();
            });
            let mut polls = 0;
            block_on(std::future::poll_fn(|cx| {
                polls += 1;
                if polls > 1 {
                    return std::task::Poll::Ready(());
                }
                woken.send(cx.waker().clone()).expect("awaited");
                std::task::Poll::Pending
            }));
            waker.join().expect("no panic");
            first + second
        });
        assert_eq!(received, 3);
    });
}

/// Waits, without a limit, until the dump is as expected.
fn until(rt: &Runtime, holds: impl Fn(&Dump) -> bool) {
    while !holds(&rt.dump()) {
        thread::yield_now();
    }
}

fn waits(dump: &Dump, id: u64, what: &'static str) -> bool {
    dump.goroutines.iter().any(|g| g.id == id && g.state == State::Waiting(what))
}

#[test]
fn while_a_bridge_leads_in_there_is_no_deadlock() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        alone(|rt| {
            let bridge = Bridge::new(rt).with_binding(binding);
            let copy = bridge.clone();
            let (tx, rx) = chan::bounded(0);
            let goroutine = rt.handle().go(move || rx.recv());
            let id = goroutine.id();
            drop(bridge);
            thread::scope(|threads| {
                threads.spawn(|| {
                    until(rt, |dump| waits(dump, id, "a value from a channel"));
                    copy.enter(|| tx.send(3).expect("received")).expect("let in");
                });
            });
            assert_eq!(goroutine.join().expect("not cancelled"), Ok(3));
            drop(copy);
            // There is no bridge any more: the next goroutine that waits for ever gets the report.
            report(rt, || {
                let (_tx, rx) = chan::bounded::<()>(0);
                let _never = rx.recv();
            });
        });
    }
}

#[test]
fn who_does_not_promise_is_not_ended() {
    for deadlock in [Deadlock::Report, Deadlock::Ignore] {
        for mode in [settled(), migratory(), Mode::threads()] {
            let rt = Runtime::builder(mode).procs(2).deadlock(deadlock).build().expect("a runtime");
            let (tx, rx) = chan::bounded(0);
            let goroutine = rt.handle().go(move || rx.recv());
            until(&rt, |dump| waits(dump, goroutine.id(), "a value from a channel"));
            tx.send(4).expect("received");
            assert_eq!(goroutine.join().expect("not cancelled"), Ok(4));
        }
    }
}

#[test]
fn a_dump_says_what_each_waits_for_and_where_it_was_made() {
    each_mode(|rt, mode| {
        let token = Token::new();
        let (tx, rx): (_, Receiver<u32>) = chan::bounded(0);
        let (full, _never_received) = chan::bounded(0);
        let handle = rt.handle();
        let made_in = line!() + 2;
        let theirs = token.clone();
        let of_token = handle.go(move || theirs.wait());
        let of_receive = handle.go(move || rx.recv());
        let of_send = handle.go(move || full.send(1));
        let of_sleep = handle.go(|| time::sleep(Duration::from_secs(3600)));
        let of_future = handle.go(|| block_on(std::future::pending::<()>()));
        let theirs = token.clone();
        let of_scope = handle.go(move || {
            scope(|s| {
                s.go(|| theirs.wait());
            });
        });
        let of_join = {
            let theirs = token.clone();
            handle.go(move || go(move || theirs.wait()).join())
        };
        let expected = [
            (of_token.id(), "a token to be cancelled"),
            (of_receive.id(), "a value from a channel"),
            (of_send.id(), "room in a channel, or a receiver"),
            (of_sleep.id(), "the clock"),
            (of_future.id(), "a future"),
            (of_scope.id(), "the goroutines of its scope"),
            (of_join.id(), "the end of a goroutine"),
        ];
        until(rt, |dump| {
            dump.goroutines.len() == 9 && expected.iter().all(|(id, what)| waits(dump, *id, what))
        });
        let dump = rt.dump();
        assert!(dump.goroutines.is_sorted_by_key(|g| g.id));
        let text = dump.to_string();
        let line = format!(
            "goroutine {} waits for a token to be cancelled, made at {}:{}:",
            of_token.id(),
            file!(),
            made_in
        );
        assert!(text.contains(&line), "{mode:?}: no {line:?} in\n{text}");
        assert_eq!(text.lines().count(), 9);
        // From inside, one more goroutine runs.
        let inside = rt.run(|| {
            let me = goroutine::current_id().expect("a goroutine");
            goroutine::dump().goroutines.into_iter().find(|g| g.id == me)
        });
        assert_eq!(inside.expect("it is listed").state, State::Running);
        token.cancel();
        of_sleep.cancel();
        of_future.cancel();
        drop(tx);
        for goroutine in [of_token, of_scope] {
            goroutine.join().expect("no panic");
        }
        of_join.join().expect("no panic").expect("no panic");
    });
    assert!(goroutine::dump().goroutines.is_empty(), "a plain thread is in no runtime");
}

#[test]
fn a_dump_lists_callbacks_and_what_has_not_begun() {
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    rt.run(|| {
        let unstarted = go(|| ());
        let dump = rt.dump();
        assert!(
            dump.goroutines.iter().any(|g| g.id == unstarted.id() && g.state == State::NotStarted),
            "{dump}"
        );
        unstarted.join().expect("no panic");
    });
    let bridge = Bridge::new(&rt);
    let inside = thread::spawn(move || bridge.enter(goroutine::dump))
        .join()
        .expect("no panic")
        .expect("let in");
    assert_eq!(inside.goroutines.len(), 1);
    assert_eq!(inside.goroutines[0].made_at, None);
    assert_eq!(inside.goroutines[0].state, State::Running);
}

/// The only P is the root's, so that the thread which is brought does not begin it at once.
#[test]
fn a_dump_tells_who_waits_for_a_thread_of_its_own() {
    /// Dumps right after the goroutine was made, and once more if that was too late.
    fn told(rt: &Runtime, why: &str, make: impl Fn() -> JoinHandle<()>) {
        let text = format!(" has not begun and waits for a thread of its own ({why}), made at ");
        let told = (0..100).any(|_| {
            let made = make();
            let dump = rt.dump();
            let id = made.id();
            made.join().expect("no panic");
            dump.goroutines
                .iter()
                .any(|g| g.id == id && g.apart == Some(why) && g.to_string().contains(&text))
        });
        assert!(told, "{why}");
    }
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    rt.run(|| {
        let computes = || goroutine::Builder::new().computes().go(|| ());
        told(&rt, "its builder says that it computes", computes);
        told(&rt, "one that was made there computed, or blocked its thread", || {
            go(|| thread::sleep(Duration::from_millis(15)))
        });
    });
}

/// Keeps the events at level DEBUG about goroutines.
#[cfg(feature = "tracing")]
struct Keeps(std::sync::mpsc::Sender<String>);

#[cfg(feature = "tracing")]
impl tracing::Subscriber for Keeps {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::DEBUG
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}: {value:?}\n");
            }
        }
        // Events are emitted where user code may do anything.
        assert_eq!(goroutine::current_id(), None);
        let mut text = Text(String::new());
        event.record(&mut text);
        let _nobody_listens_any_more = self.0.send(text.0);
    }
}

#[cfg(feature = "tracing")]
#[test]
fn who_listens_is_told_once() {
    let (told, is_told) = std::sync::mpsc::channel();
    // Other tests that are quiet at the same time emit the event, too.
    tracing::subscriber::set_global_default(Keeps(told)).expect("the only one");
    let rt = Runtime::builder(settled()).procs(2).build().expect("a runtime");
    let (tx, rx) = chan::bounded(0);
    let goroutine = rt.handle().go(move || (rx.recv(), rx.recv()));
    let line = format!("goroutine {} waits for a value from a channel", goroutine.id());
    let text = loop {
        let text: String = is_told.recv().expect("somebody tells");
        if text.contains(&line) {
            break text;
        }
    };
    assert!(
        text.contains("gosched: all goroutines wait, for each other or for somebody outside"),
        "{text}"
    );
    (0..2).for_each(|n| tx.send(n).expect("received"));
    assert_eq!(goroutine.join().expect("not cancelled"), (Ok(0), Ok(1)));
    drop(rt);
    assert!(!is_told.try_iter().any(|text: String| text.contains(&line)), "told twice");
}

#[test]
fn a_dump_tells_what_runs_from_what_is_ready() {
    for procs in [1, 2, 4] {
        let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
        rt.run(|| {
            let me = goroutine::current_id().expect("a goroutine");
            // Both have settled here when they have suspended beside the host.
            let host = go(|| (yield_now(), yield_now()));
            let beside = goroutine::Builder::new().with(&host).go(|| (yield_now(), yield_now()));
            let of = |dump: &Dump, id| dump.goroutines.iter().find(|g| g.id == id).cloned();
            loop {
                let dump = rt.dump();
                let runs = of(&dump, me).expect("it is listed");
                assert_eq!((runs.state, runs.behind), (State::Running, None), "{dump}");
                assert!(dump.to_string().contains(&format!("goroutine {me} runs, made at")));
                let ready = dump.goroutines.iter().find(|g| g.state == State::Runnable);
                if let Some(ready) = ready.filter(|ready| ready.behind == Some(me)) {
                    let text = format!(
                        "goroutine {} is ready to run when goroutine {me} gives their thread up",
                        ready.id
                    );
                    assert!(ready.to_string().starts_with(&text), "{ready}");
                    break;
                }
                yield_now();
                if host.is_finished() && beside.is_finished() {
                    // They have settled elsewhere.
                    break;
                }
            }
        });
    }
}

#[test]
fn a_dump_says_for_how_long_a_wait_has_lasted() {
    for mode in [settled(), migratory(), Mode::threads()] {
        let rt = Runtime::builder(mode).procs(2).build().expect("a runtime");
        let (tx, rx) = chan::bounded::<()>(0);
        let goroutine = rt.handle().go(move || rx.recv());
        let id = goroutine.id();
        until(&rt, |dump| waits(dump, id, "a value from a channel"));
        let began = std::time::Instant::now();
        let waited =
            |dump: &Dump| dump.goroutines.iter().find(|g| g.id == id).expect("it waits").waited;
        let said = loop {
            if let Some(waited) = waited(&rt.dump()) {
                break waited;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{mode:?}: nothing is said");
            thread::sleep(Duration::from_millis(50));
        };
        assert!(said >= Duration::from_secs(1) && said <= began.elapsed() + Duration::from_secs(1));
        let text = rt.dump().to_string();
        assert!(text.contains("waits for a value from a channel, for 1 s or longer"), "{text}");
        drop(tx);
        let _closed = goroutine.join();
    }
}
