//! The table of Go's scenarios names tests that exist.

use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../../docs/go-scenarios.md");

/// The names in the third column: `file::test` or `file/module::test`, below `tests/`.
fn named(table: &str) -> Vec<&str> {
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|line| line.split('|').nth(3));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| name.contains("::"))
        .collect()
}

fn exists(name: &str) -> bool {
    let Some((file, test)) = name.split_once("::") else { return false };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file).with_extension("rs");
    fs::read_to_string(path).is_ok_and(|source| source.contains(&format!("\nfn {test}() {{")))
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let names = named(TABLE);
    assert!(names.len() >= 50, "{} names", names.len());
    let missing: Vec<_> = names.into_iter().filter(|name| !exists(name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn a_name_that_is_not_there_would_be_found() {
    assert!(!exists("scenarios/channels::no_such_test"));
    let row =
        "| `TestX` | what | `scenarios/mutex::holders_are_alone`, and `timers::no_such_test` |";
    assert_eq!(named(row), ["scenarios/mutex::holders_are_alone", "timers::no_such_test"]);
}

/// Each test here that is taken from Go says from which; so the table has it, too.
#[test]
fn the_table_has_every_scenario_of_this_directory() {
    let names = named(TABLE);
    for file in ["channels", "select", "mutex", "rwlock", "condvar", "groups", "timers", "tickers"]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/scenarios")
            .join(file)
            .with_extension("rs");
        let source = fs::read_to_string(path).expect("it is here");
        for rest in source.split("#[test]\nfn ").skip(1) {
            let test = rest.split('(').next().unwrap_or_default();
            let name = format!("scenarios/{file}::{test}");
            assert!(names.contains(&name.as_str()), "the table lacks {name}");
        }
    }
}
