//! Texts as a reader sees them: the width of their lines, and the files that they name.

use crate::{assert_bites, assert_clean, root};
use source_tree::source::{Source, has_word};
use std::sync::OnceLock;

/// Returns every text of the workspace: sources, documents, manifests, scripts.
fn texts() -> &'static [Source] {
    static TEXTS: OnceLock<Vec<Source>> = OnceLock::new();
    TEXTS.get_or_init(|| source_tree::tree::texts(&root()).expect("texts are readable and UTF-8"))
}

/// Characters of a line: `max_width` in `rustfmt.toml`.
const WIDEST: usize = 100;

/// Returns the lines that are too wide. A list, such as `public-api.txt`, may have any width.
fn lines_are_narrow(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !source.path.ends_with(".txt")) {
        for (number, line) in (1..).zip(source.text.lines()) {
            let width = line.chars().count();
            if width > WIDEST && !cannot_be_wrapped(source, line) {
                findings.push(
                    source.at(number, format_args!("{width} characters, {WIDEST} is the most")),
                );
            }
        }
    }
    findings
}

/// True if `line` is a row of a table, defines a link, or holds an address.
fn cannot_be_wrapped(source: &Source, line: &str) -> bool {
    let prose = prose(source, line);
    let row = prose.is_some_and(|prose| prose.starts_with('|'));
    let definition = prose.is_some_and(|prose| prose.starts_with('[') && prose.contains("]: "));
    row || definition || line.contains("://")
}

/// Returns the text of `line` if it is a line of a document or a comment.
fn prose<'a>(source: &Source, line: &'a str) -> Option<&'a str> {
    if source.path.ends_with(".md") {
        return Some(line.trim_start());
    }
    let comment = line.trim_start().strip_prefix("//")?;
    Some(comment.trim_start_matches(['/', '!']).trim_start())
}

/// Returns the names in documents and comments of files that do not exist.
///
/// A name is a path from the top of the workspace or the end of a path: `proc/find.rs` means
/// `scheduler/src/proc/find.rs`. A `*` stands for a part of a name.
fn named_files_exist(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let named: Vec<(usize, &str)> = if source.path.ends_with(".md") {
            (1..).zip(source.text.lines()).collect()
        } else {
            source.comments.iter().map(|comment| (comment.line, comment.text.as_str())).collect()
        };
        for (line, text) in named {
            for name in file_names(text) {
                if !sources.iter().any(|file| is_at(&file.path, name)) {
                    findings.push(source.at(line, format_args!("{name} does not exist")));
                }
            }
        }
    }
    findings
}

/// Returns the words of `text` that name Rust sources, and the words in backticks that name a file
/// or folder in a folder at the top.
fn file_names(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_alphanumeric() || "_-./*".contains(c);
    let sources = text
        .split(move |c| !part(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.ends_with(".rs") && !FOREIGN.contains(word) && !is_sample(word));
    let quoted = text.split('`').skip(1).step_by(2).filter(move |word| {
        let (top, rest) = word.split_once('/').unwrap_or_default();
        OURS.contains(&top) && !rest.is_empty() && rest.chars().all(part) && !word.ends_with(".rs")
    });
    sources.chain(quoted)
}

/// Names that end like a source and are no file here: a host, and a user's file in a message.
const FOREIGN: [&str; 2] = ["docs.rs", "src/parse.rs"];

/// True if `name` is an example like `a/b.rs`: its last part, `mod` aside, is one letter. Also true
/// of an ending alone.
fn is_sample(name: &str) -> bool {
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    stem.split('/').next_back().is_some_and(|last| last.len() <= 1)
        || stem.strip_suffix("/mod").is_some_and(is_sample)
}

/// Folders at the top. A word that begins with one of them is a path.
const OURS: [&str; 12] = [
    "benches",
    "c-api",
    "c-side",
    "callback-bridge",
    "docs",
    "examples",
    "runtime-sys",
    "scheduler",
    "simulator",
    "source-tree",
    "tests",
    "xtask",
];

/// True if `name` means the file at `path`, or a folder that has the file.
fn is_at(path: &str, name: &str) -> bool {
    if let Some((before, after)) = name.split_once('*') {
        return path.strip_prefix(before).is_some_and(|rest| rest.ends_with(after));
    }
    let above = |folder: &str, below: &str| {
        folder.strip_suffix(below).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    let name = name.trim_start_matches("./").trim_end_matches('/');
    above(path, name) || path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the tests that documents name, as a file and a function, and that the file lacks.
fn named_tests_exist(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        for (line, text) in (1..).zip(source.text.lines()) {
            for (file, test) in test_names(text) {
                let code = format!("fn {test}()");
                let mut files = sources.iter().filter(|source| is_at(&source.path, file));
                if !files.any(|source| source.code.contains(&code)) {
                    findings.push(source.at(line, format_args!("no {test} in {file}")));
                }
            }
        }
    }
    findings
}

/// Returns the words of `text` in backticks that name a function of a file.
fn test_names(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::"));
    quoted.filter(|(file, _)| file.ends_with(".rs"))
}

/// Returns the names of our code in the table of Go's names that no source has. The last column of
/// that table has our names; file names are checked elsewhere.
fn counterparts_exist(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        let rows = (1..).zip(source.text.lines()).skip_while(|(_, line)| *line != "| Go | here |");
        for (number, row) in rows.skip(2).take_while(|(_, line)| line.starts_with('|')) {
            let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
            for path in cell.split('`').skip(1).step_by(2).filter(|name| !name.ends_with(".rs")) {
                let code = || sources.iter().filter(|source| source.shipped());
                let known = |name| code().any(|source| has_word(&source.code, name));
                if !path.split("::").all(known) {
                    findings.push(source.at(number, format_args!("no source has {path}")));
                }
            }
        }
    }
    findings
}

#[test]
fn the_counterparts_of_gos_names_exist() {
    assert_clean(&counterparts_exist(texts()));
    let source = ("scheduler/src/a.rs", "struct Here;\n// gone\nfn there() {}");
    let table = |row: &str| format!("| Go | here |\n|---|---|\n{row}\n\n| `gone` |");
    let (bad, worse) = (table("| `g` | `Here::gone` |"), table("| `g` | `a.rs` (`Gone`) |"));
    let good = table("| `g`, `gone` | `a.rs` (`Here`), `there`; `b.rs` |");
    assert_bites(
        counterparts_exist,
        "no source has",
        &[&[source, ("docs/a.md", &bad)], &[source, ("docs/a.md", &worse)]],
        &[&[source, ("docs/a.md", &good)]],
    );
    let map = texts().iter().find(|text| text.path == "docs/architecture.md");
    assert!(map.is_some_and(|map| map.text.contains("| Go | here |")));
}

#[test]
fn lines_fit_the_page() {
    assert_clean(&lines_are_narrow(texts()));
    let wide = "x".repeat(WIDEST - 5);
    let accents = format!("// {}", "é".repeat(WIDEST - 3));
    let (comment, code) = (format!("/// {wide} y"), format!("let {wide} = 1;"));
    let bar = format!("|| {wide}();");
    let (row, commented) = (format!("| {wide} | y |"), format!("    //! | {wide} | y |"));
    let (link, defined) = (format!("// https://{wide}"), format!("/// [`x`]: crate::{wide}"));
    assert_bites(
        lines_are_narrow,
        "100 is the most",
        &[
            &[("tests/a.rs", &comment)],
            &[("runtime-sys/src/a.rs", &code)],
            &[("tests/a.rs", &bar)],
            &[("docs/a.md", &code)],
            &[("Cargo.toml", &row)],
        ],
        &[
            &[("tests/a.rs", &accents)],
            &[("docs/a.md", &row)],
            &[("tests/a.rs", &commented)],
            &[("tests/a.rs", &link)],
            &[("tests/a.rs", &defined)],
        ],
    );
}

#[test]
fn files_that_are_named_exist() {
    assert_clean(&named_files_exist(texts()));
    let names: usize = texts()
        .iter()
        .filter(|text| text.path.starts_with("docs/"))
        .map(|text| text.text.lines().map(|line| file_names(line).count()).sum::<usize>())
        .sum();
    assert!(names >= 150, "only {names} names were read in docs/");
    let find = ("scheduler/src/proc/find.rs", "");
    assert_bites(
        named_files_exist,
        "does not exist",
        &[
            &[find, ("docs/a.md", "It is in `proc/search.rs`.")],
            &[find, ("docs/a.md", "| a | `find.rs`, `gmp/find.rs` |")],
            &[find, ("docs/a.md", "See `tests/fairness`.")],
            &[find, ("tests/a.rs", "// See nd.rs.\nfn f() {}")],
            &[find, ("tests/a.rs", "//! `tests/b*.rs` does the same.")],
        ],
        &[
            &[find, ("docs/a.md", "In `proc/find.rs`, find.rs and `scheduler/src/proc/find.rs`.")],
            &[find, ("docs/a.md", "`scheduler/src`, `time/timer`, docs.rs, *.rs")],
            &[("tests/b_c.rs", "// `tests/b*.rs`"), find],
            &[find, ("tests/a.rs", "const A: &str = \"gone.rs\";")],
        ],
    );
}

#[test]
fn tests_that_are_named_exist() {
    assert_clean(&named_tests_exist(texts()));
    let lessons = texts().iter().find(|text| text.path == "docs/lessons.md");
    let names = lessons.map_or(0, |text| test_names(&text.text).count());
    assert!(names >= 50, "only {names} tests are named in docs/lessons.md");
    let test = ("tests/bridge/a.rs", "#[test]\nfn holds() {}\n// fn gone() {}");
    assert_bites(
        named_tests_exist,
        "in ",
        &[
            &[test, ("docs/a.md", "| a | `bridge/a.rs::gone` |")],
            &[test, ("docs/a.md", "`tests/bridge/a.rs::holds`, `tests/bridge/a.rs::hold`")],
            &[test, ("docs/a.md", "`bridge/b.rs::holds`")],
        ],
        &[&[test, ("docs/a.md", "`bridge/a.rs::holds`, `tests/bridge/a.rs`, `A::gone`")]],
    );
}

#[test]
fn the_texts_were_read() {
    for path in ["README.md", "docs/testing.md", "Cargo.toml", ".ci/run", "c-side/c/c_side.h"] {
        assert!(texts().iter().any(|text| text.path == path), "no {path}");
    }
}
