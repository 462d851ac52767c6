//! The steps of `cargo xtask test`.

pub(crate) mod without;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cargo;
use crate::{links, package, public_api};

/// One step: a few cargo commands, and the evidence that they did something.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// The least number of passed tests (of `docs`: links). It is close to the real number, so that
    /// a suite cannot drop out unnoticed. Raise it with the tests.
    minimum: u64,
    body: fn(minimum: u64) -> Verdict,
}

/// The result of a step: a line for the table, or what is wrong.
type Verdict = Result<String, Vec<String>>;

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "lints",
        what: "rustfmt and clippy, the models' build included",
        minimum: 0,
        body: lints,
    },
    Step {
        name: "debug",
        what: "unit, integration, compile-fail, architecture, docs",
        minimum: 1_700,
        body: debug,
    },
    Step {
        name: "release",
        what: "the same, optimised: what depends on timing",
        minimum: 1_460,
        body: release,
    },
    Step {
        name: "timing",
        what: "tests/fairness: bounds on time, on a quiet machine",
        minimum: 35,
        body: timing,
    },
    Step { name: "lto", what: "tests/soundness*.rs with fat LTO", minimum: 26, body: lto },
    Step {
        name: "models",
        what: "the loom models, each with its mutants",
        minimum: 415,
        body: models,
    },
    Step {
        name: "mutants",
        what: "the signal storm against orders known to be wrong",
        minimum: 7,
        body: mutants,
    },
    Step {
        name: "docs",
        what: "rustdoc without warnings, private items too; links",
        minimum: 45_000,
        body: docs,
    },
    Step {
        name: "features",
        what: "tests without the feature `tracing`",
        minimum: 190,
        body: features,
    },
    Step {
        name: "api",
        what: "what users can name is what public-api.txt says",
        minimum: 0,
        body: |_| public_api::check(),
    },
    Step {
        name: "package",
        what: "each published package builds from its archive",
        minimum: 0,
        body: |_| package::run(),
    },
];

/// The packages with a feature that is on by default, and the packages that build on them.
const WITH_FEATURES: [&str; 3] = ["gosched", "gosched-scheduler", "gosched-callback-bridge"];

/// The crates with modelled protocols.
const MODELLED: [&str; 3] = ["gosched-runtime-sys", "gosched-scheduler", "gosched-callback-bridge"];

/// Runs all steps, or those named by `--only`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let chosen = choose(arguments)?;
    let mut table = String::new();
    let mut failed = Vec::new();
    for step in &chosen {
        println!("\n==== {}: {}", step.name, step.what);
        let started = Instant::now();
        let verdict = (step.body)(step.minimum);
        let seconds = started.elapsed().as_secs();
        let (word, detail) = match verdict {
            Ok(detail) => ("ok", detail),
            Err(complaints) => {
                complaints
                    .iter()
                    .for_each(|complaint| println!("xtask: {}: {complaint}", step.name));
                failed.push(step.name);
                ("FAILED", complaints.join("\n    "))
            }
        };
        table += &format!("{:8} {word:6} {seconds:>5} s  {detail}\n", step.name);
    }
    println!("\n{table}");
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(format!("failed: {}", names.join(", "))),
    }
}

fn choose(arguments: &[String]) -> Result<Vec<&'static Step>, String> {
    if arguments.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let mut chosen = Vec::new();
    for pair in arguments.chunks(2) {
        let [flag, name] = pair else { return Err(format!("`{}` wants a value", pair[0])) };
        if flag != "--only" {
            return Err(format!("no option `{flag}`"));
        }
        let step = STEPS
            .iter()
            .find(|step| step.name == name)
            .ok_or_else(|| format!("no step `{name}`"))?;
        chosen.push(step);
    }
    Ok(chosen)
}

fn lints(_minimum: u64) -> Verdict {
    let mut done = Vec::new();
    let mut complaints = Vec::new();
    for (component, subcommand, run) in
        [("rustfmt", "fmt", format as fn() -> Result<(), String>), ("clippy", "clippy", clippy)]
    {
        if !installed(subcommand) {
            println!("skipped: {component} is not installed (rustup component add {component})");
            // A developer may leave them out. Where a merge depends on the step, a skipped check
            // would hide faults.
            if std::env::var_os("CI").is_some() {
                complaints.push(format!("{component} is not installed"));
            }
            done.push(format!("{component} skipped"));
            continue;
        }
        match run() {
            Ok(()) => done.push(component.to_owned()),
            Err(complaint) => complaints.push(complaint),
        }
    }
    if complaints.is_empty() { Ok(done.join(", ")) } else { Err(complaints) }
}

fn installed(subcommand: &str) -> bool {
    let mut command = cargo::command(&[subcommand, "--version"], None);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn format() -> Result<(), String> {
    plain(cargo::command(&["fmt", "--all", "--check"], None))
}

fn clippy() -> Result<(), String> {
    let mut all = without_beside("clippy");
    all.args(["--all-targets", "--", "-D", "warnings"]);
    plain(all)?;
    let mut untraced = untraced("clippy");
    untraced.args(["--all-targets", "--", "-D", "warnings"]);
    plain(untraced)?;
    let mut modelled = modelled(&["clippy", "--tests"]);
    modelled.args(["--", "-D", "warnings"]);
    plain(modelled)
}

/// Runs a command that is judged by its exit status alone.
fn plain(command: Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    match cargo::run(command) {
        Ok(outcome) if outcome.success => Ok(()),
        Ok(_) => Err(format!("failed: {shown}")),
        Err(error) => Err(format!("cannot run {shown}: {error}")),
    }
}

/// Runs a command that runs tests. It is judged by its exit status and by the tests that ran.
fn counted(command: Command, minimum: u64, required: &[String]) -> Verdict {
    let shown = format!("{command:?}");
    let outcome =
        cargo::run(command).map_err(|error| vec![format!("cannot run {shown}: {error}")])?;
    let complaints = outcome.complaints(minimum, required);
    if complaints.is_empty() {
        Ok(format!("{} tests passed (minimum {minimum})", outcome.passed()))
    } else {
        Err(complaints)
    }
}

fn debug(minimum: u64) -> Verdict {
    let mut required = integration_tests("")?;
    required.push("doc gosched".to_owned());
    let mut command = without_peers("test");
    command.arg("--no-fail-fast");
    counted(command, minimum, &required)
}

/// Returns a command on all packages and their default features except one: the runtimes that
/// `benches/versus` compares with.
fn without_peers(subcommand: &str) -> Command {
    let mut command = without_beside(subcommand);
    command.args(["--no-default-features", "--features", "gosched/tracing"]);
    command
}

/// Returns a command on all packages but the one that has crates of others beside it, and features
/// of its own, which all packages that are built together would have.
fn without_beside(subcommand: &str) -> Command {
    cargo::command(&[subcommand, "--workspace", "--exclude", BESIDE], None)
}

const BESIDE: &str = "gosched-beside";

/// Tests the package that the steps leave out.
pub(crate) fn beside() -> Result<(), String> {
    let command = |subcommand| cargo::command(&[subcommand, "--package", BESIDE], None);
    let mut clippy = command("clippy");
    clippy.args(["--all-targets", "--", "-D", "warnings"]);
    plain(clippy)?;
    let said = counted(command("test"), 25, &[]).map_err(|complaints| complaints.join("\n"))?;
    println!("{said}");
    Ok(())
}

/// Returns a command on the published packages without their default features.
fn untraced(subcommand: &str) -> Command {
    let mut command = cargo::command(&[subcommand, "--no-default-features"], None);
    WITH_FEATURES.iter().for_each(|name| {
        command.args(["--package", name]);
    });
    command
}

fn features(minimum: u64) -> Verdict {
    let mut units = untraced("test");
    units.args(["--no-fail-fast", "--lib", "--test", DEADLOCK]);
    let required = ["unit gosched_scheduler".to_owned(), format!("tests/{DEADLOCK}.rs")];
    let counted_units = counted(units, minimum, &required)?;
    // This test exists only without the feature: it proves that nothing switched the feature on.
    let mut warnings = untraced("test");
    warnings.args(["--test", FAIRNESS, "untraced"]);
    counted(warnings, 1, &[format!("tests/{FAIRNESS}/main.rs")])?;
    Ok(format!("{counted_units}, and warnings without it"))
}

/// The integration test of the reports when all goroutines wait.
const DEADLOCK: &str = "deadlock";

fn release(minimum: u64) -> Verdict {
    // No `--tests`: some of them start an example, and only the default choice of targets builds
    // those.
    let mut command = cargo::command(&["test", "--release", "--no-fail-fast"], None);
    // More values than unoptimised, see `tests/channels/conservation.rs`.
    command.env("GOSCHED_ITEMS", "1000000");
    counted(command, minimum, &integration_tests("")?)
}

fn timing(minimum: u64) -> Verdict {
    let mut command = cargo::command(&["test", "--release", "--test", FAIRNESS, "--"], None);
    command.args(["--ignored", "--test-threads=1"]);
    counted(command, minimum, &[format!("tests/{FAIRNESS}/main.rs")])
}

/// The integration test that has tests which measure time.
const FAIRNESS: &str = "fairness";

fn lto(minimum: u64) -> Verdict {
    let command = cargo::command(
        &["test", "--profile", "release-lto", "--no-fail-fast", "--test", "soundness*"],
        None,
    );
    counted(command, minimum, &integration_tests("soundness")?)
}

fn models(minimum: u64) -> Verdict {
    let mut command = modelled(&["test", "--release", "--no-fail-fast", "--lib"]);
    // One at a time: the mutant that is switched on is switched on for the whole process.
    command.args(["model", "--", "--test-threads=1"]);
    let required = MODELLED.map(|name| format!("unit {}", name.replace('-', "_")));
    counted(command, minimum, &required)
}

/// Returns a command on the crates with models, in the build that has the models.
fn modelled(arguments: &[&str]) -> Command {
    let mut command = cargo::command(arguments, Some("loom"));
    command.env("RUSTFLAGS", "--cfg gosched_loom --cfg gosched_mutants");
    MODELLED.iter().for_each(|name| {
        command.args(["--package", name]);
    });
    command
}

fn mutants(minimum: u64) -> Verdict {
    let flagged = |arguments: &[&str]| {
        let mut command = cargo::command(arguments, Some("mutants"));
        command.env("RUSTFLAGS", "--cfg gosched_mutants");
        command
    };
    // The test starts the example; a choice of one test does not build it.
    plain(flagged(&["build", "--release", "--example", "callbacks"]))
        .map_err(|complaint| vec![complaint])?;
    let command = flagged(&["test", "--release", "--no-fail-fast", "--test", MUTANTS]);
    counted(command, minimum, &[format!("tests/{MUTANTS}.rs")])
}

/// The one integration test that is empty without its cfg. It has a step of its own.
const MUTANTS: &str = "mutants";

/// Returns the integration tests on disk whose name begins with `prefix`, in the form in which
/// cargo names them when it runs them.
pub(crate) fn integration_tests(prefix: &str) -> Result<Vec<String>, Vec<String>> {
    tests_in(&cargo::root().join("tests"), prefix)
        .map_err(|error| vec![format!("cannot read tests/: {error}")])
}

fn tests_in(directory: &Path, prefix: &str) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if !stem.starts_with(prefix) || stem == MUTANTS {
            continue;
        }
        if path.join("main.rs").is_file() {
            found.push(format!("tests/{stem}/main.rs"));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && (cfg!(windows) || !is_for_windows(&fs::read_to_string(&path)?))
        {
            found.push(format!("tests/{stem}.rs"));
        }
    }
    found.sort();
    Ok(found)
}

/// True if a file of tests is empty on other systems. `cargo xtask systems` runs it.
fn is_for_windows(source: &str) -> bool {
    source.lines().any(|line| line == "#![cfg(windows)]")
}

fn docs(minimum: u64) -> Verdict {
    let one = |complaint| vec![complaint];
    // Pages of removed items would have links, and links would lead to them.
    plain(cargo::command(&["clean", "--doc"], None)).map_err(one)?;
    let mut command = without_peers("doc");
    command.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
    plain(command).map_err(one)?;
    let mut pages = MODELLED.map(|name| name.replace('-', "_")).to_vec();
    pages.push("gosched".to_owned());
    let found = links::check(&pages, minimum)?;
    plain(private_docs()).map_err(one)?;
    Ok(found)
}

/// Returns a command that documents the private items of the inner packages, too: their comments
/// have links that the public pages do not show. It has a target directory of its own, so that the
/// link checker sees the public pages only.
fn private_docs() -> Command {
    let mut command = cargo::command(&["doc"], Some("private-docs"));
    MODELLED.iter().for_each(|name| {
        command.args(["--package", name]);
    });
    command.args(["--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_name() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(choose(&[]).expect("all").len(), STEPS.len());
        let chosen = choose(&words("--only models --only lints")).expect("both exist");
        assert_eq!(chosen.iter().map(|step| step.name).collect::<Vec<_>>(), ["models", "lints"]);
        for wrong in ["--only", "--only nothing", "--skip models"] {
            assert!(choose(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_documents_name_the_steps_in_order() {
        let read = |name: &str| fs::read_to_string(cargo::root().join(name)).expect("a document");
        let names: Vec<String> = STEPS.iter().map(|step| format!("`{}`", step.name)).collect();
        assert!(read("CONTRIBUTING.md").contains(&names.join(", ")), "CONTRIBUTING.md");
        let testing = read("docs/testing.md");
        let (_, rest) = testing.split_once("| step |").expect("a table");
        let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
        let first = rows.map(|row| row.split('|').nth(1).unwrap_or_default().trim());
        assert_eq!(first.collect::<Vec<_>>(), names, "docs/testing.md");
    }

    #[test]
    fn integration_tests_are_found_in_both_shapes() {
        let found = integration_tests("").expect("tests/ is there");
        assert!(found.contains(&"tests/architecture/main.rs".to_owned()), "{found:?}");
        assert!(found.contains(&"tests/compile_fail.rs".to_owned()), "{found:?}");
        assert_eq!(found.contains(&"tests/windows.rs".to_owned()), cfg!(windows), "{found:?}");
        assert!(integration_tests("no such prefix").expect("tests/ is there").is_empty());
    }

    #[test]
    fn a_command_that_runs_no_test_fails_its_step() {
        let mut nothing = Command::new("true");
        nothing.current_dir(cargo::root());
        assert_eq!(
            counted(nothing, 1, &[]),
            Err(vec!["0 tests passed, at least 1 must".to_owned()])
        );
    }
}
