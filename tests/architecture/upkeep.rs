//! Upkeep: the length of files, leftovers, ignored tests, mistakes that no test switches on, words
//! with another meaning.

use crate::{assert_bites, assert_clean, tree};
use source_tree::source::{Source, has_word, words};
use std::collections::BTreeSet;

/// The most lines of a file without its unit tests: what can be read in one sitting.
const LONGEST: usize = 465;

fn files_are_short(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !source.tests()) {
        let lines = source.product_lines().count();
        if lines > LONGEST {
            findings.push(source.at(LONGEST, format_args!("{lines} lines, {LONGEST} is the most")));
        }
    }
    findings
}

fn nothing_is_left_over(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for name in ["todo", "unimplemented", "dbg"] {
            for offset in words(&source.code, name) {
                if source.code[offset + name.len()..].starts_with('!') {
                    findings.push(source.at(source.line_of(offset), format_args!("{name}!")));
                }
            }
        }
        for comment in &source.comments {
            for marker in MARKERS {
                if has_word(&comment.text, marker) {
                    findings.push(source.at(comment.line, format_args!("left over: {marker}")));
                }
            }
            if !comment.doc && looks_like_code(comment.text.trim_start_matches('/').trim()) {
                findings.push(source.at(comment.line, "code in a comment"));
            }
        }
    }
    findings
}

// Concatenated, so that this file does not contain them.
const MARKERS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];

fn looks_like_code(text: &str) -> bool {
    let ends = [";", "{", "}", ");"].iter().any(|end| text.ends_with(end));
    let first = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '#')
        .next()
        .unwrap_or_default();
    let keyword = [
        "let", "use", "fn", "pub", "impl", "struct", "enum", "mod", "match", "return", "unsafe",
        "const",
    ];
    let call = text.ends_with(");") && !text.contains(' ');
    text.starts_with("#[") || (ends && (keyword.contains(&first) || text == "}")) || call
}

fn ignored_tests_name_their_command(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (offset, _) in source.code.match_indices("#[ignore") {
            let line = source.line_of(offset);
            let reason = source.text[offset..].lines().next().unwrap_or_default();
            if !reason.contains("cargo ") {
                findings.push(source.at(line, "an ignored test without the command that runs it"));
            }
        }
    }
    findings
}

/// Checks that a test switches on every mistake that is compiled in, and that every mistake which a
/// test switches on exists.
fn mistakes_are_switched_on(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    let made: BTreeSet<&str> = sources
        .iter()
        .filter(|source| source.shipped() && source.path != "runtime-sys/src/sync/primitive.rs")
        .flat_map(|source| source.literal_arguments("mutated"))
        .map(|(_, name)| name)
        .collect();
    // A model passes the name to a helper, the storm passes it to a child process. So any literal
    // in such a file counts.
    let switched = |name: &str| {
        let literal = format!("\"{name}\"");
        sources.iter().any(|source| {
            let here = source.model() || source.path.starts_with("tests/mutants");
            here && source
                .text
                .match_indices(&literal)
                .any(|(at, _)| source.literal_at(at) == Some(name))
                || source.literal_arguments("switch_on").iter().any(|(_, on)| *on == name)
        })
    };
    for source in sources.iter().filter(|source| source.shipped()) {
        for (line, name) in source.literal_arguments("mutated") {
            if !switched(name) {
                findings.push(source.at(line, format_args!("no test switches `{name}` on")));
            }
        }
    }
    for source in sources {
        for (line, name) in source.literal_arguments("switch_on") {
            if !name.is_empty() && !made.contains(name) {
                findings.push(source.at(line, format_args!("nothing is mutated by `{name}`")));
            }
        }
    }
    findings
}

/// Finds words that other libraries use for a goroutine. Prose says goroutine, code says G.
fn words_are_ours(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in
        sources.iter().filter(|source| source.shipped() || source.path.starts_with("examples/"))
    {
        for comment in &source.comments {
            let text = comment.text.to_lowercase();
            for other in ["green thread", "green threads", "fiber", "fibers"] {
                if has_word(&text, other) {
                    findings
                        .push(source.at(comment.line, format_args!("{other}: we say goroutine")));
                }
            }
            // The task of an async executor is a task.
            if ["future", "poll", "waker", "executor"].iter().any(|word| text.contains(word)) {
                continue;
            }
            for other in ["task", "tasks"] {
                // `std::task` and `/proc/self/task` are names of others.
                let ours = words(&text, other).any(|at| {
                    !text[..at].ends_with("::")
                        && !text[..at].ends_with('/')
                        && !text[at..].starts_with("task::")
                });
                if ours {
                    findings
                        .push(source.at(comment.line, format_args!("{other}: we say goroutine")));
                }
            }
        }
    }
    findings
}

#[test]
fn files_can_be_read_in_one_sitting() {
    assert_clean(&files_are_short(tree()));
    let long = "fn f() {}\n".repeat(LONGEST + 1);
    let tested = format!(
        "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
        "fn f() {}\n".repeat(400),
        "fn f() {}\n".repeat(100)
    );
    assert_bites(
        files_are_short,
        " is the most",
        &[&[("scheduler/src/a.rs", &long)], &[("examples/a.rs", &long)]],
        &[&[("scheduler/src/a.rs", &tested)], &[("tests/a.rs", &long)]],
    );
}

#[test]
fn no_leftovers() {
    assert_clean(&nothing_is_left_over(tree()));
    let marker = format!("// {}: later", MARKERS[0]);
    assert_bites(
        nothing_is_left_over,
        "a.rs:1:",
        &[
            &[("scheduler/src/a.rs", concat!("fn f() { to", "do!() }"))],
            &[("tests/a.rs", concat!("fn f() { d", "bg!(1) }"))],
            &[("scheduler/src/a.rs", &marker)],
            &[("scheduler/src/a.rs", "// let x = 1;")],
            &[("scheduler/src/a.rs", "// self.queue.push(g);")],
            &[("scheduler/src/a.rs", "// #[inline]")],
        ],
        &[&[(
            "scheduler/src/a.rs",
            "// The word is read under the lock;\n// then `wake()` lets go.\n\
             /// let x = 1;\nfn f() {}",
        )]],
    );
}

#[test]
fn ignored_tests_can_be_run() {
    assert_clean(&ignored_tests_name_their_command(tree()));
    assert_bites(
        ignored_tests_name_their_command,
        "ignored",
        &[
            &[("tests/a.rs", "#[ignore]\nfn f() {}")],
            &[("tests/a.rs", "#[ignore = \"slow\"]\nfn f() {}")],
        ],
        &[&[("tests/a.rs", "#[ignore = \"cargo test --test a -- --ignored\"]\nfn f() {}")]],
    );
}

#[test]
fn every_mistake_is_caught_somewhere() {
    assert_clean(&mistakes_are_switched_on(tree()));
    let made = ("scheduler/src/a.rs", "if !mutated(\"a.fence\") {}");
    assert_bites(
        mistakes_are_switched_on,
        "a.fence",
        &[
            &[made],
            &[made, ("scheduler/src/model/a.rs", "caught(\"b\")")],
            &[("runtime-sys/src/model.rs", "switch_on(\"a.fence\")")],
        ],
        &[
            &[made, ("scheduler/src/model/a.rs", "caught(\"a.fence\", model)")],
            &[made, ("tests/mutants.rs", "const NAMES: [&str; 1] = [\"a.fence\"];")],
        ],
    );
}

#[test]
fn a_goroutine_is_called_a_goroutine() {
    assert_clean(&words_are_ours(tree()));
    assert_bites(
        words_are_ours,
        "we say goroutine",
        &[
            &[("scheduler/src/a.rs", "// Wakes the task.")],
            &[("scheduler/src/a.rs", "/// A fiber.")],
        ],
        &[
            &[(
                "scheduler/src/a.rs",
                "// A `std::task::X`, /proc/self/task.\n// Wakes the task that polls.",
            )],
            &[("scheduler/src/a.rs", "fn task() {}")],
        ],
    );
}
