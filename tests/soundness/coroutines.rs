//! What a goroutine enters, left out of turn or on another goroutine by the coroutines of another
//! library: it is as if it were left in turn, or the process ends with a message.
//!
//! The coroutines are corosensei's, whose interface is safe.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use corosensei::{Coroutine, CoroutineResult};
use gosched::callback::Bridge;
use gosched::cancel::{Token, shield};
use gosched::{CancelScope, Mode, Runtime, goroutine_local, run, time, yield_now};
use test_support::{death, each_mode, in_child, settled};

const LONG: Duration = Duration::from_secs(3600);

goroutine_local! {
    static COUNT: Cell<u32> = Cell::new(7);
}

type Steps = Coroutine<(), (), ()>;

/// A coroutine that enters by `enter`, suspends inside, and leaves when it is resumed again.
fn suspended_inside(enter: Enter) -> Steps {
    let mut coroutine = Coroutine::new(move |yielder, ()| enter(&mut || yielder.suspend(())));
    assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
    coroutine
}

fn leave(mut coroutine: Steps) {
    assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
}

fn in_a_limit(f: &mut dyn FnMut()) {
    time::timeout(LONG, f).expect("an hour is long");
}

fn in_a_token(f: &mut dyn FnMut()) {
    Token::new().run(f).expect("nobody cancels it");
}

fn in_a_shield(f: &mut dyn FnMut()) {
    shield(f);
}

fn in_a_local(f: &mut dyn FnMut()) {
    COUNT.with(|_| f());
}

/// Enters something, calls what it is given, and leaves.
type Enter = fn(&mut dyn FnMut());

const WAYS: [(&str, Enter); 4] =
    [("limit", in_a_limit), ("token", in_a_token), ("shield", in_a_shield), ("local", in_a_local)];

#[test]
fn regions_left_out_of_turn_are_out_of_the_list() {
    each_mode(|rt, _| {
        rt.run(|| {
            for (_, enter) in WAYS {
                let inner = suspended_inside(enter);
                let token = Token::new();
                let theirs = token.clone();
                // The coroutine's region is left, and its stack is gone, while this one is entered.
                let ended = token.run(move || {
                    leave(inner);
                    theirs.cancel();
                    yield_now();
                });
                let ended = ended.expect_err("the list leads to the token that was cancelled");
                assert_eq!(ended.scope, CancelScope::Token(token.id()));
                yield_now();
            }
        });
    });
}

#[test]
fn a_limit_counts_while_it_is_entered_and_no_longer() {
    each_mode(|rt, _| {
        rt.run(|| {
            // The limit has passed when it is left, and nothing has waited in it.
            let passed = suspended_inside(|f| {
                time::timeout(Duration::ZERO, f).expect("it does not wait");
            });
            // Entered after a limit that has passed and is left first.
            let outcome = time::timeout(LONG, move || {
                leave(passed);
                time::sleep(Duration::from_millis(1));
            });
            assert_eq!(outcome, Ok(()));
            // The other way round: the one that is left first is the longer one.
            let longer = suspended_inside(in_a_limit);
            let outcome = time::timeout(Duration::ZERO, move || {
                leave(longer);
                time::sleep(LONG);
            });
            assert_eq!(outcome, Err(time::Elapsed));
        });
    });
}

#[test]
fn many_are_left_in_any_order() {
    each_mode(|rt, _| {
        rt.run(|| {
            for step in [1, 3, 5] {
                let mut inside: Vec<_> =
                    (0..8).map(|n| Some(suspended_inside(WAYS[n % 4].1))).collect();
                for n in 0..8 {
                    leave(inside[n * step % 8].take().expect("each is left once"));
                    yield_now();
                }
            }
            time::sleep(Duration::from_millis(1));
        });
    });
}

thread_local! {
    static KEPT: RefCell<Option<Steps>> = const { RefCell::new(None) };
}

/// Runs test `name` in a child for each of the ways; it must end with a message that has `needle`.
#[track_caller]
fn ends_with_a_message(name: &str, needle: &str, body: impl Fn(Enter)) {
    let Some(output) = in_child(name) else {
        let way = std::env::var("GOSCHED_WAY").expect("the parent says");
        let (_, enter) = WAYS.iter().find(|(name, _)| *name == way).expect("one of them");
        return body(*enter);
    };
    drop(output);
    for (way, _) in WAYS {
        let variables = [("GOSCHED_WAY", way)];
        let output = test_support::in_child_with(name, &variables).expect("this is the parent");
        let (signal, stderr) = death(&output);
        assert_eq!(signal, Some(libc::SIGABRT), "{way}: {stderr}");
        assert!(stderr.contains(needle), "{way}: {stderr}");
    }
}

#[test]
fn a_goroutine_that_ends_inside_ends_the_process() {
    ends_with_a_message(
        "coroutines::a_goroutine_that_ends_inside_ends_the_process",
        "has ended inside of",
        |enter| {
            run(Mode::threads(), || KEPT.set(Some(suspended_inside(enter))));
        },
    );
}

#[test]
fn a_settled_goroutine_that_ends_inside_ends_the_process() {
    ends_with_a_message(
        "coroutines::a_settled_goroutine_that_ends_inside_ends_the_process",
        "has ended inside of",
        |enter| {
            run(settled(), || KEPT.set(Some(suspended_inside(enter))));
        },
    );
}

#[test]
fn a_callback_that_ends_inside_ends_the_process() {
    ends_with_a_message(
        "coroutines::a_callback_that_ends_inside_ends_the_process",
        "has ended inside of",
        |enter| {
            let rt = Runtime::builder(settled()).build().expect("a runtime");
            let bridge = Bridge::new(&rt);
            let _dead = bridge.enter(|| KEPT.set(Some(suspended_inside(enter))));
        },
    );
}

#[test]
fn what_is_left_on_another_goroutine_ends_the_process() {
    ends_with_a_message(
        "coroutines::what_is_left_on_another_goroutine_ends_the_process",
        "was left elsewhere",
        |enter| {
            // Both are settled on this thread, and the first is still there.
            run(settled(), || {
                let (ready, is_ready) = gosched::chan::bounded(0);
                let (stop, stopped) = gosched::chan::bounded::<()>(0);
                let other = gosched::go(move || {
                    is_ready.recv().expect("it comes");
                    KEPT.take().into_iter().for_each(leave);
                });
                let first = gosched::goroutine::Builder::new().with(&other).go(move || {
                    KEPT.set(Some(suspended_inside(enter)));
                    ready.send(()).expect("it is there");
                    stopped.recv().expect_err("it never comes");
                });
                other.join().expect("the process has ended");
                drop((stop, first));
            });
        },
    );
}

#[test]
fn a_call_below_may_leave_what_the_goroutine_above_has_entered() {
    for (_, enter) in WAYS {
        let outer = Runtime::builder(settled()).procs(1).build().expect("a runtime");
        let inner = Runtime::builder(settled()).procs(1).build().expect("a runtime");
        let bridge = Bridge::new(&inner);
        outer.run(|| {
            KEPT.set(Some(suspended_inside(enter)));
            bridge.enter(|| KEPT.take().into_iter().for_each(leave)).expect("it enters");
            yield_now();
        });
    }
}
