//! Runs the hosts, each in both bindings, with and without the storm, and reads their reports.

use crate::SKIPPED;
use crate::frame::Plan;
use gosched::callback::Binding;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The programs, in the order in which they run.
#[rustfmt::skip]
pub const HOSTS: [&str; 12] = [
    "sqlite", "openmp", "glib", "libuv", "microhttpd", "cpython", "jvm_first", "jvm_later",
    "sdl_audio", "rdkafka", "node", "fuse",
];

/// Longer than any of them takes on a busy machine. One that hangs is killed then.
const LIMIT: Duration = Duration::from_secs(120);

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All was right. The program's report.
    Right(Report),
    /// The host is not installed. The text says which package.
    Skipped(String),
    /// Something was wrong. The text is what the program printed.
    Wrong(String),
}

/// What a program says of its run, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many callbacks there were.
    pub callbacks: String,
    /// How many handlers ran.
    pub signals: String,
    /// How many of them found a goroutine.
    pub inside: String,
    /// `right`, or not.
    pub totals: String,
    /// `equal`, or not.
    pub handlers: String,
}

impl Report {
    /// Reads the line that begins with `report`.
    #[must_use]
    pub fn parse(output: &str) -> Option<Self> {
        let line = output.lines().find_map(|line| line.strip_prefix("report "))?;
        let field = |name: &str| {
            let pair = line.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            pair.map(str::to_owned)
        };
        Some(Self {
            callbacks: field("callbacks")?,
            signals: field("signals")?,
            inside: field("inside")?,
            totals: field("totals")?,
            handlers: field("handlers")?,
        })
    }

    fn good(&self) -> bool {
        self.totals == "right" && self.handlers == "equal"
    }
}

/// Returns the four plans.
#[must_use]
pub fn plans() -> [Plan; 4] {
    let plan = |binding, storm| Plan { binding, storm };
    [
        plan(Binding::PerCall, false),
        plan(Binding::PerCall, true),
        plan(Binding::UntilThreadExit, false),
        plan(Binding::UntilThreadExit, true),
    ]
}

/// Runs a program once.
#[must_use]
pub fn run(program: &Path, plan: Plan) -> Outcome {
    let mut command = Command::new(program);
    command.args(plan.arguments()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Outcome::Wrong(format!("{}: {error}", program.display())),
    };
    let (status, output) = end_of(child);
    judge(status, &output)
}

fn judge(status: Option<ExitStatus>, output: &str) -> Outcome {
    let Some(status) = status else {
        return Outcome::Wrong(format!("killed after {} s\n{output}", LIMIT.as_secs()));
    };
    if status.code() == Some(i32::from(SKIPPED)) {
        let line = output.lines().find(|line| line.starts_with("skipped: "));
        return Outcome::Skipped(line.unwrap_or("skipped").to_owned());
    }
    match Report::parse(output) {
        Some(report) if report.good() && status.success() => Outcome::Right(report),
        _ => Outcome::Wrong(format!("{status}\n{output}")),
    }
}

/// Waits for the end, and for no longer than the limit. Returns what was printed, both streams.
fn end_of(mut child: Child) -> (Option<ExitStatus>, String) {
    let mut readers = Vec::new();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for mut stream in streams.into_iter().flatten() {
        readers.push(std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _cut = stream.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        }));
    }
    let began = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break Some(status),
            None if began.elapsed() > LIMIT => {
                child.kill().expect("it runs");
                child.wait().expect("a child");
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let output = readers.into_iter().map(|reader| reader.join().expect("it does not panic"));
    (status, output.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const GOOD: &str = "x\nreport callbacks=3 signals=2 inside=1 totals=right handlers=equal\n";

    #[test]
    fn a_run_is_right_when_its_status_and_its_report_are() {
        let ended = |code: i32| Some(ExitStatus::from_raw(code << 8));
        assert!(matches!(judge(ended(0), GOOD), Outcome::Right(report) if report.callbacks == "3"));
        for (status, output) in [
            (ended(1), GOOD),
            (Some(ExitStatus::from_raw(11)), GOOD),
            (None, GOOD),
            (ended(0), "nothing"),
            (ended(0), &GOOD.replace("right", "wrong")),
            (ended(0), &GOOD.replace("equal", "changed")),
        ] {
            assert!(matches!(judge(status, output), Outcome::Wrong(_)), "{status:?} {output}");
        }
    }

    #[test]
    fn a_host_that_is_absent_names_its_package() {
        let status = Some(ExitStatus::from_raw(i32::from(SKIPPED) << 8));
        let outcome = judge(status, "skipped: libx-dev is not installed\n");
        assert_eq!(outcome, Outcome::Skipped("skipped: libx-dev is not installed".into()));
    }
}
