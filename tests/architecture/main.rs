//! The rules that the compiler cannot see, read off the source tree.
//!
//! Each rule is a function from sources to findings. One test runs it on the tree; another feeds it
//! small sources that break it, so a rule that has gone blind fails too.

mod doc_examples;
mod layers;
mod orderings;
mod placement;
mod source;
mod unsafety;
mod upkeep;

use source::Source;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The packages, bottom first: directory, and the name its library has in code.
const PACKAGES: [(&str, &str); 4] = [
    ("runtime-sys", "gosched_runtime_sys"),
    ("scheduler", "gosched_scheduler"),
    ("callback-bridge", "gosched_callback_bridge"),
    ("", "gosched"),
];

/// Where sources lie.
#[rustfmt::skip]
const TOPS: [&str; 11] = [
    "src", "runtime-sys", "scheduler", "callback-bridge", "c-side", "test-support", "xtask", "simulator", "examples",
    "tests", "benches",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source of the workspace.
fn tree() -> &'static [Source] {
    static TREE: OnceLock<Vec<Source>> = OnceLock::new();
    TREE.get_or_init(|| {
        let mut found = Vec::new();
        for top in TOPS {
            collect(&root().join(top), &mut found);
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    })
}

fn collect(directory: &Path, into: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
            let path = path
                .strip_prefix(root())
                .expect("it lies in the tree")
                .to_string_lossy()
                .replace('\\', "/");
            into.push(Source::new(&path, &text));
        }
    }
}

/// A small tree for a rule's own test.
fn sample(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}

#[track_caller]
fn assert_clean(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
}

/// The rule must object to each of `bad` (with `needle` in what it says) and to none of `good`.
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
