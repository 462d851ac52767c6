//! The main job, from outside: `examples/callbacks` as a user runs it, in every binding and mode,
//! without a storm and in one.

mod callbacks_example;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use callbacks_example::Run;

const BINDINGS: [&str; 2] = ["per-call", "until-thread-exit"];
const MODES: [&str; 3] = ["threads", "settled", "migratory"];

/// One storm at a time: each needs two CPUs for itself.
static STORM: Mutex<()> = Mutex::new(());

/// Runs the example with `--json` and more arguments.
fn run(args: &[&str]) -> Run {
    Run::new(&[args, &["--json"]].concat(), &[])
}

fn run_on(text: &Path, args: &[&str]) -> Run {
    run(&[args, &[text.to_str().expect("the build directory has a plain name")]].concat())
}

/// Makes a file of these tests that holds `text`.
fn file(name: &str, text: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the build directory is writable");
    path
}

#[track_caller]
fn assert_all_right(run: &Run, binding: &str, mode: &str) {
    assert_eq!(run.status(), Some(0), "{run}");
    assert_eq!(
        (run.json("binding"), run.json("mode")),
        (binding.to_owned(), mode.to_owned()),
        "{run}"
    );
    assert_eq!(run.number("words"), run.number("expected_words"), "{run}");
    assert_eq!(run.number("lines"), run.number("callbacks"), "{run}");
    // The example needs less than a millisecond for a short text.
    let wall_ms: f64 = run.json("wall_ms").parse().expect("a decimal number");
    assert!(wall_ms > 0.0 && run.number("callbacks_per_s") > 0, "{run}");
    assert!(
        0 < run.number("enter_p50_ns") && run.number("enter_p50_ns") <= run.number("enter_p99_ns"),
        "{run}"
    );
    assert_eq!(run.number("signals_torn"), 0, "{run}");
}

#[test]
fn every_binding_and_mode_counts_right() {
    for binding in BINDINGS {
        for mode in MODES {
            let run = run(&[
                "--binding",
                binding,
                "--mode",
                mode,
                "--threads=3",
                "--rounds",
                "2",
                "--goroutines",
                "5",
            ]);
            assert_all_right(&run, binding, mode);
            // The text of the repository: 2,000 lines, 23,844 words.
            assert_eq!(
                (run.number("lines"), run.number("words"), run.number("threads")),
                (4_000, 47_688, 3),
                "{run}"
            );
            assert_eq!(run.number("signals"), 0, "{run}");
        }
    }
}

fn storm(binding: &str, mode: &str) {
    let _alone = STORM.lock().unwrap_or_else(PoisonError::into_inner);
    let run = run(&[
        "--storm",
        "--threads",
        "8",
        "--binding",
        binding,
        "--mode",
        mode,
        "--signals",
        "100001",
    ]);
    assert_all_right(&run, binding, mode);
    let found = ["signals", "signals_in_goroutine", "signals_outside"].map(|name| run.number(name));
    assert!(found[0] > 100_000, "{run}");
    assert_eq!(found[0], found[1] + found[2], "{run}");
    // A storm that finds only one of the two states proves nothing about the way between them. A
    // bound thread that waits for its answer most of the time is seldom found outside.
    assert!(found[1] > 1_000 && found[2] > 10, "{run}");
}

#[test]
fn a_storm_tears_nothing_per_call_threads() {
    storm("per-call", "threads");
}

#[test]
fn a_storm_tears_nothing_per_call_settled() {
    storm("per-call", "settled");
}

#[test]
fn a_storm_tears_nothing_per_call_migratory() {
    storm("per-call", "migratory");
}

#[test]
fn a_storm_tears_nothing_until_thread_exit_threads() {
    storm("until-thread-exit", "threads");
}

#[test]
fn a_storm_tears_nothing_until_thread_exit_settled() {
    storm("until-thread-exit", "settled");
}

#[test]
fn a_storm_tears_nothing_until_thread_exit_migratory() {
    storm("until-thread-exit", "migratory");
}

#[test]
fn bytes_that_are_no_text_are_counted_and_nothing_is_lost() {
    let text = file(
        "odd.txt",
        b"\xff\xfe one\0two\n\n \t \x0b\x0c\r\ncaf\xe9 \xc3\x28\n\n\nlast, without a newline",
    );
    for threads in ["1", "2", "64"] {
        let run = run_on(&text, &["--threads", threads, "--rounds", "3"]);
        assert_all_right(&run, "until-thread-exit", "settled");
        assert_eq!((run.number("lines"), run.number("words")), (7 * 3, 8 * 3), "{run}");
    }
}

#[test]
fn a_line_can_be_long_and_a_file_empty() {
    let run_long = run_on(&file("long.txt", &b"word ".repeat(200_000)), &["--rounds", "1"]);
    assert_eq!(
        (run_long.status(), run_long.number("lines"), run_long.number("words")),
        (Some(0), 1, 200_000)
    );
    let run_empty = run_on(&file("empty.txt", b""), &["--storm"]);
    assert_eq!((run_empty.status(), run_empty.number("lines")), (Some(0), 0), "{run_empty}");
}

#[test]
fn a_table_is_printed_without_json() {
    let run = Run::new(&["--rounds", "1"], &[]);
    assert_eq!(run.status(), Some(0), "{run}");
    let printed = run.to_string();
    assert!(printed.lines().any(|line| line.split_whitespace().eq(["words", "23844"])), "{run}");
    assert!(printed.contains("enter p99 ns"), "{run}");
}

#[test]
fn bad_arguments_are_named_and_end_with_2() {
    for (args, complaint) in [
        (&["--threads", "0"][..], "--threads \"0\": expected a number from 1 to 1024"),
        (&["--threads"], "--threads: needs a value"),
        (&["--rounds=many"], "--rounds \"many\": expected a number"),
        (&["--mode", "green"], "--mode \"green\": expected threads or settled or migratory"),
        (&["--binding="], "--binding \"\": expected per-call or until-thread-exit"),
        (&["--json=yes"], "--json=yes: takes no value"),
        (&["--strom"], "--strom: no such option"),
        (&["one.txt", "two.txt"], "\"two.txt\": one file only"),
    ] {
        let run = Run::new(args, &[]);
        assert_eq!(run.status(), Some(2), "{args:?}\n{run}");
        assert!(run.complaint().contains(complaint), "{args:?}\n{run}");
    }
}

#[test]
fn unreadable_files_are_named_and_end_with_1() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no such file");
    for path in [missing.as_path(), Path::new(env!("CARGO_TARGET_TMPDIR"))] {
        let run = Run::new(&[path], &[]);
        assert_eq!(run.status(), Some(1), "{run}");
        assert!(
            run.complaint().contains("cannot read") && run.complaint().contains("os error"),
            "{run}"
        );
    }
    let odd_name = std::ffi::OsStr::from_bytes(b"/no/\xff/such");
    assert_eq!(Run::new(&[odd_name], &[]).status(), Some(1));
}
