//! What a package needs before it is published, and that no other package is published.

use crate::{assert_clean, root};
use source_tree::packages::PACKAGES;
use std::fs;

/// The keys that every published manifest has.
const SAYS: [&str; 12] = [
    "description",
    "keywords",
    "categories",
    "readme",
    "include",
    "version.workspace",
    "edition.workspace",
    "rust-version.workspace",
    "license.workspace",
    "default-target",
    "targets",
    "rustdoc-args",
];

/// The most that the registry accepts.
const KEYWORDS: usize = 5;
const CATEGORIES: usize = 5;

/// Returns the value of a key at the beginning of a line.
fn value<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    manifest.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim_end() == key).then(|| value.trim())
    })
}

/// Returns the strings of an array on one line, or on lines of their own.
fn strings(array: &str) -> impl Iterator<Item = &str> {
    array.split('"').skip(1).step_by(2)
}

fn published(manifest: &str) -> Vec<String> {
    let mut findings: Vec<String> = SAYS
        .iter()
        .filter(|key| value(manifest, key).is_none())
        .map(|key| format!("no {key}"))
        .collect();
    for (key, most) in [("keywords", KEYWORDS), ("categories", CATEGORIES)] {
        let number = strings(value(manifest, key).unwrap_or_default()).count();
        if number == 0 || number > most {
            findings.push(format!("{number} {key}, 1 to {most} are taken"));
        }
    }
    if value(manifest, "publish").is_some() {
        findings.push("publish is restricted".to_owned());
    }
    findings
}

/// Checks that an inner package is pinned to the version that all have.
fn pinned(workspace: &str, name: &str) -> Vec<String> {
    let version = value(workspace, "version").unwrap_or("\"\"").trim_matches('"');
    let wanted = format!("version = \"={version}\"");
    match value(workspace, name) {
        Some(entry) if entry.contains(&wanted) => Vec::new(),
        entry => vec![format!("{name} is not at `{wanted}`: {entry:?}")],
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns a path in a package's directory.
fn inside(directory: &str, file: &str) -> String {
    if directory.is_empty() { file.to_owned() } else { format!("{directory}/{file}") }
}

#[test]
fn published_manifests_are_complete() {
    for (directory, _) in PACKAGES {
        let manifest = inside(directory, "Cargo.toml");
        let findings = published(&read(&manifest));
        assert!(findings.is_empty(), "{manifest}: {findings:?}");
    }
    let whole: String = SAYS.iter().map(|key| format!("{key} = [\"x\"]\n")).collect();
    assert_clean(&published(&whole));
    let many = "keywords = [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\"]";
    for (bad, needle) in [
        (whole.replace("readme = [\"x\"]", ""), "no readme"),
        (whole.replace("keywords = [\"x\"]", many), "6 keywords"),
        (whole.replace("categories = [\"x\"]", "categories = []"), "0 categories"),
        (format!("{whole}publish = false"), "restricted"),
    ] {
        let findings = published(&bad);
        assert!(findings.iter().any(|finding| finding.contains(needle)), "{needle}: {findings:?}");
    }
}

#[test]
fn inner_packages_are_pinned_and_say_that_they_are_internal() {
    let workspace = read("Cargo.toml");
    for (directory, library) in PACKAGES.iter().filter(|(directory, _)| !directory.is_empty()) {
        assert_clean(&pinned(&workspace, &library.replace('_', "-")));
        let readme = inside(directory, "README.md");
        let text = read(&readme);
        for statement in ["An internal part of [`gosched`]", "Use `gosched`.", "no stability"] {
            assert!(text.contains(statement), "{readme}: no `{statement}`");
        }
    }
    let loose = "version = \"1.2.3\"\na = { version = \"1.2.3\" }\nb = { version = \"=1.2.2\" }\n";
    for name in ["a", "b", "c"] {
        assert_eq!(pinned(loose, name).len(), 1, "{name}");
    }
    assert_clean(&pinned("version = \"1.2.3\"\na = { version = \"=1.2.3\" }", "a"));
}

#[test]
fn every_published_package_has_the_licences() {
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let text = read(licence);
        for (directory, _) in PACKAGES {
            let copy = inside(directory, licence);
            assert!(read(&copy) == text, "{copy} differs from {licence}");
        }
    }
}

#[test]
fn no_other_package_is_published() {
    let workspace = read("Cargo.toml");
    let (_, rest) = workspace.split_once("\nmembers = [").expect("a workspace has members");
    let (members, _) = rest.split_once(']').expect("the list ends");
    let mut others = 0;
    for member in strings(members) {
        let directory = if member == "." { "" } else { member };
        if PACKAGES.iter().any(|(published, _)| *published == directory) {
            continue;
        }
        let manifest = inside(directory, "Cargo.toml");
        assert_eq!(value(&read(&manifest), "publish"), Some("false"), "{manifest}");
        others += 1;
    }
    assert!(others >= 6, "only {others} packages were looked at");
}
