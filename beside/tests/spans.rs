//! `CarrySpans`: each goroutine sees its own spans, and nobody else's.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use gosched::callback::Bridge;
use gosched::{CarrySpans, Mode, Runtime, chan, go, goroutine, in_current_span, yield_now};
use test_support::{migratory, modes, settled};
use tracing::span::{Id, Span};
use tracing::{Level, Subscriber, info_span, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

/// How often spans were left, and entered.
static LEFT: AtomicUsize = AtomicUsize::new(0);
static ENTERED: AtomicUsize = AtomicUsize::new(0);

struct Counts;

impl<S: Subscriber> Layer<S> for Counts {
    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        ENTERED.fetch_add(1, Relaxed);
    }

    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        LEFT.fetch_add(1, Relaxed);
    }
}

/// The process has one subscriber, which knows its current span.
fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = registry().with(Counts);
        tracing::subscriber::set_global_default(subscriber).expect("it is the only one");
    });
}

fn current() -> Option<Id> {
    Span::current().id()
}

fn runtimes() -> impl Iterator<Item = Runtime> {
    subscribe();
    modes().into_iter().flat_map(|mode| [1, 4].map(|procs| runtime(mode, procs)))
}

fn runtime(mode: Mode, procs: usize) -> Runtime {
    let rt = Runtime::builder(mode).procs(procs).carry(CarrySpans).build();
    rt.expect("a runtime")
}

/// Two levels, a span that is entered twice, and waits in each.
fn keeps_its_spans() {
    assert_eq!(current(), None, "it begins in none");
    let outer = info_span!("outer");
    let inner = info_span!("inner");
    let _outer = outer.enter();
    for _ in 0..10 {
        yield_now();
        assert_eq!(current(), outer.id());
        inner.in_scope(|| {
            yield_now();
            assert_eq!(current(), inner.id());
            outer.in_scope(|| {
                yield_now();
                assert!(current().is_some());
            });
            assert_eq!(current(), inner.id());
        });
        assert_eq!(current(), outer.id());
    }
}

#[test]
fn each_goroutine_has_its_own() {
    for rt in runtimes() {
        rt.run(|| {
            let goroutines: Vec<_> = (0..20).map(|_| go(keeps_its_spans)).collect();
            keeps_its_spans();
            goroutines.into_iter().for_each(|goroutine| goroutine.join().expect("no panic"));
            assert_eq!(current(), None);
        });
        assert_eq!(current(), None);
    }
}

/// What the type is for: without it the spans are the thread's.
#[test]
fn without_it_they_are_mixed_up() {
    subscribe();
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    let mixed = rt.run(|| {
        let (tx, rx) = chan::bounded::<()>(0);
        let waits = goroutine::Builder::new().talks().go(move || {
            let span = info_span!("waits");
            let _in_it = span.enter();
            rx.recv().expect_err("its sender goes");
        });
        yield_now();
        let mixed = current().is_some();
        drop(tx);
        waits.join().expect("no panic");
        mixed
    });
    assert!(mixed);
}

#[test]
fn children_inherit_where_asked() {
    for rt in runtimes() {
        rt.run(|| {
            let request = info_span!("request");
            let _in_it = request.enter();
            let asked = go(in_current_span(|| {
                yield_now();
                current()
            }));
            let not_asked = go(current);
            assert_eq!(asked.join().expect("no panic"), request.id());
            assert_eq!(not_asked.join().expect("no panic"), None);
            assert_eq!(current(), request.id());
        });
    }
}

/// A callback begins in no span, and the host's thread gets its own back.
#[test]
fn callbacks_begin_in_none() {
    for rt in runtimes() {
        let bridge = Bridge::new(&rt);
        thread::scope(|s| {
            s.spawn(|| {
                let host = info_span!("host");
                let _in_it = host.enter();
                bridge.enter(keeps_its_spans).expect("no panic");
                assert_eq!(current(), host.id());
            });
        });
    }
}

/// As often as it enters, it leaves: a span closes when its guard goes.
#[test]
fn spans_are_left_as_often_as_entered() {
    let Some(output) = test_support::in_child("spans_are_left_as_often_as_entered") else {
        subscribe();
        runtime(migratory(), 2).run(|| {
            let goroutines: Vec<_> = (0..20).map(|_| go(keeps_its_spans)).collect();
            goroutines.into_iter().for_each(|goroutine| goroutine.join().expect("no panic"));
        });
        assert_eq!(ENTERED.load(Relaxed), LEFT.load(Relaxed));
        assert!(ENTERED.load(Relaxed) > 20 * 21, "also at switches");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A disabled span, and one whose guard is forgotten.
#[test]
fn what_is_left_over_is_dropped_at_the_end() {
    for rt in runtimes() {
        rt.run(|| {
            let forgets = go(|| {
                let span = info_span!("forgotten");
                std::mem::forget(span.enter());
                std::mem::forget(span.clone());
                let none = Span::none();
                let _nothing = none.enter();
                let _disabled = span!(Level::TRACE, "trace").entered();
                yield_now();
            });
            forgets.join().expect("no panic");
            let after = go(current);
            assert_eq!(after.join().expect("no panic"), None);
        });
    }
}
