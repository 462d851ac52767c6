//! The warnings about a goroutine that keeps its siblings waiting, and which goroutines it holds
//! up.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gosched::goroutine::Builder;
use gosched::{JoinHandle, Runtime, chan, goroutine, time, yield_now};
use test_support::{death, in_child, settled};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::support::{Ticker, compute, eventually};

/// Every warning so far, one line each.
static HEARD: Mutex<String> = Mutex::new(String::new());

fn heard() -> String {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

struct Listener;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).expect("a string takes all");
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(heard, "{}", line.0).expect("a string takes all");
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Makes a runtime with one P, so that spawned goroutines settle on one thread, and a ticker
/// beside.
fn runtime() -> Runtime {
    tracing::subscriber::set_global_default(Listener).expect("the first in this process");
    Runtime::builder(settled()).procs(1).build().expect("a runtime")
}

/// Makes a goroutine beside which others settle. It stays until the sender is dropped.
fn host(rt: &Runtime) -> (chan::Sender<()>, JoinHandle<()>) {
    let (stays, until) = chan::bounded(0);
    let host = rt.handle().go(move || assert!(until.recv().is_err()));
    (stays, host)
}

#[track_caller]
fn in_a_child_of_its_own(name: &str, body: fn()) {
    let Some(output) = in_child(name) else {
        body();
        eprintln!("told");
        return;
    };
    assert!(output.status.success() && death(&output).1.contains("told"), "{}", death(&output).1);
}

#[test]
fn one_that_blocks_delays_its_siblings_and_nobody_else_and_is_named() {
    in_a_child_of_its_own(
        "warning::one_that_blocks_delays_its_siblings_and_nobody_else_and_is_named",
        || {
            let rt = runtime();
            let ticker = Ticker::start(&rt);
            let (_stays, host) = host(&rt);
            let beside = || Builder::new().runtime(&rt.handle()).with(&host);
            let (tell, told) = chan::bounded(1);
            let blocks = beside().go(move || {
                let number = told.recv().expect("it is told");
                std::thread::sleep(Duration::from_millis(300));
                (goroutine::current_id().expect("it is one"), number)
            });
            let sibling = beside().go(move || {
                tell.send(goroutine::current_id().expect("it is one")).expect("there is room");
                let asked = Instant::now();
                yield_now();
                asked.elapsed()
            });
            let (me, number) = blocks.join().expect("no panic");
            let delayed = (me, number, sibling.join().expect("no panic"));
            let (me, sibling, late) = delayed;
            assert!(late >= Duration::from_millis(300), "it shares the thread: {late:?}");
            let ticked = ticker.stop();
            assert!(ticked.gap < Duration::from_millis(100), "nobody else waits: {ticked:?}");
            eventually("the event", || !heard().is_empty());
            let heard = heard();
            assert!(heard.contains(&format!("goroutine={me} ")), "{heard}");
            let siblings = [host.id(), sibling];
            assert!(heard.contains(&format!("siblings={siblings:?}")), "{heard}");
            assert!(heard.contains("blocks its thread"), "{heard}");
        },
    );
}

#[test]
fn one_that_computes_is_named() {
    in_a_child_of_its_own("warning::one_that_computes_is_named", || {
        let rt = runtime();
        let (_stays, host) = host(&rt);
        let beside = || Builder::new().runtime(&rt.handle()).with(&host);
        let (ready, is_ready) = chan::bounded(1);
        let sibling = beside().go(move || is_ready.recv().expect("sent"));
        let computes = beside().go(move || {
            ready.send(()).expect("there is room");
            compute(Duration::from_millis(300));
            goroutine::current_id().expect("it is one")
        });
        let me = computes.join().expect("no panic");
        sibling.join().expect("no panic");
        eventually("the event", || !heard().is_empty());
        let heard = heard();
        assert!(
            heard.contains(&format!("goroutine={me} ")) && heard.contains("computes"),
            "{heard}"
        );
    });
}

#[test]
fn two_siblings_and_a_std_lock_are_both_named() {
    in_a_child_of_its_own("warning::two_siblings_and_a_std_lock_are_both_named", || {
        let rt = runtime();
        let lock = Arc::new(Mutex::new(()));
        let (tell, told) = std::sync::mpsc::channel();
        // The deadlock is real: these two never end, and neither does their runtime.
        let theirs = lock.clone();
        let (_stays, host) = host(&rt);
        let beside = || Builder::new().runtime(&rt.handle()).with(&host);
        let id = || goroutine::current_id().expect("it is one");
        let theirs_too = tell.clone();
        let holder = beside().go(move || {
            let _held = theirs.lock();
            theirs_too.send(id()).expect("it is awaited");
            time::sleep(Duration::from_millis(50));
        });
        drop(beside().go(move || {
            tell.send(id()).expect("it is awaited");
            let _never = lock.lock();
            holder.join().expect("it does not come to this");
        }));
        let made_here = file!();
        let (holder, waiter) =
            (told.recv().expect("the holder"), told.recv().expect("the other one"));
        eventually("the second event", || heard().contains("std lock"));
        let heard = heard();
        let last = heard.lines().last().expect("a line");
        assert!(last.contains(&format!("goroutine={waiter} ")), "{heard}");
        let siblings = [host.id(), holder];
        assert!(last.contains(&format!("siblings={siblings:?}")), "{heard}");
        assert!(last.contains(&format!("made_at=\"{made_here}:")), "{heard}");
        std::mem::forget(rt);
    });
}
