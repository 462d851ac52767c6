//! Futures run to their ends on goroutines and threads; wakers may come from anywhere, late, or not
//! at all.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use gosched::callback::{Binding, Bridge};
use gosched::chan::{self, Sender};
use gosched::future::{block_on, block_on_in, go_future};
use gosched::{Cancelled, go, goroutine, yield_now};
use test_support::each_mode;

/// Ready once it was told so. Says of each poll that it happened, and keeps the waker.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    open: bool,
    polls: usize,
    wakers: Vec<Waker>,
    polled: Option<Sender<()>>,
}

impl Gate {
    fn open(&self) -> Vec<Waker> {
        let mut inner = self.0.lock().expect("no panic");
        inner.open = true;
        inner.wakers.clone()
    }

    fn polls(&self) -> usize {
        self.0.lock().expect("no panic").polls
    }
}

impl Future for Gate {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let mut inner = self.0.lock().expect("no panic");
        inner.polls += 1;
        if inner.open {
            return Poll::Ready(inner.polls);
        }
        inner.wakers.push(cx.waker().clone());
        let polled = inner.polled.take();
        drop(inner);
        polled.into_iter().for_each(|polled| polled.try_send(()).expect("there is room"));
        Poll::Pending
    }
}

/// A gate, and what tells that it was polled.
fn gate() -> (Gate, chan::Receiver<()>) {
    let (polled, was_polled) = chan::bounded(1);
    let gate = Gate::default();
    gate.0.lock().expect("no panic").polled = Some(polled);
    (gate, was_polled)
}

#[test]
fn what_is_ready_is_had_at_once() {
    assert_eq!(block_on(async { 5 }), 5);
    each_mode(|rt, _| {
        assert_eq!(rt.run(|| block_on(std::future::ready(7))), 7);
        assert!(
            rt.run(|| go_future(async { goroutine::current_id() }).join().expect("no panic"))
                .is_some()
        );
    });
}

#[test]
fn a_waker_wakes_from_wherever_it_is() {
    each_mode(|rt, _| {
        // From a plain thread, from another goroutine, from a goroutine of another runtime.
        let elsewhere =
            gosched::Runtime::builder(test_support::settled()).procs(1).build().expect("a runtime");
        for from in 0..3 {
            let (gate, polled) = gate();
            let theirs = gate.clone();
            let goroutine = rt.handle().go(move || block_on(theirs));
            polled.recv().expect("it is polled");
            let wake = move || gate.open().into_iter().for_each(Waker::wake);
            match from {
                0 => thread::spawn(wake).join().expect("no panic"),
                1 => rt.handle().go(wake).join().expect("no panic"),
                _ => elsewhere.handle().go(wake).join().expect("no panic"),
            }
            assert_eq!(goroutine.join().expect("no panic"), 2, "one poll for the one wake");
        }
    });
}

#[test]
fn a_plain_thread_blocks() {
    let (gate, polled) = gate();
    let theirs = gate.clone();
    let blocked = thread::spawn(move || block_on(theirs));
    polled.recv().expect("it is polled");
    gate.open().into_iter().for_each(|waker| waker.wake_by_ref());
    assert_eq!(blocked.join().expect("no panic"), 2);
}

#[test]
fn a_callback_waits_for_a_future() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        each_mode(|rt, _| {
            let bridge = Bridge::new(rt).with_binding(binding);
            let (gate, polled) = gate();
            let theirs = gate.clone();
            let caller = thread::spawn(move || bridge.enter(|| block_on(theirs)).expect("let in"));
            polled.recv().expect("it is polled");
            rt.run(|| gate.open().into_iter().for_each(Waker::wake));
            assert_eq!(caller.join().expect("no panic"), 2);
        });
    }
}

#[test]
fn a_wake_before_the_wait_is_not_lost() {
    each_mode(|rt, _| {
        let polls = rt.run(|| {
            let mut left = 1000;
            block_on(std::future::poll_fn(|cx| {
                left -= 1;
                // More than one wake is one wake.
                cx.waker().wake_by_ref();
                let again = cx.waker().clone();
                again.wake();
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            }));
            left
        });
        assert_eq!(polls, 0);
    });
}

#[test]
fn late_wakers_are_harmless() {
    each_mode(|rt, _| {
        let mut kept = Vec::new();
        for _ in 0..100 {
            let (gate, polled) = gate();
            let theirs = gate.clone();
            let goroutine = rt.handle().go(move || block_on(theirs));
            polled.recv().expect("it is polled");
            let wakers = gate.open();
            wakers.iter().for_each(Waker::wake_by_ref);
            goroutine.join().expect("no panic");
            kept.extend(wakers);
        }
        // Their goroutines have ended, and others have the records.
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let waits: Vec<_> =
                (0..100).map(|_| rx.clone()).map(|rx| go(move || rx.recv())).collect();
            yield_now();
            kept.into_iter().for_each(Waker::wake);
            (0..100).for_each(|n| tx.send(n).expect("received"));
            let sum: u32 =
                waits.into_iter().map(|wait| wait.join().expect("no panic").expect("sent")).sum();
            assert_eq!(sum, 4950);
        });
    });
}

#[test]
fn a_pending_future_is_not_polled_again_unless_it_is_woken() {
    each_mode(|rt, _| {
        let (gate, polled) = gate();
        let theirs = gate.clone();
        let goroutine = rt.handle().go(move || block_on(theirs));
        polled.recv().expect("it is polled");
        rt.run(|| (0..100).for_each(|_| yield_now()));
        assert_eq!(gate.polls(), 1);
        gate.open().into_iter().for_each(Waker::wake);
        goroutine.join().expect("no panic");
    });
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_cancel_drops_the_future() {
    each_mode(|rt, _| {
        let drops = Arc::new(AtomicUsize::new(0));
        let counted = Counted(drops.clone());
        let (gate, polled) = gate();
        let theirs = gate.clone();
        let goroutine = rt.handle().go(move || {
            block_on(async {
                let _dropped_with_the_future = counted;
                theirs.await
            })
        });
        polled.recv().expect("it is polled");
        goroutine.cancel();
        assert!(goroutine.join().expect_err("cancelled").is::<Cancelled>());
        assert_eq!(drops.load(Relaxed), 1);
        gate.open().into_iter().for_each(Waker::wake);
    });
}

#[test]
fn a_panic_in_a_poll_comes_out() {
    each_mode(|rt, _| {
        let payload = rt.run(|| go_future(async { resume_unwind(Box::new(4_u8)) }).join());
        assert_eq!(
            *payload.expect_err("it panicked").downcast::<u8>().expect("its own payload"),
            4
        );
        catch_unwind(AssertUnwindSafe(|| {
            rt.run(|| block_on(async { resume_unwind(Box::new(())) }))
        }))
        .expect_err("it panicked");
    });
}

#[test]
fn futures_wait_as_goroutines_and_goroutines_for_futures() {
    each_mode(|rt, _| {
        let total = rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let adds = go_future(async move {
                let mut sum = 0;
                // Blocking style inside of a future: the goroutine parks.
                for value in rx {
                    sum += go_future(async move { value }).await.expect("no panic");
                    sum += block_on(async { go(|| 1).await }).expect("no panic");
                }
                sum
            });
            (0..100).for_each(|n| tx.send(n).expect("received"));
            drop(tx);
            block_on(adds).expect("no panic")
        });
        assert_eq!(total, 4950 + 100);
    });
}

/// The example that cargo built beside this test.
#[test]
fn tokio_and_goroutines_talk_both_ways() {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("<profile>/deps/<test>");
    let example = profile.join("examples").join("tokio_both_ways");
    assert!(example.is_file(), "{} is missing: `cargo build --examples` first", example.display());
    let output = std::process::Command::new(example).output().expect("it can be started");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for result in ["328350", "5050", "4950"] {
        assert!(
            printed.lines().any(|line| line.ends_with(&format!(": {result}"))),
            "no {result} in\n{printed}"
        );
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// A context that lies on the thread, and is left in the reverse order.
struct ThreadContext(usize);

impl ThreadContext {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self(DEPTH.get())
    }
}

impl Drop for ThreadContext {
    fn drop(&mut self) {
        assert_eq!(DEPTH.replace(self.0 - 1), self.0, "left out of order");
    }
}

/// Asserts that it is polled and dropped in the context.
struct InContext<F>(Pin<Box<F>>);

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        assert_eq!(DEPTH.get(), 1);
        self.0.as_mut().poll(cx)
    }
}

impl<F> Drop for InContext<F> {
    fn drop(&mut self) {
        assert_eq!(DEPTH.get(), 1);
    }
}

#[test]
fn a_context_is_there_in_polls_alone() {
    each_mode(|rt, _| {
        let (tx, rx) = chan::bounded(0);
        let many: Vec<_> = (0..20)
            .map(|n| {
                let rx = rx.clone();
                rt.handle().go(move || {
                    for _ in 0..5 {
                        let receives = InContext(Box::pin(rx.recv_async()));
                        block_on_in(ThreadContext::enter, receives).expect("it is sent");
                        assert_eq!(DEPTH.get(), 0);
                        yield_now();
                    }
                    n
                })
            })
            .collect();
        (0..100).for_each(|_| tx.send(()).expect("received"));
        let sum: i32 = many.into_iter().map(|one| one.join().expect("no panic")).sum();
        assert_eq!((sum, DEPTH.get()), (190, 0));
    });
}

/// By a cancel, a panic of the future, or a wait in it.
#[test]
fn a_context_is_left_however_it_ends() {
    each_mode(|rt, _| {
        let (gate, polled) = gate();
        let theirs = InContext(Box::pin(gate));
        let waits = rt.handle().go(move || {
            let outcome =
                catch_unwind(AssertUnwindSafe(|| block_on_in(ThreadContext::enter, theirs)));
            assert_eq!(DEPTH.get(), 0);
            outcome.map_err(resume_unwind)
        });
        polled.recv().expect("it is polled");
        assert!(waits.cancel());
        let ended = waits.join().expect_err("it is cancelled");
        assert!(ended.is::<Cancelled>());

        rt.run(|| {
            let panics = InContext(Box::pin(async { panic!("on purpose") }));
            let outcome =
                catch_unwind(AssertUnwindSafe(|| block_on_in(ThreadContext::enter, panics)));
            assert_eq!(outcome.expect_err("it panics").downcast_ref(), Some(&"on purpose"));
            assert_eq!(DEPTH.get(), 0);

            let line = line!() + 3;
            let waits = InContext(Box::pin(async { yield_now() }));
            let outcome =
                catch_unwind(AssertUnwindSafe(|| block_on_in(ThreadContext::enter, waits)));
            let said = outcome.expect_err("it waits").downcast::<String>().expect("a message");
            assert!(said.contains(&format!("called at tests/future.rs:{line}:")), "{said}");
            assert_eq!(DEPTH.get(), 0);
            yield_now();
        });
    });
}
