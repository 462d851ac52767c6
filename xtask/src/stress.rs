//! `cargo xtask stress`: everything at once for as long as one likes.

use crate::cargo;

const USAGE: &str = "usage: cargo xtask stress --seconds N [--seed S]";

/// Runs `tests/stress` with its knobs.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let mut command = cargo::command(&["test", "--release", "--test", "stress", "--", "--nocapture"], None);
    for pair in arguments.chunks(2) {
        let [flag, value] = pair else { return Err(USAGE.to_owned()) };
        let knob = match flag.as_str() {
            "--seconds" => "GOSCHED_STRESS_SECONDS",
            "--seed" => "GOSCHED_STRESS_SEED",
            _ => return Err(USAGE.to_owned()),
        };
        value.parse::<u64>().map_err(|_| USAGE.to_owned())?;
        command.env(knob, value);
    }
    let outcome = cargo::run(command).map_err(|error| format!("cannot run cargo: {error}"))?;
    match (outcome.success, outcome.passed()) {
        (true, 1..) => Ok(()),
        (true, 0) => Err("no test ran".to_owned()),
        (false, _) => Err("the stress test failed; its seed stands above".to_owned()),
    }
}
