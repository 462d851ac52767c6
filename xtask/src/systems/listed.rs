//! Tests that cannot pass on a row's system, with their reasons. They are left out of the row's
//! run, and then run one by one: a test that passes has no place on the list, and fails the row.

use super::build::Build;
use super::rows::Row;
use crate::cargo;

/// Tests that cannot pass on some rows, for one reason.
#[derive(Debug)]
struct Group {
    rows: &'static [&'static str],
    why: &'static str,
    /// False where some pass at times: then they are left out unchecked.
    always: bool,
    tests: &'static [Listed],
}

/// A test: its suite, as cargo's arguments choose it, and its name.
type Listed = (&'static str, &'static str);

const UNDER_QEMU: &[&str] = &["linux-aarch64", "linux-riscv64"];

/// Integration tests that are left out of these rows, and of all rows where none is named.
const LEFT_OUT: &[(&[&str], &str, &str)] = &[
    (&[], "architecture", "reads the source, and runs nothing of it"),
    (&[], "compile_fail", "compiles programs, and runs none"),
    (&["linux-musl"], "dlopen", "a program that is linked statically loads no library"),
    (UNDER_QEMU, "stacks", "measures memory, which is qemu's, and limits that qemu ignores"),
    (UNDER_QEMU, "no_threads", "qemu ignores a limit on the address space"),
];

const LISTED: &[Group] = &[
    Group {
        rows: UNDER_QEMU,
        why: "qemu has no seccomp",
        always: true,
        tests: &[
            ("mailbox_handler", "a_post_for_a_poller_makes_no_system_call"),
            ("mailbox_handler", "a_post_for_a_sleeper_wakes_and_nothing_else"),
            ("mailbox_handler", "the_sandbox_ends_what_waits"),
        ],
    },
    Group {
        rows: UNDER_QEMU,
        why: "qemu ends in a fault of its own when a forked child makes a thread",
        always: false,
        tests: &[(
            "mailbox_handler",
            "in_a_forked_child_a_mailbox_is_disconnected_and_a_new_one_works",
        )],
    },
    Group {
        rows: UNDER_QEMU,
        why: "qemu ignores a limit on the address space",
        always: true,
        tests: &[("blocking", "without_a_thread_it_runs_in_place")],
    },
    Group {
        rows: &["windows-gnu"],
        why: "it wants a thread to begin and end within a millisecond, which Wine may not do",
        always: false,
        tests: &[(
            "sync",
            "rwlock::futures_come_after_those_who_park_and_pass_on_what_they_do_not_use",
        )],
    },
    Group {
        rows: &["windows-gnu"],
        why: "it counts what others do until a thread has woken, which Wine's server delays",
        always: false,
        tests: &[("sync", "starvation::writing")],
    },
];

/// Returns the integration tests that are left out of a row, each with the reason.
pub(crate) fn left_out(row: &Row) -> Vec<(&'static str, &'static str)> {
    let of_row = |rows: &[&str]| rows.is_empty() || rows.contains(&row.name);
    LEFT_OUT.iter().filter(|(rows, ..)| of_row(rows)).map(|&(_, suite, why)| (suite, why)).collect()
}

fn of(row: &Row) -> impl Iterator<Item = (&'static Group, Listed)> {
    let groups = LISTED.iter().filter(|group| group.rows.contains(&row.name));
    groups.flat_map(|group| group.tests.iter().map(move |listed| (group, *listed)))
}

/// Returns the arguments of libtest that leave the listed tests out.
pub(crate) fn skips(row: &Row) -> impl Iterator<Item = &'static str> {
    of(row).flat_map(|(_, (_, test))| ["--skip", test])
}

/// Runs the listed tests, which should fail, and says how that went. An error if one passes.
pub(crate) fn confirm(build: &Build<'_>) -> Result<(), String> {
    for (group, (suite, test)) in of(build.row) {
        if group.always {
            let mut command = build.cargo("test");
            command.args(["--release", "--test", suite, "--", "--exact", test]);
            let outcome = cargo::run(command).map_err(|error| error.to_string())?;
            if outcome.success {
                return Err(format!("{test} of {suite} is listed, and passes or is not there"));
            }
        }
        let told = if group.always { "fails" } else { "may pass" };
        println!("left out: {suite} {test}: {} ({told})", group.why);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::rows::ROWS;
    use super::*;
    use crate::cargo::root;

    /// Returns the text of an integration test, all its files.
    fn text(suite: &str) -> String {
        let tests = root().join("tests");
        if let Ok(text) = fs::read_to_string(tests.join(format!("{suite}.rs"))) {
            return text;
        }
        let files = fs::read_dir(tests.join(suite)).expect("the suite is there");
        let read = |file: std::io::Result<fs::DirEntry>| {
            fs::read_to_string(file.expect("a file").path()).expect("it is text")
        };
        files.map(read).collect()
    }

    #[test]
    fn what_is_listed_exists() {
        let known = |rows: &[&str]| rows.iter().all(|name| ROWS.iter().any(|r| r.name == *name));
        for (rows, suite, _) in LEFT_OUT {
            assert!(known(rows) && !text(suite).is_empty(), "{suite}");
        }
        for group in LISTED {
            assert!(known(group.rows) && !group.rows.is_empty(), "{group:?}");
            for (suite, test) in group.tests {
                let name = test.rsplit("::").next().unwrap_or_default();
                assert!(text(suite).contains(&format!("fn {name}(")), "{suite} {test}");
            }
        }
    }

    #[test]
    fn a_row_leaves_out_what_is_listed_for_it() {
        let row = |name| ROWS.iter().find(|row| row.name == name).expect("a row");
        let skipped: Vec<_> = skips(row("linux-riscv64")).collect();
        assert_eq!(skipped[..2], ["--skip", "a_post_for_a_poller_makes_no_system_call"]);
        assert_eq!(skips(row("linux-musl")).count(), 0);
        let left_out = |name| left_out(row(name)).into_iter().map(|(suite, _)| suite);
        assert!(left_out("linux-musl").any(|suite| suite == "dlopen"));
        assert!(!left_out("linux-aarch64").any(|suite| suite == "dlopen"));
    }
}
