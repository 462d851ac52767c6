//! Memory orderings: each ordering that is not `Relaxed` names its partner, and the partner has the
//! same tag.

use crate::{assert_bites, assert_clean, tree};
use source_tree::source::{Source, close, has_word, words};
use std::collections::BTreeMap;

/// How far above an operation its comment may begin: a long comment, or one for a few neighbouring
/// operations.
const REACH: usize = 6;

/// How far below the operation its comment may begin where a mistake is compiled in: the code first
/// chooses the wrong or the right ordering, then follow the comment and the operation.
const REACH_OF_A_CHOICE: usize = 3;

/// The file whose orderings belong to no protocol: it re-exports the names.
const SEAM: &str = "runtime-sys/src/sync/primitive.rs";

fn protocol(source: &Source) -> bool {
    source.shipped() && !source.model() && !source.tests() && source.path != SEAM
}

/// Returns the tags in a comment: the `x.y` of `ORDERING[x.y]`.
fn tags(comment: &str) -> impl Iterator<Item = &str> {
    comment.split("ORDERING[").skip(1).filter_map(|rest| rest.split_once(']')).map(|(tag, _)| tag)
}

fn every_ordering_is_explained(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| protocol(source)) {
        let code = without_mutants(&without_imports(&source.product));
        for (index, (line, written)) in code.lines().zip(source.product.lines()).enumerate() {
            let number = index + 1;
            let strong =
                ["Acquire", "Release", "AcqRel", "SeqCst"].iter().any(|name| has_word(line, name));
            // A compiler fence orders one thread against its own signal handlers. It has no partner
            // elsewhere.
            if !strong || has_word(line, "compiler_fence") {
                continue;
            }
            let below = if has_word(written, "mutated") { REACH_OF_A_CHOICE } else { 0 };
            let reach = number.saturating_sub(REACH)..=number + below;
            let explained = source.comments.iter().any(|comment| {
                reach.contains(&comment.line) && tags(&comment.text).next().is_some()
            });
            if !explained {
                findings.push(source.at(number, "an ordering without an ORDERING[tag] in reach"));
            }
        }
    }
    findings
}

fn every_tag_has_its_partner(sources: &[Source]) -> Vec<String> {
    let mut seen: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.shipped()) {
        for comment in &source.comments {
            for tag in tags(&comment.text) {
                seen.entry(tag)
                    .or_default()
                    .push(source.at(comment.line, format_args!("ORDERING[{tag}]")));
            }
        }
    }
    let alone = seen.into_values().filter(|places| places.len() < 2);
    alone.map(|places| format!("{} has no partner", places[0])).collect()
}

fn seq_cst_is_a_fence(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in
        sources.iter().filter(|source| source.shipped() && !source.tests() && source.path != SEAM)
    {
        let code = without_imports(&source.product);
        for offset in words(&code, "SeqCst") {
            let before = code[..offset].trim_end();
            let before = before.strip_suffix("Ordering::").unwrap_or(before).trim_end();
            if !before.ends_with("fence(") {
                findings.push(source.at(source.line_of(offset), "SeqCst outside fence(..)"));
            }
        }
    }
    findings
}

/// Blanks the block of `if mutated(..)`: it is wrong on purpose and needs no reason.
fn without_mutants(code: &str) -> String {
    let mut blanked = code.to_owned();
    for (offset, _) in code.match_indices("if mutated(") {
        let Some(open) = code[offset..].find('{') else { continue };
        let Some(end) = close(code, offset + open) else { continue };
        let empty: String =
            code[offset..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        if empty.len() == end - offset {
            blanked.replace_range(offset..end, &empty);
        }
    }
    blanked
}

/// Blanks `use` declarations: they name orderings and order nothing.
fn without_imports(code: &str) -> String {
    let mut blanked = code.to_owned();
    for offset in words(code, "use") {
        let Some(length) = code[offset..].find(';') else { continue };
        let empty: String = code[offset..offset + length]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        blanked.replace_range(offset..offset + length, &empty);
    }
    blanked
}

#[test]
fn orderings_are_explained() {
    assert_clean(&every_ordering_is_explained(tree()));
    let file = "scheduler/src/a.rs";
    let tagged = "use x::Ordering::{Acquire, Release};\n// ORDERING[a.b]: sees the value\n\
                  fn f() {\n    a.load(Acquire);\n}\n";
    let far = "// ORDERING[a.b]: sees the value\n\n\n\n\n\n\n\nfn f() { a.load(Acquire); }\n";
    let relaxed = "fn f() { a.load(Relaxed); compiler_fence(SeqCst); \
                   if mutated(\"x\") { a.load(Acquire); } }";
    let chosen = "let o = if mutated(\"x\") { Relaxed } else { Release };\n\
                  // ORDERING[a.b]: x\na.store(1, o);";
    let test = "#[cfg(test)]\nmod tests { fn f() { a.load(Acquire); } }";
    assert_bites(
        every_ordering_is_explained,
        "without an ORDERING",
        &[
            &[(file, "fn f() { a.load(Acquire); }")],
            &[(file, far)],
            &[(file, "fn f() { fence(SeqCst); }")],
        ],
        &[
            &[(file, tagged)],
            &[(file, relaxed)],
            &[(file, chosen)],
            &[(file, test)],
            &[("scheduler/src/model/a.rs", "a.load(Acquire)")],
        ],
    );
}

#[test]
fn tags_come_in_pairs() {
    assert_clean(&every_tag_has_its_partner(tree()));
    let one: (&str, &str) = ("scheduler/src/a.rs", "// ORDERING[a.b]: x\n");
    assert_bites(
        every_tag_has_its_partner,
        "no partner",
        &[
            &[one],
            &[one, ("scheduler/src/b.rs", "// ORDERING[a.c]: y")],
            &[one, ("tests/b.rs", "// ORDERING[a.b]: y")],
        ],
        &[&[one, ("runtime-sys/src/b.rs", "a(); // ORDERING[a.b]: y")]],
    );
}

#[test]
fn tags_exist_at_all() {
    let count = tree()
        .iter()
        .flat_map(|source| &source.comments)
        .flat_map(|comment| tags(&comment.text))
        .count();
    assert!(count >= 20, "only {count} tags found");
}

#[test]
fn only_fences_are_sequentially_consistent() {
    assert_clean(&seq_cst_is_a_fence(tree()));
    let file = "scheduler/src/a.rs";
    assert_bites(
        seq_cst_is_a_fence,
        "SeqCst outside",
        &[
            &[(file, "a.load(SeqCst)")],
            &[(file, "a.store(1, Ordering::SeqCst)")],
            &[(file, "const O: O = SeqCst;")],
        ],
        &[&[(
            file,
            "use std::sync::atomic::Ordering::{self, SeqCst};\n\
             fence(SeqCst); fence(Ordering::SeqCst); compiler_fence(SeqCst)",
        )]],
    );
}
