//! `cargo xtask systems`: follows gosched on other systems than the one at hand, as far as each can
//! be followed from here, and prints how far that was.
//!
//! A row of the table is a system (`rows`). Its types are checked against a std made for it
//! (`toolchain`), its test programs are linked, and, where something here runs its programs, the
//! tests run. A row that lacks something is "not run", and the command fails: nothing counts as
//! passed that did not happen. Each row has controls that must fail (`controls`), and a list of
//! tests that cannot pass there (`listed`).
//!
//! An emulator runs one processor's instructions on another, whose memory keeps a stronger order:
//! that a test passes under qemu is no evidence for an ordering. The loom models are.

mod build;
mod controls;
mod listed;
pub(crate) mod miri;
mod needs;
mod rows;
pub(crate) mod sanitize;
mod toolchain;

use std::process::Command;
use std::time::Instant;

use self::build::Build;
use self::rows::{Depth, ROWS, Row, Scope};
use self::toolchain::{Std, Toolchain};
use crate::cargo;
use crate::steps::integration_tests;

const USAGE: &str = "\
usage: cargo xtask systems [--only ROW]... [--install] [--quick | --check]
       cargo xtask systems --list

--install  gets what a row needs: Debian's packages, Python's, a rule of the kernel
--quick    of a row that runs everything, the tests named in QUICK
--check    of each row the types alone, which needs no linker

rows: ";

/// The tests of a quick run: goroutines, what they wait for, how processes die, and the storm.
const QUICK: [&str; 6] = ["go", "channels", "sync", "soundness", "crash", "callbacks"];

/// The tests that run on a system without a C half: goroutines, what they wait for, and calls from
/// threads that gosched has not made. `windows` is empty elsewhere.
#[rustfmt::skip]
const PORTED: [&str; 19] = [
    "go", "channels", "sync", "soundness", "calls", "calls_async", "callback_ends", "mailbox",
    "closures_data", "time", "time_async", "scope", "streams", "set_procs", "no_wait",
    "lent_thread", "unwinding_wakers", "timers", "windows",
];

/// What these need beside them.
const QUICK_EXAMPLE: &str = "--example callbacks";

/// A quick run passes at least so many.
const QUICK_MINIMUM: u64 = 100;

#[derive(Debug, Default)]
struct Options {
    rows: Vec<Row>,
    install: bool,
    quick: bool,
    check: bool,
    list: bool,
}

/// What became of a row.
#[derive(Debug)]
enum Verdict {
    Done(String),
    NotRun(Vec<&'static str>),
    Failed(String),
}

/// Does the rows, and prints the table.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = parse(arguments)?;
    if options.list {
        ROWS.iter().for_each(|row| println!("{:16} {:30} {}", row.name, row.target, row.plan()));
        return Ok(());
    }
    let mut table = String::new();
    let mut bad = Vec::new();
    for row in &options.rows {
        println!("\n==== {}: {}, {}", row.name, row.target, row.plan());
        let started = Instant::now();
        let (word, detail) = match one(row, &options) {
            Verdict::Done(detail) => ("ok", detail),
            Verdict::NotRun(lacking) => {
                bad.push(row.name);
                ("not run", format!("missing: {}", lacking.join(", ")))
            }
            Verdict::Failed(why) => {
                println!("xtask: {}: {why}", row.name);
                bad.push(row.name);
                ("FAILED", why.lines().next().unwrap_or_default().to_owned())
            }
        };
        let seconds = started.elapsed().as_secs();
        table += &format!("{:16} {:27} {word:8} {seconds:>5} s  {detail}\n", row.name, row.target);
    }
    println!("\n{table}");
    if bad.is_empty() { Ok(()) } else { Err(format!("failed or not run: {}", bad.join(", "))) }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--install" => options.install = true,
            "--quick" => options.quick = true,
            "--check" => options.check = true,
            "--list" => options.list = true,
            word if word.starts_with("--only") => {
                let name = match word.strip_prefix("--only=") {
                    Some(name) => name,
                    None => words.next().ok_or("`--only` wants a row")?,
                };
                let row = ROWS.iter().find(|row| row.name == name);
                options.rows.push(*row.ok_or_else(|| format!("no row `{name}`\n\n{}", usage()))?);
            }
            other => return Err(format!("no option `{other}`\n\n{}", usage())),
        }
    }
    if options.rows.is_empty() {
        options.rows = ROWS.to_vec();
    }
    if options.check {
        options.rows.iter_mut().for_each(|row| *row = row.checked_only());
    }
    Ok(options)
}

fn usage() -> String {
    let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    format!("{USAGE}{}", names.join(", "))
}

fn one(row: &Row, options: &Options) -> Verdict {
    match needs::missing(row.needs, options.install) {
        Ok(lacking) => one_of(row, lacking, options.quick),
        Err(why) => Verdict::Failed(why),
    }
}

fn one_of(row: &Row, lacking: Vec<&'static str>, quick: bool) -> Verdict {
    match Toolchain::find() {
        Some(toolchain) if lacking.is_empty() => {
            follow(row, &toolchain, quick).map_or_else(Verdict::Failed, Verdict::Done)
        }
        _ => Verdict::NotRun(lacking),
    }
}

/// Follows a row as far as it goes. Returns what was done.
fn follow(row: &Row, toolchain: &Toolchain, quick: bool) -> Result<String, String> {
    let kind = match row.depth {
        Depth::Checks => Std::Checked,
        Depth::Links | Depth::Runs { .. } => Std::Built { flags: "" },
    };
    let build = Build::new(row, toolchain, toolchain.std(row.target, kind)?)?;
    controls::check(&build)?;
    if row.depth == Depth::Checks {
        plain(build.check())?;
        return Ok("types checked".to_owned());
    }
    controls::link(&build)?;
    let Depth::Runs { how, minimum, .. } = row.depth else {
        plain(build.check())?;
        let mut command = build.cargo("test");
        command.args(["--lib", "--no-run"]);
        plain(command)?;
        return Ok("types checked, test programs linked".to_owned());
    };
    let passed = match (row.scope, quick) {
        (Scope::Everything, true) => suites(&build, &QUICK, QUICK_EXAMPLE, QUICK_MINIMUM)?,
        (Scope::Everything, false) => everything(&build, minimum)?,
        (Scope::Ported, _) => ported(&build, minimum)?,
        _ => {
            let mut command = build.cargo("test");
            command.args(["--lib", "--no-fail-fast"]);
            let passed = counted(command, minimum)?;
            controls::refuses_the_scheduler(&build)?;
            passed
        }
    };
    Ok(format!("{passed} tests passed, {how}"))
}

/// Runs all tests that can pass, and those that cannot. Returns how many passed.
fn everything(build: &Build<'_>, minimum: u64) -> Result<u64, String> {
    let left_out = listed::left_out(build.row);
    left_out.iter().for_each(|(name, why)| println!("left out: {name}: {why}"));
    let names = names(&left_out)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let passed = suites(build, &names, "--examples", minimum)? + others(build)?;
    listed::confirm(build)?;
    Ok(passed)
}

/// Runs the unit tests of the inner packages, and the integration tests without a C half. Returns
/// how many passed.
fn ported(build: &Build<'_>, minimum: u64) -> Result<u64, String> {
    let mut units = build.cargo("test");
    units.args(["--lib", "--no-fail-fast"]);
    let mut command = build.bare("test");
    command.args(["--package", "gosched", "--no-fail-fast"]);
    command.args(PORTED.iter().flat_map(|name| ["--test", name]));
    command.args(["--", "--exact"]).args(listed::skips(build.row));
    let units = counted(units, 1)?;
    let passed = units + counted(command, minimum - units.min(minimum))?;
    listed::confirm(build)?;
    Ok(passed)
}

/// Runs these integration tests. Returns how many passed.
fn suites(build: &Build<'_>, names: &[&str], examples: &str, minimum: u64) -> Result<u64, String> {
    // Some tests run examples, and expect them beside the tests.
    let mut beside = build.cargo("build");
    beside.arg("--release").args(examples.split(' '));
    plain(beside)?;
    let mut command = build.cargo("test");
    command.args(["--release", "--no-fail-fast"]);
    command.args(names.iter().flat_map(|name| ["--test", name]));
    command.args(["--", "--exact"]).args(listed::skips(build.row));
    counted(command, minimum)
}

/// Runs the unit tests and the documentation's. Returns how many passed.
fn others(build: &Build<'_>) -> Result<u64, String> {
    let mut units = build.cargo("test");
    units.args(["--release", "--no-fail-fast", "--lib", "--test", "main_thread"]);
    units.args(["--", "--exact"]).args(listed::skips(build.row));
    let mut documentation = build.cargo("test");
    documentation.args(["--release", "--no-fail-fast", "--doc"]);
    Ok(counted(units, 1)? + counted(documentation, 1)?)
}

/// Returns the names of the integration tests but these.
fn names(left_out: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let all = integration_tests("").map_err(|complaints| complaints.join("; "))?;
    let name = |path: String| {
        let name = path.trim_start_matches("tests/").trim_end_matches(".rs");
        name.trim_end_matches("/main").to_owned()
    };
    let mut names: Vec<String> = all.into_iter().map(name).collect();
    for (left_out, _) in left_out {
        let before = names.len();
        names.retain(|name| name != left_out);
        if names.len() == before {
            return Err(format!("there is no tests/{left_out} to be left out"));
        }
    }
    Ok(names)
}

fn plain(command: Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    match cargo::run(command) {
        Ok(outcome) if outcome.success => Ok(()),
        Ok(_) => Err(format!("cargo failed\n{shown}")),
        Err(error) => Err(format!("cannot run {shown}: {error}")),
    }
}

/// Runs a command that runs tests. Returns how many passed.
fn counted(command: Command, minimum: u64) -> Result<u64, String> {
    let outcome = cargo::run(command).map_err(|error| error.to_string())?;
    let complaints = outcome.complaints(minimum, &[]);
    if complaints.is_empty() { Ok(outcome.passed()) } else { Err(complaints.join("; ")) }
}

impl Row {
    /// Returns what is done for the row, in words.
    fn plan(&self) -> String {
        match self.depth {
            Depth::Checks => "checked".to_owned(),
            Depth::Links => "checked and linked".to_owned(),
            Depth::Runs { how, .. } => format!("checked, linked and run ({how})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_name() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parse(&[]).expect("all").rows.len(), ROWS.len());
        let some = parse(&words("--only wasi --quick --only linux-musl")).expect("both exist");
        assert_eq!(
            some.rows.iter().map(|row| row.name).collect::<Vec<_>>(),
            ["wasi", "linux-musl"]
        );
        assert!(some.quick && !some.install);
        let checked = parse(&words("--check")).expect("all").rows;
        assert!(checked.len() == ROWS.len() && checked.iter().all(|row| row.plan() == "checked"));
        for wrong in ["--only", "--only nowhere", "linux-musl"] {
            assert!(parse(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_differ_and_their_places_have_names() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..at].iter().all(|other| other.name != row.name), "{}", row.name);
            let (arch, os) = row.place();
            assert!(!arch.is_empty(), "{}", row.name);
            let nameless = row.depth == Depth::Checks || row.name == "wasi";
            assert!(nameless || !os.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn what_lacks_something_is_not_done() {
        let row = ROWS.iter().find(|row| row.name == "windows-msvc").expect("a row");
        assert!(matches!(one_of(row, vec!["a thing"], false), Verdict::NotRun(_)));
    }
}
