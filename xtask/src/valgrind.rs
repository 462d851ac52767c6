//! `cargo xtask valgrind`: the main job under memcheck. It takes minutes, and valgrind has to be
//! installed, so it is no step of `cargo xtask test`.

use std::process::Command;

use crate::cargo::{self, target_dir};

/// Runs the main job under memcheck, in each mode and binding.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err(format!("no arguments are taken: {arguments:?}"));
    }
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
