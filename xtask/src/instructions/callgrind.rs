//! Runs a program under valgrind's callgrind, and reads how many instructions its main thread
//! executed, and where.
//!
//! Counts, unlike times, are the same on a busy machine. They show nothing of caches, branch
//! prediction and waiting: a fence and an addition count the same.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where an instruction belongs: the function that it was compiled into, and the source that it was
/// written in. They differ for inlined code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) function: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// Instructions executed at each place, by the place's own code and not by its callees.
///
/// The inclusive counts are not read: callgrind follows calls and returns, and a switch of stacks
/// is neither.
pub(crate) type Profile = BTreeMap<Place, u64>;

/// Returns an error with advice if valgrind is not installed.
pub(crate) fn installed(valgrind: &str) -> Result<(), String> {
    match Command::new(valgrind).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{valgrind} --version`: {}", output.status)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
            "{valgrind} is not installed; it counts the instructions (the package is called \
             valgrind)"
        )),
        Err(error) => Err(format!("cannot run {valgrind}: {error}")),
    }
}

/// Runs `program` with `arguments`. Callgrind writes its files to the directory `scratch`.
pub(crate) fn profile(
    program: &Path,
    arguments: &[&str],
    scratch: &Path,
) -> Result<Profile, String> {
    let base = scratch.join("callgrind");
    // Callgrind gives the main thread's file this suffix when it keeps threads apart.
    let main_thread = scratch.join("callgrind-01");
    std::fs::create_dir_all(scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    // The files of an earlier run must not be read as those of this one.
    match std::fs::remove_file(&main_thread) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(format!("{}: {error}", main_thread.display()));
        }
        _ => {}
    }
    let mut command = Command::new("valgrind");
    command.args([
        "--tool=callgrind",
        "--separate-threads=yes",
        "--compress-strings=no",
        "--compress-pos=no",
    ]);
    command.arg(format!("--callgrind-out-file={}", base.display())).arg(program).args(arguments);
    let output = command.output().map_err(|error| format!("cannot run valgrind: {error}"))?;
    if !output.status.success() {
        let report = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{} {arguments:?} under callgrind: {}\n{report}",
            program.display(),
            output.status
        ));
    }
    let text = std::fs::read_to_string(&main_thread)
        .map_err(|error| format!("{}: {error}", main_thread.display()))?;
    parse(&text)
}

/// Reads callgrind's format with both compressions off. The sum is compared with the total that
/// callgrind states, so a misread line is noticed.
fn parse(text: &str) -> Result<Profile, String> {
    let mut profile = Profile::new();
    let (mut function, mut file) = (String::new(), String::new());
    let (mut stated, mut called) = (None, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name.to_owned();
        } else if let Some(path) =
            ["fl=", "fi=", "fe="].iter().find_map(|key| line.strip_prefix(key))
        {
            file = path.to_owned();
        } else if line.starts_with("calls=") {
            called = true;
        } else if let Some(total) = line.strip_prefix("totals: ") {
            stated = total.trim().parse::<u64>().ok();
        } else if let Some((line, cost)) = position(line) {
            // The line after `calls=` has the cost of the callee.
            if !std::mem::take(&mut called) {
                *profile
                    .entry(Place { function: function.clone(), file: file.clone(), line })
                    .or_default() += cost;
            }
        }
    }
    let sum: u64 = profile.values().sum();
    match stated {
        Some(total) if total == sum && sum > 0 => Ok(profile),
        _ => Err(format!("callgrind's file adds up to {sum} instructions and states {stated:?}")),
    }
}

/// Reads `LINE COST`.
fn position(line: &str) -> Option<(u32, u64)> {
    let (position, cost) = line.split_once(' ')?;
    Some((position.parse().ok()?, cost.trim().parse().ok()?))
}

/// Returns a directory of this process's own, for callgrind's files.
pub(crate) fn scratch() -> PathBuf {
    crate::cargo::target_dir(Some("instructions")).join(std::process::id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
version: 1
positions: line
events: Ir
fl=/x/src/run.rs
fn=run::round
10 7
fi=/x/src/table.rs
4 2
fe=/x/src/run.rs
cfi=/x/src/find.rs
cfn=run::find
calls=3 20
11 600
12 1

fl=/x/src/find.rs
fn=run::find
20 500
20 100
totals: 610
";

    fn place(function: &str, file: &str, line: u32) -> Place {
        Place { function: function.to_owned(), file: file.to_owned(), line }
    }

    #[test]
    fn each_place_has_its_own_instructions_and_not_its_callees() {
        let profile = parse(OUTPUT).expect("it adds up");
        let wanted = [
            (place("run::find", "/x/src/find.rs", 20), 600),
            (place("run::round", "/x/src/run.rs", 10), 7),
            (place("run::round", "/x/src/run.rs", 12), 1),
            (place("run::round", "/x/src/table.rs", 4), 2),
        ];
        assert_eq!(profile, BTreeMap::from(wanted));
    }

    #[test]
    fn a_file_that_does_not_add_up_or_holds_nothing_is_refused() {
        for wrong in [
            OUTPUT.replace("12 1", "12 2"),
            OUTPUT.replace("totals: 610", ""),
            "totals: 0\n".to_owned(),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_missing_valgrind_is_named() {
        let complaint = installed("no-such-valgrind").expect_err("there is none");
        assert!(complaint.contains("no-such-valgrind is not installed"), "{complaint}");
    }
}
