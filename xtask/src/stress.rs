//! Tests that take any time, or any number of values. `cargo xtask stress` does everything at once;
//! `cargo xtask conserve` sends values through selects under limits and cancels.

use crate::cargo;

const STRESS: &str = "usage: cargo xtask stress --seconds N [--seed S]";
const CONSERVE: &str = "usage: cargo xtask conserve [--items N] [--seed S]";

/// How many values `conserve` sends, all modes and numbers of Ps together, unless `--items` is
/// given.
const ITEMS: u64 = 10_000_000;

/// Runs `tests/stress` with its settings.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let knobs = knobs(
        arguments,
        &[("--seconds", "GOSCHED_STRESS_SECONDS"), ("--seed", "GOSCHED_STRESS_SEED")],
    );
    let knobs = knobs.ok_or(STRESS)?;
    test(&["stress", "--", "--nocapture"], &knobs)
}

/// Runs the test of conservation in `tests/channels`.
pub(crate) fn conserve(arguments: &[String]) -> Result<(), String> {
    let knobs = knobs(arguments, &[("--items", "GOSCHED_ITEMS"), ("--seed", "GOSCHED_SEED")])
        .ok_or(CONSERVE)?;
    // A setting from the command line comes later, and counts.
    let knobs: Vec<_> = [("GOSCHED_ITEMS", ITEMS)].into_iter().chain(knobs).collect();
    test(&["channels", "conservation", "--", "--nocapture"], &knobs)
}

/// Returns the values of flags, with the names of their environment variables; `None` if the flags
/// are not understood.
fn knobs(arguments: &[String], flags: &[(&str, &'static str)]) -> Option<Vec<(&'static str, u64)>> {
    let pairs = arguments.chunks(2).map(|pair| {
        let [flag, value] = pair else { return None };
        let (_, knob) = flags.iter().find(|(name, _)| name == flag)?;
        Some((*knob, value.parse().ok()?))
    });
    pairs.collect()
}

fn test(arguments: &[&str], knobs: &[(&str, u64)]) -> Result<(), String> {
    let mut command = cargo::command(&["test", "--release", "--test"], None);
    command.args(arguments).envs(knobs.iter().map(|(name, value)| (name, value.to_string())));
    let outcome = cargo::run(command).map_err(|error| format!("cannot run cargo: {error}"))?;
    match (outcome.success, outcome.passed()) {
        (true, 1..) => Ok(()),
        (true, 0) => Err("no test ran".to_owned()),
        (false, _) => Err("the test failed; its seed stands above".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_variables() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let flags = [("--items", "ITEMS"), ("--seed", "SEED")];
        assert_eq!(
            knobs(&words("--seed 3 --items 10"), &flags),
            Some(vec![("SEED", 3), ("ITEMS", 10)])
        );
        assert_eq!(knobs(&[], &flags), Some(Vec::new()));
        for wrong in ["--items", "--items ten", "--seconds 3", "3"] {
            assert_eq!(knobs(&words(wrong), &flags), None, "{wrong}");
        }
    }
}
