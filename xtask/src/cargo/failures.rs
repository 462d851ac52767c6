//! Which tests failed, and what they said, read from what libtest and cargo print.
//!
//! A run prints tens of thousands of lines, and who reads a kept part of them sees the end. So the
//! failures are said again there.

/// How many lines of a failed test's own output are said again. The panic's message comes first.
const SAID_LINES: usize = 8;

/// How a test, or a whole suite, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `tests/x.rs: the_test`, or the suite alone where its process ended early.
    pub(crate) test: String,
    /// The beginning of what it printed, without its backtrace.
    pub(crate) said: Vec<String>,
}

impl Failure {
    /// Returns one line for the test and one for each line that it printed.
    pub(crate) fn lines(&self) -> String {
        let said: String = self.said.iter().map(|line| format!("\n      | {line}")).collect();
        format!("{}{said}", self.test)
    }
}

/// Reads the output of test binaries.
///
/// libtest prints `---- NAME stdout ----` and the output of each failed test, and then the names
/// below `failures:`. A test's output may contain anything, so a failure counts only when the
/// closing list names it.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    found: Vec<Failure>,
    /// What the tests of this suite that failed have printed.
    printed: Vec<Failure>,
    /// True while lines belong to the last of `printed`.
    prints: bool,
    /// The names below the last `failures:`.
    named: Vec<String>,
    /// True from `failures:` until a test's output or the suite's end.
    names: bool,
}

impl Failures {
    /// Reads a line that was printed while `suite` ran.
    pub(crate) fn line(&mut self, suite: &str, line: &str) {
        let line = line.trim_end();
        if line == "failures:" {
            self.named.clear();
            (self.names, self.prints) = (true, false);
        } else if let Some(test) = heading(line) {
            self.printed.push(Failure { test: test.to_owned(), said: Vec::new() });
            (self.names, self.prints) = (false, true);
        } else if line.starts_with("test result: FAILED") {
            self.close(suite);
        } else if line.starts_with("test result: ok") {
            self.named.clear();
            self.close(suite);
        } else if line.trim_start().starts_with("process didn't exit successfully")
            && line.contains("(signal:")
        {
            self.found
                .push(Failure { test: suite.to_owned(), said: vec![line.trim_start().to_owned()] });
        } else if self.names && line.starts_with("    ") {
            self.named.push(line.trim_start().to_owned());
        } else if self.prints {
            self.keep(line);
        }
    }

    /// Keeps a line of the test whose output is read, if it belongs to the beginning.
    fn keep(&mut self, line: &str) {
        let Some(Failure { said, .. }) = self.printed.last_mut() else { return };
        if line == "stack backtrace:" || said.len() == SAID_LINES {
            self.prints = false;
        } else if !line.is_empty() {
            said.push(line.to_owned());
        }
    }

    /// Ends a suite: those whose names were listed have failed.
    fn close(&mut self, suite: &str) {
        let printed = std::mem::take(&mut self.printed);
        for name in self.named.drain(..) {
            let said = printed
                .iter()
                .find(|failure| failure.test == name)
                .map_or_else(Vec::new, |failure| failure.said.clone());
            self.found.push(Failure { test: format!("{suite}: {name}"), said });
        }
        (self.names, self.prints) = (false, false);
    }

    pub(crate) fn into_found(self) -> Vec<Failure> {
        self.found
    }
}

/// Returns the test above whose output libtest prints this line.
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Vec<Failure> {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.line("tests/x.rs", line));
        failures.into_found()
    }

    const OUTPUT: &str = "\
test a ... FAILED

failures:

---- a stdout ----

thread 'a' panicked at tests/x.rs:1:1:
late
stack backtrace:
    0: std::panicking
    failures
---- b stdout ----
no list below names this one

failures:
    a

test result: FAILED. 1 passed; 1 failed; 0 ignored
";

    #[test]
    fn a_failed_test_is_named_with_its_panic() {
        let said = ["thread 'a' panicked at tests/x.rs:1:1:", "late"].map(str::to_owned);
        assert_eq!(
            read(OUTPUT),
            [Failure { test: "tests/x.rs: a".to_owned(), said: said.to_vec() }]
        );
        assert_eq!(
            read(OUTPUT)[0].lines(),
            "tests/x.rs: a\n      | thread 'a' panicked at tests/x.rs:1:1:\n      | late"
        );
    }

    #[test]
    fn a_suite_that_a_signal_ended_is_named() {
        let line = "process didn't exit successfully: `x` (signal: 6, SIGABRT: process abort)";
        let found = read(&format!("running 1 test\nCaused by:\n  {line}\n"));
        assert_eq!(found, [Failure { test: "tests/x.rs".to_owned(), said: vec![line.to_owned()] }]);
    }

    #[test]
    fn a_run_without_failures_names_none() {
        assert_eq!(read("test a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored\n"), []);
    }
}
