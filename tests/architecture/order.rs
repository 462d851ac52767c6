//! The order of modules is in one place; the tables that readers see agree with it.

use crate::{assert_bites, assert_clean, root, tree};
use source_tree::order::{ORDERS, differences, mentions, unmentioned};
use source_tree::source::Source;

/// The first headings of those tables at the head of a `lib.rs` that show the order of modules.
const HEADINGS: [&str; 2] = ["| room |", "| module |"];

/// Checks the table at the head of each `lib.rs`: its first column is part of the order.
fn heads_agree(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (package, order) in ORDERS {
        let path = format!("{package}/src/lib.rs");
        for source in sources.iter().filter(|source| source.path == path) {
            let lines: Vec<&str> = source
                .comments
                .iter()
                .map(|comment| comment.text.trim_start_matches("//!").trim())
                .collect();
            let heading = |line: &&str| HEADINGS.iter().any(|start| line.starts_with(start));
            let Some(start) = lines.iter().position(heading) else { continue };
            let rows = lines[start + 2..].iter().take_while(|line| line.starts_with('|'));
            let first: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).collect();
            let found = differences(order, &mentions(&first.join(" ")));
            let line = source.comments[start].line;
            findings.extend(found.iter().map(|difference| source.at(line, difference)));
        }
    }
    findings
}

/// Checks the table of a document: a row for each package, with all of its modules.
fn document_agrees(document: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (package, order) in ORDERS {
        let start = format!("| `{package}` | `");
        let row = document.lines().find_map(|line| line.strip_prefix(&start));
        let Some(row) = row else {
            findings.push(format!("no row for {package}"));
            continue;
        };
        let mentions = mentions(&format!("`{row}"));
        let about = |what: String| format!("{package}: {what}");
        findings.extend(differences(order, &mentions).into_iter().map(about));
        let absent = unmentioned(order, &mentions).into_iter();
        findings.extend(absent.map(|name| about(format!("`{name}` is missing"))));
    }
    findings
}

#[test]
fn the_heads_of_the_crates_agree() {
    assert_clean(&heads_agree(tree()));
    let head = |rows: &str| format!("//! X.\n//!\n//! | room | what |\n//! |---|---|\n{rows}");
    let swapped = head("//! | `gmp` | a |\n//! | `ds` | b |\n");
    let unknown = head("//! | `nowhere` | a |\n");
    let right = head("//! | [`ds`], `policy` | `wait` |\n//! | `gmp` | b |\n\n// | `ds` | x |");
    assert_bites(
        heads_agree,
        "scheduler/src/lib.rs:3:",
        &[&[("scheduler/src/lib.rs", &swapped)], &[("scheduler/src/lib.rs", &unknown)]],
        &[&[("scheduler/src/lib.rs", &right)], &[("src/lib.rs", &swapped)]],
    );
}

#[test]
fn the_map_agrees() {
    let path = root().join("docs/architecture.md");
    let document = std::fs::read_to_string(path).expect("the map is there");
    assert_clean(&document_agrees(&document));
    for (row, finding) in [
        ("| `callback-bridge` | `bridge`, `error` |", "callback-bridge: `error` stands behind"),
        ("| `callback-bridge` | `error` |", "callback-bridge: `bridge` is missing"),
        ("", "no row for callback-bridge"),
    ] {
        let findings = document_agrees(row);
        assert!(findings.iter().any(|found| found.starts_with(finding)), "{findings:?}");
    }
}
