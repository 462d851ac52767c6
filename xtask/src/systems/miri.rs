//! `cargo xtask miri`: futures of channels and selects under Miri. It needs the component `miri`
//! of a nightly toolchain, so it is no step of `cargo xtask test`.

use std::path::Path;

use crate::cargo;

/// How many tests there are at least in `tests/no_scheduler.rs`.
const LEAST: u64 = 4;

/// Runs the tests that need no runtime under Miri, with eight orders of their threads.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err(format!("no arguments are taken: {arguments:?}"));
    }
    let words = ["run", "nightly", "cargo", "miri", "test", "-p", "gosched", "--test"];
    let words: Vec<&str> = words.into_iter().chain(["no_scheduler"]).collect();
    let mut command = cargo::command_of(Path::new("rustup"), &words, None);
    // Miri knows no `membarrier`. What stands in for it is tested on Linux, too.
    command.env("RUSTFLAGS", "--cfg gosched_no_membarrier");
    command.env("MIRIFLAGS", "-Zmiri-many-seeds=0..8");
    let outcome = cargo::run(command).map_err(|error| format!("rustup: {error}"))?;
    let complaints = outcome.complaints(LEAST, &[]);
    if complaints.is_empty() {
        return Ok(());
    }
    let help = "`rustup toolchain install nightly --component miri,rust-src` brings it";
    Err(format!("{}\n{help}", complaints.join("\n")))
}
