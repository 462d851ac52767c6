//! `cargo xtask sanitize` and `cargo xtask valgrind`: checks of the use of memory.
//!
//! Neither belongs to `cargo xtask test`. Both take minutes; valgrind has to be installed; and
//! AddressSanitizer is a compiler flag that stable toolchains take only when `RUSTC_BOOTSTRAP` is
//! set.

use std::process::Command;

use crate::cargo::{self, shortfall, target_dir};
use crate::steps::integration_tests;

/// The integration tests that AddressSanitizer does not watch, and why. It watches all others, also
/// those that are yet to be written.
const LEFT_OUT: [(&str, &str); 3] = [
    ("architecture", "reads the source, and runs nothing of it"),
    ("compile_fail", "compiles programs, and runs none"),
    (
        "stacks",
        "measures memory, of which the sanitizer's own is most, and reaches limits that it needs \
         for itself",
    ),
];

/// Single tests, likewise.
const SKIPPED: [(&str, &str); 4] = [
    (
        "overflow_by_one_large_frame",
        "a large frame is not touched in order in a build with the sanitizer, and steps over the \
         guard",
    ),
    ("overflow_outside_is_stds_affair", "a fault that is not ours is the sanitizer's affair there"),
    ("a_fault_that_is_nobodys_kills_by_its_signal", "likewise"),
    ("a_thread_that_never_called_in_dies_of_its_fault_inside_malloc", "malloc is the sanitizer's"),
];

/// If fewer tests than this ran, they were not the suites.
const MINIMUM: u64 = 530;

/// The settings of the sanitizer. Locals stay on their stacks, which are small and switched. What
/// the runtime keeps for ever is no leak. Threads get no signal stack of the sanitizer's, which the
/// storm would take for a stack that was left behind.
const OPTIONS: &str = "detect_stack_use_after_return=0:detect_leaks=0:use_sigaltstack=0:\
                       handle_segv=0:handle_sigbus=0:handle_sigfpe=0";

/// Runs tests with AddressSanitizer, which is told of every switch between stacks.
pub(crate) fn sanitize(arguments: &[String]) -> Result<(), String> {
    none(arguments)?;
    is_instrumented()?;
    // Some tests run the examples, and expect them beside the tests.
    let mut examples = sanitized("build");
    examples.arg("--examples");
    if !cargo::run(examples).is_ok_and(|outcome| outcome.success) {
        return Err("the examples do not build with the sanitizer".to_owned());
    }
    let mut command = sanitized("test");
    command.arg("--no-fail-fast").env("ASAN_OPTIONS", OPTIONS);
    let watched = watched()?;
    watched.iter().for_each(|name| {
        command.args(["--test", name]);
    });
    command.arg("--");
    SKIPPED.iter().for_each(|(test, _)| {
        command.args(["--skip", test]);
    });
    let outcome = cargo::run(command).map_err(|error| error.to_string())?;
    LEFT_OUT.iter().chain(&SKIPPED).for_each(|(name, why)| println!("left out: {name}: {why}"));
    let complaints = shortfall(&outcome.suites, MINIMUM, &[]);
    match (outcome.success, complaints.as_slice()) {
        (true, []) => {
            println!(
                "\nsanitize: {} tests passed in {} suites",
                outcome.passed(),
                outcome.suites.len()
            );
            Ok(())
        }
        _ => Err(format!("sanitize failed\n  {}", complaints.join("\n  "))),
    }
}

/// Returns the names of the integration tests that the sanitizer watches.
fn watched() -> Result<Vec<String>, String> {
    let all = integration_tests("").map_err(|complaints| complaints.join("; "))?;
    let name = |path: &String| {
        let name =
            path.trim_start_matches("tests/").trim_end_matches("/main.rs").trim_end_matches(".rs");
        name.to_owned()
    };
    let names: Vec<String> = all.iter().map(name).collect();
    match LEFT_OUT.iter().find(|(left_out, _)| !names.iter().any(|name| name == left_out)) {
        Some((gone, _)) => Err(format!("there is no tests/{gone} to be left out")),
        None => Ok(names
            .into_iter()
            .filter(|name| LEFT_OUT.iter().all(|(left_out, _)| left_out != name))
            .collect()),
    }
}

/// Returns a cargo command on a build with the sanitizer. It names a target, so that programs that
/// run during the build are built without the sanitizer.
fn sanitized(subcommand: &str) -> Command {
    let target = "x86_64-unknown-linux-gnu";
    let package = ["--package", "gosched", "--features", "gosched-runtime-sys/sanitizer"];
    let mut command = cargo::command(&[subcommand, "--target", target], Some("sanitize"));
    command.args(package).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    command
}

/// Checks that the build has the sanitizer: a build without it would pass as well. A program with
/// the sanitizer answers when it is asked for help.
fn is_instrumented() -> Result<(), String> {
    let mut command = sanitized("test");
    command.args(["--test", "go", "--", "--list"]).env("ASAN_OPTIONS", "help=1");
    let output = command.output().map_err(|error| error.to_string())?;
    let text = [output.stdout, output.stderr].concat();
    if String::from_utf8_lossy(&text).contains("flags for AddressSanitizer") {
        Ok(())
    } else {
        Err(format!(
            "the tests are not built with AddressSanitizer: {}",
            String::from_utf8_lossy(&text)
        ))
    }
}

/// Runs the main job under memcheck, in each mode and binding.
pub(crate) fn valgrind(arguments: &[String]) -> Result<(), String> {
    none(arguments)?;
    let build = cargo::run(cargo::command(&["build", "--release", "--example", "callbacks"], None));
    if !build.is_ok_and(|outcome| outcome.success) {
        return Err("the callbacks example does not build".to_owned());
    }
    let example = target_dir(None).join("release/examples/callbacks");
    for mode in ["threads", "settled", "migratory"] {
        for binding in ["per-call", "until-thread-exit"] {
            let mut command = Command::new("valgrind");
            // Less than the distance of two stacks: otherwise a switch would look like a frame of
            // that size.
            command.args(["--error-exitcode=99", "--max-stackframe=65536"]).arg(&example);
            command.args(["--json", "--mode", mode, "--binding", binding, "--rounds", "20"]);
            let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
            let (text, report) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            if !output.status.success() || !report.contains("ERROR SUMMARY: 0 errors") {
                return Err(format!("{mode}, {binding}: {}\n{text}\n{report}", output.status));
            }
            println!("{mode:10} {binding:18} 0 errors: {}", text.trim());
        }
    }
    Ok(())
}

fn none(arguments: &[String]) -> Result<(), String> {
    if arguments.is_empty() {
        Ok(())
    } else {
        Err(format!("no arguments are taken: {arguments:?}"))
    }
}
