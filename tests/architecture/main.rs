//! The rules that the compiler cannot check, read from the source tree.
//!
//! Each rule is a function from sources to findings. One test runs it on the tree; another feeds it
//! small sources that break it, so a rule that has gone blind fails too.

mod bounds;
mod documentation;
mod layers;
mod one_place;
mod order;
mod orderings;
mod packages;
mod texts;
mod unsafety;
mod upkeep;

use source_tree::packages::PACKAGES;
use source_tree::source::Source;
use std::path::PathBuf;
use std::sync::OnceLock;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source of the workspace.
fn tree() -> &'static [Source] {
    static TREE: OnceLock<Vec<Source>> = OnceLock::new();
    TREE.get_or_init(|| source_tree::tree::read(&root()).expect("sources are readable and UTF-8"))
}

/// Returns a small tree for a rule's own test.
fn sample(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}

#[track_caller]
fn assert_clean(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
}

/// Asserts that the rule objects to each of `bad` (with `needle` in the finding) and to none of
/// `good`.
#[track_caller]
fn assert_bites(
    rule: fn(&[Source]) -> Vec<String>,
    needle: &str,
    bad: &[&[(&str, &str)]],
    good: &[&[(&str, &str)]],
) {
    for files in bad {
        let findings = rule(&sample(files));
        assert!(
            findings.iter().any(|finding| finding.contains(needle)),
            "no `{needle}` for {files:#?}: {findings:#?}"
        );
    }
    for files in good {
        let findings = rule(&sample(files));
        assert!(findings.is_empty(), "objects to {files:#?}: {findings:#?}");
    }
}

#[test]
fn the_tree_was_read() {
    for (directory, _) in PACKAGES {
        let prefix =
            if directory.is_empty() { "src/".to_owned() } else { format!("{directory}/src/") };
        assert!(
            tree().iter().any(|source| source.path == format!("{prefix}lib.rs")),
            "no {prefix}lib.rs"
        );
    }
    assert!(tree().len() >= 40, "only {} files", tree().len());
}
