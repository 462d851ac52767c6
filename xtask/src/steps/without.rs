//! The tests without parts of the system: what stands in for them on other systems runs here.
//!
//! Each part is taken away by a private cfg, see `docs/platforms.md`. Tests of a part itself are
//! ignored where it is gone.

use crate::cargo;

/// The parts that can be taken away together: with any of them missing, every promise that users
/// have is kept.
const PARTS: [&str; 9] = [
    "no_affinity",
    "no_cancel",
    "no_futex",
    "no_madvise_guards",
    "no_membarrier",
    "no_mincore",
    "no_thread_clock",
    "no_thread_list",
    "shared_signal_stacks",
];

/// Without these a promise is gone: overflows are not reported, handlers find no goroutine, an M
/// does not stay with a thread. Tests of those fail.
const PROMISED: [&str; 2] = ["no_exit_hook", "no_signals"];

/// Runs the tests without the named parts, or without all of [`PARTS`], all at once.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (parts, filters) = match arguments.iter().position(|argument| argument == "--") {
        Some(at) => (&arguments[..at], &arguments[at + 1..]),
        None => (arguments, &[][..]),
    };
    let flags = flags(parts)?;
    let mut command = cargo::command(&["test", "--no-fail-fast"], Some("without"));
    command.env("RUSTFLAGS", flags);
    if filters.is_empty() {
        command.args(["--lib", "--tests"]);
    }
    command.args(filters);
    let outcome = cargo::run(command).map_err(|error| format!("cannot run cargo: {error}"))?;
    println!("{} tests passed", outcome.passed());
    if outcome.success { Ok(()) } else { Err("cargo failed".to_owned()) }
}

/// Returns the compiler's flags that take the parts away.
fn flags(parts: &[String]) -> Result<String, String> {
    if parts.is_empty() {
        return Ok(joined(&PARTS));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.iter().find(|part| !PARTS.contains(part) && !PROMISED.contains(part)) {
        Some(part) => Err(format!("no part `{part}`; there are {PARTS:?} and {PROMISED:?}")),
        None => Ok(joined(&parts)),
    }
}

fn joined(parts: &[&str]) -> String {
    parts.iter().map(|part| format!("--cfg gosched_{part}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_flags() {
        assert_eq!(flags(&["no_futex".to_owned()]).expect("a part"), "--cfg gosched_no_futex");
        assert_eq!(flags(&[]).expect("all").matches("--cfg").count(), PARTS.len());
        assert!(flags(&["no_such_thing".to_owned()]).is_err());
    }

    #[test]
    fn the_compiler_and_the_document_know_each_part() {
        let read = |name: &str| std::fs::read_to_string(cargo::root().join(name)).expect(name);
        let (manifest, platforms) = (read("Cargo.toml"), read("docs/platforms.md"));
        for part in PARTS.iter().chain(&PROMISED) {
            assert!(manifest.contains(&format!("'cfg(gosched_{part})'")), "{part}");
            assert!(platforms.contains(&format!("`gosched_{part}`")), "{part}");
        }
    }
}
