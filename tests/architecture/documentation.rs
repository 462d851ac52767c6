//! The documentation is written for users of `gosched`: they can paste its examples, and its search
//! knows the words of Go, tokio and crossbeam.

use crate::{PACKAGES, assert_bites, assert_clean, root, tree};
use source_tree::source::{Source, attributes, has_word};

/// Returns the lines of Rust examples in doc comments, with their numbers.
fn example_lines(source: &Source) -> Vec<(usize, &str)> {
    let docs = source.comments.iter().filter(|comment| comment.doc);
    rust_lines(docs.map(|comment| (comment.line, markdown(&comment.text))))
}

/// Returns a line of a doc comment without its comment marks.
fn markdown(comment: &str) -> &str {
    let text = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!"));
    text.map_or(comment, |text| text.strip_prefix(' ').unwrap_or(text))
}

/// Returns the lines between the fences of Markdown's code blocks in Rust.
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

/// The languages of blocks that are no examples in Rust.
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

/// Returns the library of an inner package that `text` names.
fn inner(text: &str) -> Option<&'static str> {
    let libraries = PACKAGES.iter().map(|(_, library)| *library);
    libraries.filter(|library| *library != "gosched").find(|library| has_word(text, library))
}

fn names_inner(library: &str) -> String {
    format!("an example names {library}, users have gosched")
}

/// A user who pastes an example does not get its hidden lines. The one exception gives a type to
/// the function that rustdoc puts around an example with `?`.
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

/// Words of other runtimes that the search of the documentation must know.
const SEARCHED: [&str; 18] = [
    "spawn",
    "task",
    "fiber",
    "green thread",
    "coroutine",
    "mpsc",
    "mpmc",
    "oneshot",
    "channel",
    "errgroup",
    "spawn_blocking",
    "block_in_place",
    "CancellationToken",
    "Context",
    "Gosched",
    "LockOSThread",
    "GOMAXPROCS",
    "NumGoroutine",
];

fn words_of_others_are_found(sources: &[Source]) -> Vec<String> {
    let mut aliases = String::new();
    for source in sources.iter().filter(|source| source.shipped()) {
        for attribute in attributes(&source.code) {
            if attribute.text.starts_with("#[doc(alias") {
                let end = attribute.offset + attribute.text.len();
                aliases += &source.text[attribute.offset..end];
            }
        }
    }
    let missing = SEARCHED.iter().filter(|word| !aliases.contains(&format!("\"{word}\"")));
    missing.map(|word| format!("no item has the alias `{word}`")).collect()
}

#[test]
fn the_search_knows_the_words_of_others() {
    assert_clean(&words_of_others_are_found(tree()));
    let quoted = SEARCHED.map(|word| format!("\"{word}\"")).join(", ");
    let all = format!("#[doc(alias({quoted}))]\npub fn go() {{}}");
    let but_one = all.replace("\"fiber\", ", "");
    let in_a_comment = format!("// {all}").replace("\n", "\n// ");
    assert_bites(
        words_of_others_are_found,
        "alias",
        &[&[("scheduler/src/a.rs", &but_one)], &[("scheduler/src/a.rs", &in_a_comment)]],
        &[&[("scheduler/src/a.rs", &all)]],
    );
}

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
