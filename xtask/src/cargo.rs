//! Runs cargo, shows what it prints, and counts the tests that ran.
//!
//! An exit status of zero says that nothing failed. That is also true when nothing ran: a misspelt
//! filter, a cfg that no longer exists, a test file that is not built. So each suite's `test
//! result` line is read and compared with what the step demands.

mod failures;

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use failures::{Failure, Failures};

/// One test binary, or one crate's doctests, that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suite {
    /// `tests/x.rs`, `unit crate_name` or `doc crate_name`.
    pub(crate) name: String,
    pub(crate) passed: u64,
}

/// The result of a run of cargo.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) suites: Vec<Suite>,
    pub(crate) failures: Vec<Failure>,
}

impl Outcome {
    pub(crate) fn passed(&self) -> u64 {
        self.suites.iter().map(|suite| suite.passed).sum()
    }

    /// Returns what is wrong with a run of tests, in words; nothing if all passed and enough ran.
    pub(crate) fn complaints(&self, minimum: u64, required: &[String]) -> Vec<String> {
        let mut complaints = shortfall(&self.suites, minimum, required);
        if !self.success {
            complaints.push("cargo failed".to_owned());
        }
        complaints.extend(self.failures.iter().map(Failure::lines));
        complaints
    }
}

/// Returns the top of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// Returns the directory where cargo builds. `area` names a directory inside it, for a build whose
/// flags would discard the results of other builds.
pub(crate) fn target_dir(area: Option<&str>) -> PathBuf {
    let base = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    };
    match area {
        Some(area) => base.join(area),
        None => base,
    }
}

/// Returns a cargo command at the top of the workspace.
pub(crate) fn command(arguments: &[&str], area: Option<&str>) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command_of(Path::new(&cargo), arguments, area)
}

/// Returns a command of this cargo, which may be another toolchain's.
pub(crate) fn command_of(cargo: &Path, arguments: &[&str], area: Option<&str>) -> Command {
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root()).env("CARGO_TARGET_DIR", target_dir(area));
    // The lines that are counted must be free of colour codes.
    command.env("CARGO_TERM_COLOR", "never");
    command
}

/// Runs `command` to its end, passes on its output, and counts.
pub(crate) fn run(command: Command) -> io::Result<Outcome> {
    let mut tally = Tally::default();
    let success = watch(command, |line| tally.line(line))?;
    Ok(Outcome { success, suites: tally.suites, failures: tally.failures.into_found() })
}

/// Runs `command` to its end, passes on its output, and shows each line to `see`. True if the
/// command succeeded.
///
/// The two output streams share one pipe: cargo names a suite on one stream, the suite reports on
/// the other, and only their order says which result belongs to which suite.
pub(crate) fn watch(mut command: Command, mut see: impl FnMut(&str)) -> io::Result<bool> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command holds the writing ends of the pipe. While they are open, the reader never sees
    // the end.
    drop(command);
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader);
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        see(&text);
        line.clear();
    }
    Ok(child.wait()?.success())
}

#[derive(Debug, Default)]
struct Tally {
    suites: Vec<Suite>,
    failures: Failures,
}

impl Tally {
    fn line(&mut self, line: &str) {
        let suite = self.suites.last().map_or("before the first suite", |suite| &suite.name);
        self.failures.line(suite, line);
        if let Some(name) = suite_name(line) {
            self.suites.push(Suite { name, passed: 0 });
        } else if let (Some(suite), Some(passed)) = (self.suites.last_mut(), passed(line)) {
            // Doctests report in several parts. A test that starts its own binary again may pass on
            // the child's report, but the suite's own report comes last.
            suite.passed =
                if suite.name.starts_with("doc ") { suite.passed + passed } else { passed };
        }
    }
}

/// Returns the suite that cargo announces in this line.
fn suite_name(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("doc {name}"));
    }
    let (what, binary) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    if !what.starts_with("unittests ") {
        return Some(what.to_owned());
    }
    let binary = binary.rsplit('/').next()?;
    let name = binary.rsplit_once('-').map_or(binary, |(name, _hash)| name);
    Some(format!("unit {name}"))
}

/// Returns the number of passed tests in libtest's closing line.
fn passed(line: &str) -> Option<u64> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let (_verdict, counts) = rest.split_once(". ")?;
    counts.split_once(" passed;")?.0.parse().ok()
}

/// Returns what the suites that ran lack, in words; nothing if they meet the step's demands.
fn shortfall(suites: &[Suite], minimum: u64, required: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    for name in required {
        match suites.iter().find(|suite| suite.name == *name) {
            None => complaints.push(format!("`{name}` did not run")),
            Some(suite) if suite.passed == 0 => complaints.push(format!("`{name}` ran no test")),
            Some(_) => {}
        }
    }
    let total: u64 = suites.iter().map(|suite| suite.passed).sum();
    if total < minimum {
        complaints.push(format!("{total} tests passed, at least {minimum} must"));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
   Compiling gosched v0.1.0 (/x)
     Running unittests src/lib.rs (target/debug/deps/gosched_scheduler-0011aabb)
running 3 tests
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/crash.rs (target/debug/deps/crash-0011aabb)
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 6 filtered out; finished in 0.00s
test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/empty.rs (target/debug/deps/empty-0011aabb)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests gosched
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    fn suites() -> Vec<Suite> {
        let mut tally = Tally::default();
        OUTPUT.lines().for_each(|line| tally.line(line));
        tally.suites
    }

    #[test]
    fn each_result_goes_to_its_suite() {
        let found: Vec<(String, u64)> =
            suites().into_iter().map(|suite| (suite.name, suite.passed)).collect();
        let wanted = [
            ("unit gosched_scheduler", 3),
            ("tests/crash.rs", 7),
            ("tests/empty.rs", 0),
            ("doc gosched", 6),
        ];
        assert_eq!(found, wanted.map(|(name, passed)| (name.to_owned(), passed)));
    }

    #[test]
    fn a_failed_suite_counts_what_passed() {
        assert_eq!(passed("test result: FAILED. 5 passed; 1 failed; 0 ignored"), Some(5));
        assert_eq!(passed("test chan::passed ... ok"), None);
    }

    #[test]
    fn what_did_not_run_is_named() {
        let required = ["tests/crash.rs", "tests/empty.rs", "tests/gone.rs"].map(str::to_owned);
        assert_eq!(
            shortfall(&suites(), 17, &required),
            [
                "`tests/empty.rs` ran no test",
                "`tests/gone.rs` did not run",
                "16 tests passed, at least 17 must"
            ]
        );
        assert!(shortfall(&suites(), 16, &required[..1]).is_empty());
    }

    #[test]
    fn output_and_status_of_a_child_are_seen() {
        let mut child = Command::new("sh");
        child.args([
            "-c",
            "echo '   Doc-tests a' >&2; echo 'test result: ok. 2 passed; 0 failed;'; exit 3",
        ]);
        let outcome = run(child).expect("sh runs");
        assert!(!outcome.success);
        assert_eq!(outcome.suites, [Suite { name: "doc a".to_owned(), passed: 2 }]);
        assert_eq!(outcome.passed(), 2);
    }
}
