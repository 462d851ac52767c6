//! Examples in the documentation can be pasted into a program that depends on `gosched`.

use crate::source::{Source, has_word};
use crate::{PACKAGES, assert_bites, assert_clean, root, tree};

/// The lines of Rust examples in doc comments, with their numbers.
fn example_lines(source: &Source) -> Vec<(usize, &str)> {
    let docs = source.comments.iter().filter(|comment| comment.doc);
    rust_lines(docs.map(|comment| (comment.line, markdown(&comment.text))))
}

/// A line of a doc comment without the signs that make it one.
fn markdown(comment: &str) -> &str {
    let text = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!"));
    text.map_or(comment, |text| text.strip_prefix(' ').unwrap_or(text))
}

/// The lines between the fences of Markdown's code blocks in Rust.
fn rust_lines<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    let mut block: Option<&str> = None;
    for (number, line) in lines {
        match (line.trim_start().strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, Some(language)) if !OTHER_LANGUAGES.contains(&language) => {
                found.push((number, line));
            }
            (None, _) => {}
        }
    }
    found
}

/// Languages of blocks that are no examples in Rust.
const OTHER_LANGUAGES: [&str; 4] = ["text", "sh", "toml", "c"];

fn examples_name_the_facade(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.shipped()) {
        for (line, text) in example_lines(source) {
            findings.extend(inner(text).map(|name| source.at(line, names_inner(name))));
        }
    }
    findings
}

/// The library of an inner package that `text` names.
fn inner(text: &str) -> Option<&'static str> {
    let libraries = PACKAGES.iter().map(|(_, library)| *library);
    libraries.filter(|library| *library != "gosched").find(|library| has_word(text, library))
}

fn names_inner(library: &str) -> String {
    format!("an example names {library}, users have gosched")
}

/// A hidden line is not in what a user pastes. The one exception gives the function that rustdoc
/// puts around an example with `?` its type.
fn examples_hide_nothing(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.shipped()) {
        for (line, text) in example_lines(source) {
            let hidden = text.trim() == "#" || text.trim_start().starts_with("# ");
            if hidden && !RESULTS.iter().any(|result| text.contains(result)) {
                findings.push(source.at(line, "an example hides a line that it needs"));
            }
        }
    }
    findings
}

const RESULTS: [&str; 2] = ["Ok::<(), ", "Result::Ok(())"];

#[test]
fn examples_are_written_for_users() {
    assert_clean(&examples_name_the_facade(tree()));
    let lines: usize = tree()
        .iter()
        .filter(|source| source.shipped())
        .map(|source| example_lines(source).len())
        .sum();
    assert!(lines >= 400, "only {lines} lines of examples were read");
    assert_bites(
        examples_name_the_facade,
        "users have gosched",
        &[
            &[(
                "scheduler/src/a.rs",
                "/// ```\n/// use gosched_scheduler::go;\n/// ```\nfn f() {}",
            )],
            &[(
                "callback-bridge/src/lib.rs",
                "//! ```rust,no_run\n//! gosched_callback_bridge::f();\n//! ```",
            )],
        ],
        &[
            &[("scheduler/src/a.rs", "/// ```\n/// use gosched::go;\n/// ```\nfn f() {}")],
            &[("scheduler/src/a.rs", "/// ```text\n/// gosched_scheduler\n/// ```\nfn f() {}")],
            &[("scheduler/src/a.rs", "// ```\n// gosched_scheduler\nfn f() {}")],
            &[("tests/a.rs", "//! ```\n//! use gosched_scheduler::go;\n//! ```")],
        ],
    );
}

#[test]
fn examples_are_shown_whole() {
    assert_clean(&examples_hide_nothing(tree()));
    assert_bites(
        examples_hide_nothing,
        "hides",
        &[&[(
            "scheduler/src/a.rs",
            "/// ```\n/// # use gosched::go;\n/// go(f);\n/// ```\nfn f() {}",
        )]],
        &[
            &[(
                "scheduler/src/a.rs",
                "/// # Errors\n///\n/// ```\n/// f()?;\n/// # Ok::<(), E>(())\n/// ```\nfn f() {}",
            )],
            &[(
                "scheduler/src/a.rs",
                "/// ```\n/// #[derive(Debug)]\n/// struct A;\n/// ```\nfn f() {}",
            )],
        ],
    );
}

#[test]
fn examples_in_documents_name_the_facade() {
    let mut documents = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs")).expect("docs/ is there") {
        let path = entry.expect("a readable directory").path();
        documents.extend(path.extension().is_some_and(|end| end == "md").then_some(path));
    }
    let mut findings = Vec::new();
    for document in &documents {
        let text = std::fs::read_to_string(document).expect("documents are UTF-8");
        for (line, text) in rust_lines((1..).zip(text.lines())) {
            findings.extend(
                inner(text)
                    .map(|name| format!("{}:{line}: {}", document.display(), names_inner(name))),
            );
        }
    }
    assert_clean(&findings);
    assert!(documents.len() >= 9, "only {} documents", documents.len());
}
