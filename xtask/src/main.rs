//! The commands of the workspace. `cargo xtask test` runs all checks, `soak` looks for leaks,
//! `stress` does everything at once, `conserve` accounts for each value, `hosts` runs programs of
//! others, `sanitize`, `valgrind` and `miri` watch the memory, `systems` follows other systems,
//! `instructions` counts what the hottest operations execute, `simulate` shows what the scheduling
//! policy does on machines with more cores, `layers` prints how the source is laid out,
//! `public-api` lists what users can name, `install` puts the C interface where C's compilers look.
//!
//! The program depends on nothing outside the workspace: it needs a Rust toolchain and a C
//! compiler.

mod cargo;
mod install;
mod instructions;
mod layers;
mod links;
mod package;
mod public_api;
mod soak;
mod steps;
mod stress;
mod systems;
mod valgrind;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [--only STEP]...    run all checks, or the named steps
       cargo xtask without [PART]... [-- CARGO-TEST-ARGUMENT...]
                                            tests without parts of the system
       cargo xtask beside                   tests and programs with crates of others
       cargo xtask stress --seconds N [--seed S]
       cargo xtask conserve [--items N] [--seed S]
                                            ten million values through selects, limits and cancels
       cargo xtask soak --minutes M [--threads N] [--mode MODE]
       cargo xtask hosts [NAME]... [--require NAME|all]...
                                            programs of others that call in, those installed
       cargo xtask hosts load crowd|churn|hogged [--seconds N] [--storm]
       cargo xtask systems [--only ROW]... [--install] [--quick] [--list]
                                            other systems: checked, linked, run
       cargo xtask sanitize [address|thread] [--install]
                                            tests with a sanitizer
       cargo xtask valgrind                 the main job under memcheck
       cargo xtask miri                     futures of channels and selects under Miri
       cargo xtask instructions [OPERATION]... [--update]
                                            hottest operations against xtask/instructions.txt
       cargo xtask instructions --annotate OPERATION
                                            where its instructions are
       cargo xtask public-api [--update]    what users can name, against public-api.txt
       cargo xtask simulate [--procs N]... [--cores N] [--load NAME] [--seed N]
       cargo xtask layers [--root DIR] [--package DIR]      rooms, levels, cycles, prose
       cargo xtask install --prefix DIR [--built DIR]
                                            the C interface, where C's compilers look

steps of `test`, in order:
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((command, rest)) if command == "test" => steps::run(rest),
        Some((command, rest)) if command == "without" => steps::without::run(rest),
        Some((command, [])) if command == "beside" => steps::beside(),
        Some((command, rest)) if command == "soak" => soak::run(rest),
        Some((command, rest)) if command == "sanitize" => systems::sanitize::run(rest),
        Some((command, rest)) if command == "valgrind" => valgrind::run(rest),
        Some((command, rest)) if command == "miri" => systems::miri::run(rest),
        Some((command, rest)) if command == "systems" => systems::run(rest),
        Some((command, rest)) if command == "instructions" => instructions::run(rest),
        Some((command, rest)) if command == "stress" => stress::run(rest),
        Some((command, rest)) if command == "conserve" => stress::conserve(rest),
        Some((command, rest)) if command == "hosts" => hosts(rest),
        Some((command, rest)) if command == "public-api" => public_api::run(rest),
        Some((command, rest)) if command == "simulate" => simulate(rest),
        Some((command, rest)) if command == "layers" => layers::run(rest),
        Some((command, rest)) if command == "install" => install::run(rest),
        Some((command, _)) if command == "help" || command == "--help" => {
            print!("{}", usage());
            return ExitCode::SUCCESS;
        }
        Some((command, _)) => Err(format!("no command `{command}`\n\n{}", usage())),
        None => Err(usage()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Runs the policy simulator. It parses its own arguments.
fn simulate(arguments: &[String]) -> Result<(), String> {
    program(&["run", "--release", "--quiet", "--package", "policy-simulator", "--"], arguments)
}

/// Builds the hosts, and runs them by a program that parses its own arguments.
fn hosts(arguments: &[String]) -> Result<(), String> {
    program(&["build", "--release", "--quiet", "--package", "hosts"], &[])?;
    program(&["run", "--release", "--quiet", "--package", "hosts", "--"], arguments)
}

fn program(cargo: &[&str], arguments: &[String]) -> Result<(), String> {
    let mut command = cargo::command(cargo, None);
    command.args(arguments);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo {}: {status}", cargo.join(" "))),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

fn usage() -> String {
    let steps: String =
        steps::STEPS.iter().map(|step| format!("  {:8} {}\n", step.name, step.what)).collect();
    format!("{USAGE}{steps}")
}
