//! The tests of Go's `context`, written anew against tokens. `docs/go-scenarios.md` says which of
//! them have no counterpart.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use gosched::cancel::{Cause, OnCancel, Token};
use gosched::future::block_on;
use gosched::sync::WaitGroup;
use gosched::time::{sleep, timeout_async};
use gosched::{Handle, chan, go, select, yield_now};
use test_support::each_mode;

use Why::{Canceled, DeadlineExceeded};

const SHORT: Duration = Duration::from_millis(1);
/// Far more than anything here takes, and not for ever.
const VERY_LONG: Duration = Duration::from_secs(3_600_000);

/// A context, as far as a token is one: no values, and no other makes.
#[derive(Clone)]
struct Context(Token);

/// What `Err` of a context says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Canceled,
    DeadlineExceeded,
}

fn background() -> Context {
    Context(Token::new())
}

impl Context {
    fn with_cancel(&self) -> Self {
        Self(self.0.child())
    }

    fn with_timeout(&self, timeout: Duration) -> Self {
        Self(self.0.with_timeout(timeout))
    }

    fn with_deadline(&self, deadline: Instant) -> Self {
        Self(self.0.with_deadline(deadline))
    }

    fn cancel(&self) {
        self.0.cancel();
    }

    fn err(&self) -> Option<Why> {
        self.0.cause().map(|cause| match cause {
            Cause::Deadline => DeadlineExceeded,
            _ => Canceled,
        })
    }

    /// What `Cause` says: the text of the error.
    fn cause(&self) -> Option<String> {
        self.0.cause().map(|cause| cause.to_string())
    }

    /// Whether a receive from its channel does not wait.
    fn is_done(&self) -> bool {
        select! {
            recv(self.0.done()) -> _ => true,
            default => false,
        }
    }

    /// Waits for its channel.
    fn done(&self) {
        assert!(self.0.done().recv().is_err(), "nothing is sent into it");
    }

    /// As Go's, in a goroutine of its own.
    fn after_func(&self, handle: &Handle, f: impl FnOnce() + Send + 'static) -> OnCancel {
        let handle = handle.clone();
        self.0.on_cancel(move || drop(handle.go(f)))
    }
}

#[track_caller]
fn check(contexts: &[&Context], err: Option<Why>) {
    for (n, context) in contexts.iter().enumerate() {
        assert_eq!((context.is_done(), context.err()), (err.is_some(), err), "context {n}");
    }
}

/// Runs `body` in a goroutine of each kind of runtime.
fn each(body: fn(&Handle)) {
    each_mode(|rt, _| {
        let handle = rt.handle().clone();
        rt.run(move || go(move || body(&handle)).join().expect("its asserts hold"));
    });
}

/// Numbers by chance.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// TestBackground, TestTODO: it is not done, and stays so.
#[test]
fn the_background_is_never_done() {
    each(|_| {
        let context = background();
        check(&[&context], None);
        assert_eq!((context.0.deadline(), context.cause()), (None, None));
    });
}

/// TestWithCancel: a cancel reaches descendants before it returns.
#[test]
fn with_cancel() {
    each(|_| {
        let first = background().with_cancel();
        let second = first.with_cancel();
        let third = second.with_cancel();
        check(&[&first, &second, &third], None);
        first.cancel();
        check(&[&first, &second, &third], Some(Canceled));
    });
}

/// TestParentFinishesChild, without the inside: children of each kind are done with their parent,
/// and one that is made later is at once.
#[test]
fn a_parent_finishes_its_children() {
    each(|handle| {
        let parent = background().with_cancel();
        let (child, timed) = (parent.with_cancel(), parent.with_timeout(VERY_LONG));
        let (called, calls) = chan::bounded(1);
        let after = parent.after_func(handle, move || called.send(()).expect("it is awaited"));
        check(&[&parent, &child, &timed], None);
        parent.cancel();
        check(&[&parent, &child, &timed], Some(Canceled));
        calls.recv().expect("it is called");
        assert!(!after.unregister());
        check(&[&parent.with_cancel(), &parent.with_timeout(VERY_LONG)], Some(Canceled));
    });
}

/// TestChildFinishesFirst: the parent goes on.
#[test]
fn a_child_finishes_first() {
    each(|_| {
        for parent in [background(), background().with_cancel()] {
            let child = parent.with_cancel();
            check(&[&parent, &child], None);
            child.cancel();
            check(&[&child], Some(Canceled));
            check(&[&parent], None);
        }
    });
}

/// TestCancelRemoves, as far as it is seen from outside: what a parent has for a child, or for a
/// function, goes with it.
#[test]
fn a_cancel_leaves_nothing_with_the_parent() {
    each(|handle| {
        let parent = background();
        let held = Arc::new(());
        for timed in [false, true] {
            let child = if timed { parent.with_timeout(VERY_LONG) } else { parent.with_cancel() };
            let theirs = held.clone();
            child.0.on_cancel(move || drop(theirs)).keep();
            assert_eq!(Arc::strong_count(&held), 2);
            child.cancel();
            assert_eq!(Arc::strong_count(&held), 1);
        }
        let theirs = held.clone();
        let after = parent.after_func(handle, move || drop(theirs));
        assert!(after.unregister());
        assert_eq!(Arc::strong_count(&held), 1);
        check(&[&parent], None);
    });
}

/// TestDeadline, TestTimeout: also of descendants, in the past, and now.
#[test]
fn deadlines_and_timeouts() {
    each(|_| {
        let (now, root) = (Instant::now(), background());
        let past = now.checked_sub(SHORT).unwrap_or(now);
        let contexts = [
            root.with_deadline(now + SHORT),
            root.with_deadline(now + SHORT).with_deadline(now + VERY_LONG),
            root.with_deadline(past),
            root.with_deadline(now),
            root.with_timeout(SHORT),
            root.with_timeout(SHORT).with_timeout(VERY_LONG),
            root.with_timeout(SHORT).with_cancel(),
        ];
        for context in contexts {
            context.done();
            check(&[&context], Some(DeadlineExceeded));
        }
        check(&[&root], None);
    });
}

/// TestCanceledTimeout: a cancel comes before the deadline.
#[test]
fn a_canceled_timeout() {
    each(|_| {
        let outer = background().with_timeout(VERY_LONG);
        let context = outer.with_timeout(VERY_LONG);
        context.cancel();
        check(&[&context], Some(Canceled));
        check(&[&outer], None);
    });
}

/// TestSimultaneousCancels: all of a tree, by as many goroutines, in any order.
#[test]
fn simultaneous_cancels() {
    each(|_| {
        let mut tree = vec![background().with_cancel()];
        for parent in 0.. {
            if tree.len() >= 100 {
                break;
            }
            (0..4).for_each(|_| tree.push(tree[parent].with_cancel()));
        }
        let (group, mut random) = (WaitGroup::new(), Random::new());
        let mut order: Vec<_> = tree.clone();
        while !order.is_empty() {
            let context = order.swap_remove(random.below(order.len()));
            group.go(move || context.cancel());
        }
        tree.iter().for_each(Context::done);
        group.wait();
        tree.iter().for_each(|context| check(&[context], Some(Canceled)));
    });
}

/// TestInterlockedCancels: one that waits for the parent cancels the child.
#[test]
fn interlocked_cancels() {
    each(|_| {
        let parent = background().with_cancel();
        let child = parent.with_cancel();
        let (waits, cancels) = (parent.clone(), child.clone());
        let other = go(move || {
            waits.done();
            cancels.cancel();
        });
        parent.cancel();
        child.done();
        other.join().expect("no panic");
    });
}

/// TestLayersCancel, TestLayersTimeout: a line of contexts of any kinds. Returns those that may be
/// cancelled.
fn layers(timeout: Duration) -> Vec<Context> {
    let (mut random, mut line) = (Random::new(), vec![background()]);
    let mut timers = 0;
    while line.len() < 30 || timers == 0 {
        let last = line.last().expect("one is there");
        let next = match random.below(2) {
            0 => last.with_cancel(),
            _ => {
                timers += 1;
                last.with_timeout(timeout)
            }
        };
        line.push(next);
    }
    line
}

/// TestLayersCancel.
#[test]
fn layers_are_canceled() {
    each(|_| {
        let line = layers(VERY_LONG);
        let last = line.last().expect("one is there");
        check(&[last], None);
        line[Random::new().below(line.len())].cancel();
        check(&[last], Some(Canceled));
    });
}

/// TestLayersTimeout.
#[test]
fn layers_time_out() {
    each(|_| {
        let line = layers(SHORT);
        let last = line.last().expect("one is there");
        last.done();
        check(&[last], Some(DeadlineExceeded));
    });
}

/// TestWithCancelCanceledParent, TestWithCancelSimultaneouslyCanceledParent: the child has the
/// parent's cause, whichever comes first.
#[test]
fn a_child_of_a_canceled_parent() {
    each(|_| {
        let parent = background();
        parent.0.cancel_with("Because!");
        let child = parent.with_cancel();
        check(&[&child], Some(Canceled));
        assert_eq!(child.cause().as_deref(), Some("Because!"));
        for _ in 0..100 {
            let parent = background();
            let theirs = parent.clone();
            let canceller = go(move || theirs.0.cancel_with("Because!"));
            let child = parent.with_cancel();
            child.done();
            check(&[&child], Some(Canceled));
            assert_eq!(child.cause().as_deref(), Some("Because!"));
            canceller.join().expect("no panic");
        }
    });
}

/// TestDeadlineExceededSupportsTimeout: an error says that it was the time.
#[test]
fn a_deadline_is_told_from_a_cancel() {
    let timed = background().with_timeout(Duration::ZERO);
    assert!(matches!(timed.0.cause(), Some(Cause::Deadline)));
    let canceled = background();
    canceled.cancel();
    assert!(matches!(canceled.0.cause(), Some(Cause::Cancelled)));
}

/// TestCause: who cancels what, in order; then what the last context says.
#[test]
fn causes() {
    const CANCELLED: &str = "cancelled";
    const DEADLINE: &str = "the deadline has passed";
    /// `Some(error)`: with this error. `None`: without one.
    type With = Option<&'static str>;
    fn cancel(context: &Context, with: With) {
        match with {
            Some(error) => context.0.cancel_with(error),
            None => context.cancel(),
        }
    }
    each(|_| {
        assert_eq!(background().cause(), None);
        for (with, cause) in [(None, CANCELLED), (Some("own"), "own")] {
            let context = background().with_cancel();
            cancel(&context, with);
            check(&[&context], Some(Canceled));
            assert_eq!(context.cause().as_deref(), Some(cause));
        }
        // The first counts, of parent and child, with an error or without.
        for (of_parent, of_child) in [
            (Some("parent"), Some("child")),
            (Some("parent"), None),
            (None, Some("child")),
            (None, None),
        ] {
            for parent_first in [true, false] {
                let parent = background().with_cancel();
                let child = parent.with_cancel();
                if parent_first {
                    cancel(&parent, of_parent);
                    cancel(&child, of_child);
                } else {
                    cancel(&child, of_child);
                    cancel(&parent, of_parent);
                }
                let first = if parent_first { of_parent } else { of_child };
                check(&[&child], Some(Canceled));
                assert_eq!(child.cause().as_deref(), Some(first.unwrap_or(CANCELLED)));
                assert_eq!(parent.cause().as_deref(), Some(of_parent.unwrap_or(CANCELLED)));
            }
        }
        // With a time limit: that has passed, or has not.
        for with in [None, Some("finished early")] {
            let parent = background().with_cancel();
            let (late, early) =
                (parent.with_timeout(VERY_LONG), parent.with_timeout(Duration::ZERO));
            cancel(&parent, with);
            check(&[&late], Some(Canceled));
            check(&[&early], Some(DeadlineExceeded));
            assert_eq!(late.cause().as_deref(), Some(with.unwrap_or(CANCELLED)));
            assert_eq!(early.cause().as_deref(), Some(DEADLINE));
        }
    });
}

/// TestCauseRace: a cause is there whole, once it is.
#[test]
fn a_cause_is_read_while_it_is_written() {
    each(|_| {
        let context = background();
        let theirs = context.clone();
        let canceller = go(move || theirs.0.cancel_with("TestCauseRace"));
        let cause = loop {
            match context.cause() {
                Some(cause) => break cause,
                None => yield_now(),
            }
        };
        assert_eq!(cause, "TestCauseRace");
        canceller.join().expect("no panic");
    });
}

/// TestAfterFuncCalledAfterCancel, TestAfterFuncNotCalledAfterStop.
#[test]
fn a_function_is_called_after_the_cancel_unless_it_is_stopped() {
    each(|handle| {
        let context = background();
        let (called, calls) = chan::bounded(1);
        let stopped = Arc::new(AtomicBool::new(false));
        let (theirs, before) = (stopped.clone(), called.clone());
        let stop = context.after_func(handle, move || theirs.store(true, SeqCst));
        let after = context.after_func(handle, move || before.send(()).expect("it is awaited"));
        assert!(calls.try_recv().is_err(), "it was not cancelled yet");
        assert!(stop.unregister());
        context.cancel();
        calls.recv().expect("it is called");
        assert!(!after.unregister() && !stopped.load(SeqCst));
    });
}

/// TestAfterFuncCalledAfterTimeout, TestAfterFuncCalledImmediately.
#[test]
fn a_function_is_called_at_the_deadline_and_at_once_if_it_is_late() {
    each(|handle| {
        let (called, calls) = chan::bounded(2);
        let (timed, late) = (background().with_timeout(SHORT), background());
        let (first, second) = (called.clone(), called);
        let _guard = timed.after_func(handle, move || first.send(1).expect("it is awaited"));
        assert_eq!(calls.recv(), Ok(1));
        late.cancel();
        let _guard = late.after_func(handle, move || second.send(2).expect("it is awaited"));
        assert_eq!(calls.recv(), Ok(2));
    });
}

/// TestAfterFuncCalledAsynchronously: a cancel does not wait for functions that wait, each being in
/// a goroutine.
#[test]
fn a_cancel_does_not_wait_for_functions() {
    each(|handle| {
        let context = background();
        let (meets, met) = chan::bounded(0);
        let calls = Arc::new(AtomicUsize::new(0));
        let guards: Vec<_> = (0..3)
            .map(|_| {
                let (meets, calls) = (meets.clone(), calls.clone());
                context.after_func(handle, move || {
                    calls.fetch_add(1, SeqCst);
                    meets.send(()).expect("it is met");
                })
            })
            .collect();
        context.cancel();
        (0..3).for_each(|_| met.recv().expect("it comes"));
        assert_eq!((calls.load(SeqCst), guards.len()), (3, 3));
    });
}

/// TestContextErrDoneRace: who has learned of the cancel by asking finds the channel closed.
#[test]
fn who_knows_of_the_cancel_finds_the_channel_closed() {
    fn once(spawn: impl FnOnce(Box<dyn FnOnce() + Send>), asks: fn(&Token) -> bool) {
        let context = background();
        let (done, theirs) = (context.0.done(), context.clone());
        // Others are woken first.
        let _others: Vec<_> = (0..20).map(|_| context.with_cancel()).collect();
        spawn(Box::new(move || theirs.cancel()));
        while !asks(&context.0) {
            yield_now();
        }
        assert!(done.try_recv().is_err_and(|error| error.is_disconnected()));
    }
    let ways: [fn(&Token) -> bool; 5] = [
        Token::is_cancelled,
        |token| token.cause().is_some(),
        |token| token.wait_timeout(SHORT),
        |token| token.run(|| ()).is_err(),
        |token| block_on(timeout_async(SHORT, token.wait_async())).is_ok(),
    ];
    for asks in ways {
        for _ in 0..100 {
            once(|cancel| drop(thread::spawn(cancel)), asks);
        }
    }
    each(|_| {
        for _ in 0..10 {
            once(|cancel| drop(go(cancel)), Token::is_cancelled);
            // Woken as what runs under it, by a canceller that has more to wake.
            once(|cancel| drop(go(cancel)), |token| token.run(|| sleep(VERY_LONG)).is_err());
        }
    });
}
