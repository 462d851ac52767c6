//! A `Runtime` that is dropped by one of its own goroutines, callbacks or threads shuts down; and
//! what would wait for itself says so.

use std::cell::RefCell;
use std::sync::mpsc::channel;
use std::time::Duration;

use gosched::callback::Bridge;
use gosched::{CancelScope, Cancelled, Runtime, chan};
use test_support::{each_mode, modes};

const LONG: Duration = Duration::from_secs(30);

fn runtimes() -> impl Iterator<Item = Runtime> {
    let each = |mode| [1, 2, 4].map(|procs| Runtime::builder(mode).procs(procs).build());
    modes().into_iter().flat_map(each).map(|rt| rt.expect("a runtime"))
}

/// A goroutine that waits for what never comes, and tells why it ended.
fn waits_for_ever(rt: &Runtime) -> gosched::JoinHandle<()> {
    let (begun, is_begun) = chan::bounded(0);
    let waits = rt.handle().go(move || {
        begun.send(()).expect("it is there");
        chan::never::<()>().recv().expect_err("it never comes");
    });
    is_begun.recv().expect("it comes");
    waits
}

fn is_cancelled_by_shutdown(waits: gosched::JoinHandle<()>) {
    let ended = waits.join_timeout(LONG).expect("it ends").expect_err("it is cancelled");
    let cancelled = ended.downcast::<Cancelled>().expect("it is cancelled");
    assert_eq!(cancelled.scope, CancelScope::Runtime);
}

#[test]
fn by_a_goroutine() {
    for rt in runtimes() {
        let waits = waits_for_ever(&rt);
        let handle = rt.handle();
        // The runtime goes with the closure, inside.
        let drops = handle.go(move || drop(rt));
        drops.join().expect("it goes on");
        is_cancelled_by_shutdown(waits);
        let late = handle.go(|| ()).join_timeout(LONG).expect("it ends");
        assert!(late.expect_err("it never begins").is::<Cancelled>());
    }
}

#[test]
fn by_a_callback() {
    for rt in runtimes() {
        let waits = waits_for_ever(&rt);
        let bridge = Bridge::new(&rt);
        bridge.enter(move || drop(rt)).expect("it goes on");
        is_cancelled_by_shutdown(waits);
        bridge.enter(|| ()).expect_err("it shuts down");
    }
}

thread_local! {
    static KEPT: RefCell<Option<(Runtime, TellsItsEnd)>> = const { RefCell::new(None) };
}

struct TellsItsEnd(std::sync::mpsc::Sender<()>);

impl Drop for TellsItsEnd {
    fn drop(&mut self) {
        let _nobody_waits = self.0.send(());
    }
}

/// A thread of the runtime ends, and its thread-locals with it: it must not wait for itself.
#[test]
fn by_a_thread_of_its_pool() {
    let rt = Runtime::builder(gosched::Mode::threads()).build().expect("a runtime");
    let waits = waits_for_ever(&rt);
    let handle = rt.handle();
    let (told, tells) = channel();
    let keeps = handle.go(move || KEPT.set(Some((rt, TellsItsEnd(told)))));
    keeps.join().expect("no panic");
    // Half a second without work ends the thread.
    tells.recv_timeout(LONG).expect("the thread ends");
    is_cancelled_by_shutdown(waits);
}

#[test]
fn by_a_thread_of_a_goroutines_own() {
    for rt in runtimes() {
        let waits = waits_for_ever(&rt);
        let handle = rt.handle();
        let (told, tells) = channel();
        let builder = gosched::goroutine::Builder::new().runtime(&handle).own_thread();
        let keeps = builder.go(move || KEPT.set(Some((rt, TellsItsEnd(told)))));
        keeps.join().expect("no panic");
        tells.recv_timeout(LONG).expect("the thread ends");
        is_cancelled_by_shutdown(waits);
    }
}

#[test]
fn a_goroutine_that_joins_itself_panics() {
    each_mode(|rt, _| {
        let (give, given) = chan::bounded::<gosched::JoinHandle<()>>(1);
        let joins = rt.handle().go(move || {
            let own = given.recv().expect("it comes");
            let own = own.join_timeout(Duration::from_millis(1)).expect_err("it has not ended");
            drop(own.join());
        });
        let id = joins.id();
        give.send(joins).expect("it is there");
        // It has ended when the runtime has nothing left of it.
        let began = std::time::Instant::now();
        while rt.stats().goroutines > 0 {
            assert!(began.elapsed() < LONG, "goroutine {id} waits for itself");
            std::thread::yield_now();
        }
    });
}

#[test]
fn what_was_polled_out_is_finished_and_joins_with_a_panic() {
    each_mode(|rt, _| {
        rt.run(|| {
            let mut handle = gosched::go(|| 5);
            assert_eq!(gosched::future::block_on(&mut handle).expect("no panic"), 5);
            assert!(handle.is_finished());
            let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handle.join()));
            let payload = joined.expect_err("it says so");
            let said = payload.downcast_ref::<&str>().copied().unwrap_or_default();
            assert!(said.contains("taken by polling"), "{said}");
        });
    });
}
