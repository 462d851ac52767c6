//! The program as users call it, with peers whose code it has itself.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn versus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gosched-versus")).args(arguments).output().expect("it starts")
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Returns a path that only this test uses.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

#[test]
fn a_run_prints_its_figures_and_writes_both_files() {
    let (json, svg) = (file("figures.json"), file("ratios.svg"));
    let [json, svg] = [&json, &svg].map(|path| path.to_str().expect("text"));
    let run = [
        "--only",
        "callback_first",
        "--peers",
        "gosched",
        "--rounds",
        "1",
        "--json",
        json,
        "--svg",
        svg,
    ];
    let text = printed(&versus(&run));
    for column in ["settled", "migratory"] {
        assert!(
            text.lines().any(|line| line.contains("ns_extra") && line.contains(column)),
            "no {column} in {text}"
        );
    }
    assert!(!text.contains("apart"), "{text}");
    assert!(fs::read_to_string(svg).expect("it was written").ends_with("</svg>\n"));

    // The workloads in the file are not run again.
    let again = printed(&versus(&["--only", "callback_first", "--with", json]));
    let figures = |text: &str| {
        text.lines().filter(|line| line.contains("ns_extra")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(figures(&again), figures(&text));
    for path in [json, svg] {
        fs::remove_file(path).expect("it was written");
    }
}

#[test]
fn a_peer_says_what_it_cannot_do() {
    for peer in ["settled", "migratory", "floor", "nobody"] {
        assert_eq!(printed(&versus(&["peer", peer, "nothing"])), "unsupported\n", "{peer}");
    }
}

#[test]
fn the_default_columns_do_what_placement_gets_wrong() {
    for workload in ["pipeline", "broadcast"] {
        for column in ["settled", "migratory"] {
            let text = printed(&versus(&["peer", column, workload]));
            assert!(text.starts_with("ns_per_op "), "{column}, {workload}: {text}");
        }
    }
}

#[test]
fn wrong_arguments_are_told_with_the_usage() {
    let output = versus(&["--peers", "nobody"]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("nobody") && complaint.contains("usage:"), "{complaint}");
}
