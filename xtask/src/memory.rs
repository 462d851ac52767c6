//! `cargo xtask sanitize` and `cargo xtask valgrind`: whether memory is used as it may be.
//!
//! Neither belongs to `cargo xtask test`: both take minutes, valgrind has to be installed, and AddressSanitizer is a compiler flag that
//! stable toolchains take only when `RUSTC_BOOTSTRAP` is set.

use std::process::Command;

use crate::cargo::{self, shortfall, target_dir};

/// The integration tests that AddressSanitizer watches: all but those that die on purpose, reach limits, or measure memory, of which
/// its own would be most.
const WATCHED: [&str; 12] = [
    "builder",
    "cancel",
    "channels",
    "go",
    "lending",
    "scope",
    "shutdown",
    "soundness",
    "stats",
    "sync",
    "thread_rules",
    "timers",
];

/// Fewer tests than this are not the suite.
const MINIMUM: u64 = 130;

/// Locals stay on their stacks, which are small and switched; and what the runtime keeps for ever is no leak.
const OPTIONS: &str = "detect_stack_use_after_return=0:detect_leaks=0";

/// Runs tests with AddressSanitizer, which is told of every switch between stacks.
pub(crate) fn sanitize(arguments: &[String]) -> Result<(), String> {
    none(arguments)?;
    is_instrumented()?;
    let mut command = sanitized();
    command.arg("--no-fail-fast").env("ASAN_OPTIONS", OPTIONS);
    WATCHED.iter().for_each(|name| {
        command.args(["--test", name]);
    });
    let outcome = cargo::run(command).map_err(|error| error.to_string())?;
    let complaints = shortfall(&outcome.suites, MINIMUM, &[]);
    match (outcome.success, complaints.as_slice()) {
        (true, []) => {
            println!("\nsanitize: {} tests passed in {} suites", outcome.passed(), outcome.suites.len());
            Ok(())
        }
        _ => Err(format!("sanitize failed\n  {}", complaints.join("\n  "))),
    }
}

/// The tests in a build with the sanitizer. For a named target, so that what runs while building is not built with it.
fn sanitized() -> Command {
    let target = "x86_64-unknown-linux-gnu";
    let package = ["--package", "gosched", "--features", "gosched-runtime-sys/sanitizer"];
    let mut command = cargo::command(&["test", "--target", target], Some("sanitize"));
    command.args(package).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    command
}

/// A build without the sanitizer would pass as well: asked for help, one with it answers.
fn is_instrumented() -> Result<(), String> {
    let mut command = sanitized();
    command.args(["--test", "go", "--", "--list"]).env("ASAN_OPTIONS", "help=1");
    let output = command.output().map_err(|error| error.to_string())?;
    let text = [output.stdout, output.stderr].concat();
    if String::from_utf8_lossy(&text).contains("flags for AddressSanitizer") {
        Ok(())
    } else {
        Err(format!("the tests are not built with AddressSanitizer: {}", String::from_utf8_lossy(&text)))
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
            // Less than from one stack to the next, or a switch is taken for a frame of that size.
            command.args(["--error-exitcode=99", "--max-stackframe=65536"]).arg(&example);
            command.args(["--json", "--mode", mode, "--binding", binding, "--rounds", "20"]);
            let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
            let (text, report) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            if !output.status.success() || !report.contains("ERROR SUMMARY: 0 errors") {
                return Err(format!("{mode}, {binding}: {}\n{text}\n{report}", output.status));
            }
            println!("{mode:10} {binding:18} 0 errors: {}", text.trim());
        }
    }
    Ok(())
}

fn none(arguments: &[String]) -> Result<(), String> {
    if arguments.is_empty() { Ok(()) } else { Err(format!("no arguments are taken: {arguments:?}")) }
}
