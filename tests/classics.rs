//! The classic programs among the examples, run as a user runs them: each prints what the head of
//! its file says.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Returns the output that the file promises: the lines under its command in the head.
fn promised(source: &str, name: &str) -> String {
    let command = format!("//! $ cargo run --release --example {name}");
    let lines = source.lines().skip_while(|line| *line != command).skip(1);
    lines
        .take_while(|line| *line != "//! ```")
        .map(|line| line.trim_start_matches("//! ").to_owned() + "\n")
        .collect()
}

fn check(name: &str) {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("rs");
    let promised = promised(&fs::read_to_string(source).expect("the example is there"), name);
    assert!(!promised.is_empty(), "{name} says what it prints");
    // Cargo builds the examples beside the tests.
    let test = std::env::current_exe().expect("the test binary");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    let example = profile.join("examples").join(name);
    assert!(example.is_file(), "{} is missing: `cargo build --examples` first", example.display());
    let output = Command::new(example).output().expect("it can be started");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {stderr}");
    assert_eq!(stdout, promised, "{name}: {stderr}");
}

macro_rules! classics {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

classics! {
    c_library
    daisy_chain
    dining_philosophers
    fan_in
    pipeline
    plugin_host
    power_series
    prime_sieve
    rate_limiter
    sockets
    worker_pool
}
