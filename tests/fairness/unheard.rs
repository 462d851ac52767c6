//! Warnings of a process in which nobody listens to `tracing`: on standard error, unless the
//! builder says otherwise.

use std::time::Duration;

use gosched::callback::Bridge;
use gosched::goroutine::Builder;
use gosched::runtime::Warnings;
use gosched::{Runtime, chan, go, time, yield_now};
use test_support::{in_child_with, modes, settled};

/// Blocks a thread, with a settled sibling behind, for longer than it takes to be reported. Twice,
/// by goroutines that are made at the same place.
fn stall(warnings: Warnings) {
    let rt = Runtime::builder(settled()).procs(1).warnings(warnings).build().expect("a runtime");
    for _ in 0..2 {
        rt.run(|| {
            let (ready, is_ready) = chan::bounded(1);
            let sibling = go(move || is_ready.recv().expect("sent"));
            let blocks = Builder::new().with(&sibling).go(move || {
                ready.send(()).expect("there is room");
                std::thread::sleep(Duration::from_millis(400));
            });
            blocks.join().expect("no panic");
            sibling.join().expect("no panic");
        });
    }
}

/// The lines on standard error that warn of the goroutine.
fn told(name: &str, kind: &str, warnings: Warnings) -> Vec<String> {
    let name = format!("unheard::{name}");
    let Some(output) = in_child_with(&name, &[("GOSCHED_CASE", kind)]) else {
        if std::env::var("GOSCHED_CASE").as_deref() == Ok(kind) {
            stall(warnings);
        }
        return Vec::new();
    };
    assert!(output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines = stderr.lines().filter(|line| line.starts_with("gosched: "));
    lines.map(str::to_owned).collect()
}

fn is_child() -> bool {
    std::env::var_os("GOSCHED_CHILD").is_some()
}

#[test]
fn the_first_of_each_place_is_told() {
    for (kind, warnings) in [("heard", Warnings::Heard), ("stderr", Warnings::Stderr)] {
        let lines = told("the_first_of_each_place_is_told", kind, warnings);
        if !is_child() {
            let [line] = lines.as_slice() else { panic!("{kind}: {lines:#?}") };
            assert!(line.contains("blocks its thread") && line.contains(file!()), "{line}");
        }
    }
}

#[test]
fn who_asked_for_silence_has_it() {
    for (kind, warnings) in [("off", Warnings::Off), ("events", Warnings::Events)] {
        let lines = told("who_asked_for_silence_has_it", kind, warnings);
        assert_eq!(lines, [""; 0], "{kind}");
    }
}

/// Runs `body` in a child, in which nobody listens, and returns the lines on standard error that
/// begin as ours do. Panics print no backtrace there: with many symbols to read it takes so long
/// that the goroutine is reported to block its thread.
fn lines_of(name: &str, body: fn()) -> Vec<String> {
    let variables = [("RUST_BACKTRACE", "0")];
    let Some(output) = in_child_with(&format!("unheard::{name}"), &variables) else {
        body();
        return Vec::new();
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    stderr.lines().filter(|line| line.starts_with("gosched: ")).map(str::to_owned).collect()
}

/// A goroutine that C has called back waits, and another one is ready on the same thread.
#[test]
fn a_wait_in_place_is_told() {
    let lines = lines_of("a_wait_in_place_is_told", || {
        let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
        let bridge = Bridge::new(&rt);
        rt.run(|| {
            let (tx, rx) = chan::bounded::<()>(0);
            let (ready, is_ready) = chan::bounded(1);
            let (begun, has_begun) = chan::bounded(1);
            let sibling = go(move || {
                begun.send(()).expect("there is room");
                is_ready.recv().expect("sent");
            });
            has_begun.recv().expect("it has begun");
            let waker = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(1500));
                tx.send(()).expect("it is awaited");
            });
            let builder = Builder::new().name("called back").with(&sibling);
            let called = builder.go(move || {
                ready.send(()).expect("there is room");
                bridge.enter(|| rx.recv().expect("sent")).expect("let in");
            });
            called.join().expect("no panic");
            sibling.join().expect("no panic");
            waker.join().expect("no panic");
        });
    });
    if !is_child() {
        let [line] = lines.as_slice() else { panic!("{lines:#?}") };
        for part in [
            "a goroutine waits in place for a value from a channel in a call-back of C",
            "keeps those settled on the same thread waiting",
            "(use Builder::own_thread",
            "name=\"called back\"",
            file!(),
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}

#[test]
fn a_panic_that_nobody_joins_is_told() {
    let lines = lines_of("a_panic_that_nobody_joins_is_told", || {
        for mode in modes() {
            let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
            rt.run(|| {
                // Dropped before it has begun, and when it has ended. The first of a place is told.
                drop(Builder::new().name("detached").go(|| panic!("no more paper")));
                let late = go(|| std::panic::resume_unwind(Box::new("no more ink".to_owned())));
                while !late.is_finished() {
                    yield_now();
                }
                drop(late);
                // What is joined, or cancelled, is not told.
                let joined = go(|| panic!("this is told by its joiner"));
                joined.join().expect_err("it panicked");
                let waits = go(|| time::sleep(Duration::from_secs(3600)));
                waits.cancel();
            });
        }
    });
    if !is_child() {
        let told = |name: &str, text: &str| {
            let these = lines.iter().filter(|line| line.contains(text) && line.contains(name));
            assert_eq!(these.count(), 1, "{lines:#?}");
        };
        told("name=\"detached\"", "a goroutine panicked, and nobody joined it: no more paper");
        told("name=\"\"", "a goroutine panicked, and nobody joined it: no more ink");
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines.iter().all(|line| line.contains(file!())), "{lines:#?}");
    }
}
