//! Warnings of a process in which nobody listens to `tracing`: on standard error, unless the
//! builder says otherwise.

use std::time::Duration;

use gosched::goroutine::Builder;
use gosched::runtime::Warnings;
use gosched::{Runtime, yield_now};
use test_support::{in_child_with, settled};

/// Blocks a thread, with a settled sibling behind, for longer than it takes to be reported. Twice,
/// by goroutines that are made at the same place.
fn stall(warnings: Warnings) {
    let rt = Runtime::builder(settled()).procs(1).warnings(warnings).build().expect("a runtime");
    for _ in 0..2 {
        rt.run(|| {
            let sibling = Builder::new().talks().go(yield_now);
            let blocks =
                Builder::new().talks().go(|| std::thread::sleep(Duration::from_millis(400)));
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
