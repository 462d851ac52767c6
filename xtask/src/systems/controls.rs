//! What must fail on a row, and what must not: a row that cannot fail shows nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::{Build, controls, scripts};
use super::rows::Depth;

/// Checks that the compiler refuses a call of Linux elsewhere, and takes one of every system.
pub(crate) fn check(build: &Build<'_>) -> Result<(), String> {
    let refused = |name: &str| -> Result<Option<String>, String> {
        let mut command = build.rustc(&scripts().join(name), &program(build, name)?);
        command.arg("--emit=metadata");
        Ok(quietly(command)?.err())
    };
    if let Some(said) = refused("here.rs")? {
        return Err(format!("a small program is refused: {said}"));
    }
    match refused("linux_only.rs")? {
        None if build.row.place().1 != "linux" => {
            Err("a call of Linux alone is taken on another system".to_owned())
        }
        Some(said) if build.row.place().1 == "linux" || !said.contains("linux") => {
            Err(format!("a call of Linux alone is refused: {said}"))
        }
        _ => Ok(()),
    }
}

/// Checks that an invented function does not link, that a program without one does, and, where
/// programs run, that it runs on the row's system.
pub(crate) fn link(build: &Build<'_>) -> Result<(), String> {
    let here = program(build, "here.rs")?;
    quietly(build.rustc(&scripts().join("here.rs"), &here))?
        .map_err(|said| format!("a small program does not link: {said}"))?;
    let invented =
        quietly(build.rustc(&scripts().join("invented.rs"), &program(build, "invented.rs")?))?;
    match invented {
        // The reason has to be that function, and not a linker that always fails.
        Err(said) if said.contains("gosched_invented_function") => {}
        Err(said) => return Err(format!("an invented function fails in another way: {said}")),
        Ok(_) if build.row.links_anything() => {}
        Ok(_) => return Err("an invented function links".to_owned()),
    }
    if !matches!(build.row.depth, Depth::Runs { .. }) {
        return Ok(());
    }
    let said = quietly(build.start(&here))?
        .map_err(|said| format!("a small program does not run: {said}"))?;
    let (arch, os) = build.row.place();
    if said.trim() == format!("{arch} {os}").trim() {
        Ok(())
    } else {
        Err(format!("a program that should run on {arch} {os} says: {}", said.trim()))
    }
}

/// Checks that the scheduler is refused on a row's system, in one sentence that says so.
pub(crate) fn refuses_the_scheduler(build: &Build<'_>) -> Result<(), String> {
    let mut command = build.bare("check");
    command.args(["--package", "gosched-scheduler", "--lib", "--message-format", "short"]);
    let Err(said) = quietly(command)? else {
        return Err("the scheduler compiles, and should be refused".to_owned());
    };
    let errors: Vec<&str> = said.lines().filter(|line| line.contains(": error")).collect();
    match errors[..] {
        [error] if error.contains("gosched does not run on") => {
            println!("the scheduler is refused: {error}");
            Ok(())
        }
        _ => Err(format!("the scheduler is not refused in one sentence: {said}")),
    }
}

/// Returns where a control's program is built.
fn program(build: &Build<'_>, source: &str) -> Result<PathBuf, String> {
    let directory = controls().join(build.row.name);
    fs::create_dir_all(&directory)
        .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    let extension = if build.row.target.contains("windows") { "exe" } else { "program" };
    Ok(directory.join(Path::new(source).with_extension(extension)))
}

/// Runs a command. Returns what it printed: on standard output if it succeeded, and otherwise all.
fn quietly(mut command: Command) -> Result<Result<String, String>, String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    })
}
