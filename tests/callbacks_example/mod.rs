//! Runs the `callbacks` example as a process of its own and reads what it prints.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Returns the path of the example that cargo built beside this test. A choice of single tests
/// (`--test callbacks`) does not build it.
fn path() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("<profile>/deps/<test>");
    let example = profile.join("examples").join("callbacks");
    assert!(
        example.is_file(),
        "{} is missing: `cargo build --example callbacks` first",
        example.display()
    );
    example
}

/// The result of a run of the example.
pub(crate) struct Run(Output);

impl Run {
    /// Runs the example to its end, with `args`, and with `variables` in its environment. Its
    /// watchdog ends a run that hangs.
    pub(crate) fn new<S: AsRef<OsStr>>(args: &[S], variables: &[(&str, &str)]) -> Self {
        let output = Command::new(path()).args(args).envs(variables.iter().copied()).output();
        Self(output.expect("the example can be started"))
    }

    /// Its exit status; a run that a signal ended has none.
    pub(crate) fn status(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// Returns a number of its JSON object.
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self.json(name);
        // Some are fractions.
        value.parse::<f64>().unwrap_or_else(|_| panic!("{name}: {value:?} is no number\n{self}"))
            as u64
    }

    /// Returns a field of its JSON object, which is flat and has no commas or colons within values.
    #[track_caller]
    pub(crate) fn json(&self, name: &str) -> String {
        let text = String::from_utf8_lossy(&self.0.stdout);
        let object = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let fields = object.unwrap_or_else(|| panic!("no JSON object\n{self}")).split(',');
        let field = fields
            .filter_map(|field| field.split_once(':'))
            .find(|(key, _)| key.trim().trim_matches('"') == name);
        field.map_or_else(
            || panic!("no field {name}\n{self}"),
            |(_, value)| value.trim().trim_matches('"').to_owned(),
        )
    }

    /// Returns its standard error.
    pub(crate) fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{}\n{}{}",
            self.0.status,
            String::from_utf8_lossy(&self.0.stdout),
            self.complaint()
        )
    }
}
