//! `cargo xtask public-api` and the step `api`. A package of its own does the work, so that xtask
//! itself has no dependencies.

use crate::cargo;
use std::process::{Command, Stdio};

/// The exit status of a listing that cannot read this compiler's rustdoc.
const OTHER_FORMAT: i32 = 2;

fn command(arguments: &[String]) -> Command {
    let mut command =
        cargo::command(&["run", "--quiet", "--package", "public-api-listing", "--"], None);
    command.args(arguments);
    command
}

/// The command: passes its arguments on.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    match command(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("public-api: {status}")),
        Err(error) => Err(format!("cannot run public-api: {error}")),
    }
}

/// The step. Returns the summary of the listing, or what is wrong.
pub(crate) fn check() -> Result<String, Vec<String>> {
    let output = command(&[])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| vec![format!("cannot run public-api: {error}")])?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.code() {
        // A run that lists nothing has compared nothing.
        Some(0) if said.is_empty() => Err(vec!["nothing was listed".to_owned()]),
        Some(0) => Ok(said),
        // A developer chooses the compiler. Where a merge depends on the step, a skipped step would
        // hide faults.
        Some(OTHER_FORMAT) if std::env::var_os("CI").is_none() => {
            Ok("skipped: another compiler's rustdoc".to_owned())
        }
        Some(OTHER_FORMAT) => Err(vec!["another compiler's rustdoc".to_owned()]),
        _ => Err(vec!["the public API changed, or was not listed".to_owned()]),
    }
}
