//! The examples, as a user runs them.
//!
//! # Safety
//!
//! One child is sent a signal.
#![expect(unsafe_code, reason = "sends a signal")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Returns where cargo built the example, beside this test.
fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("<profile>/deps/<test>");
    let example = profile.join("examples").join(name);
    assert!(example.is_file(), "{} is missing: `cargo build --examples` first", example.display());
    example
}

/// Runs the example, and returns what it printed.
fn printed(name: &str) -> String {
    let output = Command::new(path(name)).output().expect("it can be started");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn tokio_compat() {
    assert_eq!(printed("tokio_compat"), "50 goroutines asked by hyper: 40425\n");
}

#[test]
fn axum_both_ways() {
    assert!(printed("axum_both_ways").ends_with(" counted by one goroutine: 210\n"));
}

#[test]
fn crawler() {
    assert!(printed("crawler").ends_with("\n127 pages, the deepest at level 7\n"));
}

/// Ctrl-C ends it in order: it says what it has seen, and ends well.
#[test]
fn crawler_with_ctrl_c() {
    let mut child = Command::new(path("crawler"))
        .arg("--endless")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("it says that it crawls").expect("text");
    assert!(first.starts_with("crawls "), "{first}");
    let number = i32::try_from(child.id()).expect("a process's number");
    // SAFETY: takes numbers only; the child is there until it is waited for.
    assert_eq!(unsafe { libc::kill(number, libc::SIGINT) }, 0);
    let rest: Vec<String> = lines.map(|line| line.expect("text")).collect();
    assert!(child.wait().expect("it ends").success(), "{rest:?}");
    assert_eq!(rest[0], "stopped by signal 2");
    assert!(rest[1].contains(" pages, "), "{rest:?}");
}
