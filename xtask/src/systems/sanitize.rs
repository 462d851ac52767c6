//! `cargo xtask sanitize`: the integration tests with AddressSanitizer or with ThreadSanitizer,
//! which are told of every switch between stacks.
//!
//! Neither belongs to `cargo xtask test`: both take minutes, and they are compiler flags that
//! stable toolchains take only when `RUSTC_BOOTSTRAP` is set. First a fault is planted that the
//! sanitizer must find: a build without it would pass as well. `docs/testing.md` says what they do
//! not see.
//!
//! AddressSanitizer works with std as it comes. ThreadSanitizer has to see what std orders, so std
//! is built with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::scripts;
use super::needs;
use super::toolchain::{Std, Toolchain, said};
use crate::cargo::{self, target_dir};

const USAGE: &str = "usage: cargo xtask sanitize [address|thread] [--install]";

/// A kind of sanitizer.
#[derive(Debug)]
struct Sanitizer {
    name: &'static str,
    /// The integration tests that it does not watch, and why. It watches all others, also those
    /// that are yet to be written.
    left_out: &'static [(&'static str, &'static str)],
    /// Single tests, likewise: parts of their names.
    skipped: &'static [(&'static str, &'static str)],
    /// The variable with its settings, and these.
    options: (&'static str, &'static str),
    /// Arguments of cargo that choose the profile.
    profile: &'static [&'static str],
    /// Tests that it must fail, and what it says then.
    planted: &'static [&'static str],
    finding: &'static str,
    /// If fewer tests than this ran, they were not the suites.
    minimum: u64,
}

const NOTHING_RUN: [(&str, &str); 2] = [
    ("architecture", "reads the source, and runs nothing of it"),
    ("compile_fail", "compiles programs, and runs none"),
];

const ADDRESS: Sanitizer = Sanitizer {
    name: "address",
    left_out: &[
        NOTHING_RUN[0],
        NOTHING_RUN[1],
        (
            "stacks",
            "measures memory, of which the sanitizer's own is most, and reaches limits that it \
             needs for itself",
        ),
    ],
    skipped: &[
        (
            "overflow_by_one_large_frame",
            "a large frame is not touched in order in a build with the sanitizer, and steps over \
             the guard",
        ),
        (
            "overflow_outside_is_stds_affair",
            "a fault that is not ours is the sanitizer's affair there",
        ),
        ("a_fault_that_is_nobodys_kills_by_its_signal", "likewise"),
        (
            "a_thread_that_never_called_in_dies_of_its_fault_inside_malloc",
            "malloc is the sanitizer's",
        ),
    ],
    // Locals stay on their stacks, which are small and switched. What the runtime keeps for ever is
    // no leak. Threads get no signal stack of the sanitizer's, which the storm would take for a
    // stack that was left behind.
    options: (
        "ASAN_OPTIONS",
        "detect_stack_use_after_return=0:detect_leaks=0:use_sigaltstack=0:handle_segv=0:\
         handle_sigbus=0:handle_sigfpe=0",
    ),
    profile: &[],
    planted: &["planted::a_use_after_free"],
    finding: "heap-use-after-free",
    minimum: 530,
};

const THREAD: Sanitizer = Sanitizer {
    name: "thread",
    left_out: &[
        NOTHING_RUN[0],
        NOTHING_RUN[1],
        ("stacks", "has more goroutines than the sanitizer has fibers, and measures memory"),
        ("dlopen", "its host is a C program without the sanitizer"),
    ],
    skipped: &[],
    options: ("TSAN_OPTIONS", "suppressions={systems}/races.txt"),
    profile: &["--release"],
    planted: &[
        "planted::a_race_of_threads",
        "planted::a_race_of_settled_goroutines",
        "planted::a_race_of_migratory_goroutines",
    ],
    finding: "ThreadSanitizer: data race",
    minimum: 170,
};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs the integration tests with the sanitizer that the arguments name.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let mut sanitizer = &ADDRESS;
    let mut install = false;
    for word in arguments {
        match word.as_str() {
            "address" => sanitizer = &ADDRESS,
            "thread" => sanitizer = &THREAD,
            "--install" => install = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    let instrumented = if sanitizer.name == "thread" { with_std(install)? } else { Vec::new() };
    let command = |subcommand: &str| sanitizer.command(subcommand, &instrumented);
    for test in sanitizer.planted {
        sanitizer.finds(command("test"), test)?;
    }
    // Some tests run the examples, and expect them beside the tests.
    let mut examples = command("build");
    examples.arg("--examples");
    if !cargo::run(examples).is_ok_and(|outcome| outcome.success) {
        return Err("the examples do not build with the sanitizer".to_owned());
    }
    let mut tests = command("test");
    tests.arg("--no-fail-fast");
    super::names(sanitizer.left_out)?.iter().for_each(|name| {
        tests.args(["--test", name]);
    });
    tests.arg("--");
    sanitizer.skipped.iter().for_each(|(test, _)| {
        tests.args(["--skip", test]);
    });
    let outcome = cargo::run(tests).map_err(|error| error.to_string())?;
    for (name, why) in sanitizer.left_out.iter().chain(sanitizer.skipped) {
        println!("left out: {name}: {why}");
    }
    let complaints = outcome.complaints(sanitizer.minimum, &[]);
    if !complaints.is_empty() {
        return Err(format!("sanitize {} failed\n  {}", sanitizer.name, complaints.join("\n  ")));
    }
    let (passed, suites) = (outcome.passed(), outcome.suites.len());
    println!("\nsanitize {}: {passed} tests passed in {suites} suites", sanitizer.name);
    Ok(())
}

impl Sanitizer {
    /// Returns a cargo command on a build with the sanitizer. It names a target, so that programs
    /// that run during the build are built without.
    fn command(&self, subcommand: &str, instrumented: &[(&str, String)]) -> Command {
        let area = format!("sanitize-{}", self.name);
        let arguments = [subcommand, "--target", TARGET, "--package", "gosched"];
        let mut command = match Toolchain::find() {
            Some(toolchain) if self.name == "thread" => toolchain.command(&arguments, &area),
            _ => cargo::command(&arguments, Some(&area)),
        };
        command.args(["--features", "gosched-runtime-sys/sanitizer"]).args(self.profile);
        command.env("RUSTC_BOOTSTRAP", "1");
        command.env("RUSTFLAGS", format!("-Zsanitizer={}", self.name));
        command.envs(instrumented.iter().map(|(name, value)| (name, value)));
        let (name, value) = self.options;
        command.env(name, value.replace("{systems}", &scripts().display().to_string()));
        command
    }

    /// Checks that the sanitizer fails a test with a fault, and says why.
    fn finds(&self, mut command: Command, test: &str) -> Result<(), String> {
        command.args(["--test", "soundness", "--", "--ignored", "--exact", test]);
        let mut found = false;
        let success = cargo::watch(command, |line| found |= line.contains(self.finding))
            .map_err(|error| error.to_string())?;
        match (success, found) {
            (false, true) => Ok(()),
            _ => Err(format!("{} does not find the fault of {test}", self.name)),
        }
    }
}

/// Makes a std with ThreadSanitizer, and returns the variables by which it is used: flags that take
/// the place of those without a std.
fn with_std(install: bool) -> Result<Vec<(&'static str, String)>, String> {
    let lacking = needs::missing(&[needs::RUST], install)?;
    let toolchain =
        Toolchain::find().ok_or_else(|| format!("not run: missing: {}", lacking.join(", ")))?;
    let std = toolchain.std(TARGET, Std::Built { flags: "-Zsanitizer=thread" })?;
    runtime(&std.join("lib/rustlib").join(TARGET).join("lib"))?;
    let fibers = fibers()?;
    let flags =
        format!("-Zsanitizer=thread --sysroot={} -Clink-arg={}", std.display(), fibers.display());
    Ok(vec![("RUSTFLAGS", flags)])
}

/// Puts the sanitizer's runtime beside std. Debian's compiler comes without it; that of the
/// toolchain in use belongs to the same release of LLVM or does not link.
fn runtime(to: &Path) -> Result<(), String> {
    const NAME: &str = "librustc-stable_rt.tsan.a";
    if to.join(NAME).is_file() {
        return Ok(());
    }
    let sysroot = said("rustc", &["--print", "sysroot"]).ok_or("there is no rustc")?;
    let from = PathBuf::from(sysroot).join("lib/rustlib").join(TARGET).join("lib").join(NAME);
    fs::copy(&from, to.join(NAME))
        .map_err(|error| format!("not run: missing: {}: {error}", from.display()))?;
    Ok(())
}

/// Compiles what tells the sanitizer of switches.
fn fibers() -> Result<PathBuf, String> {
    let object = target_dir(Some("systems")).join("fibers.o");
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror", "-c"]);
    command.arg(scripts().join("fibers.c")).arg("-o").arg(&object);
    match command.status() {
        Ok(status) if status.success() => Ok(object),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("cannot run {command:?}: {error}")),
    }
}
