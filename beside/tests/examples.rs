//! The examples, as a user runs them.

use std::process::Command;

/// Runs the example that cargo built beside this test, and returns what it printed.
fn printed(name: &str) -> String {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("<profile>/deps/<test>");
    let example = profile.join("examples").join(name);
    assert!(example.is_file(), "{} is missing: `cargo build --examples` first", example.display());
    let output = Command::new(example).output().expect("it can be started");
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
