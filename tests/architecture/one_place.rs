//! Names that may be in one place only: foreign crates, thread-locals, conditional compilation, the
//! facade's content.

use crate::{assert_bites, assert_clean, root, tree};
use source_tree::source::{Source, attributes, has_word, module_name, words};

/// A crate that one file wraps, and that file; `None` if any one file may be it.
const ONE_FILE_EACH: [(&str, Option<&str>); 4] = [
    ("corosensei", Some("runtime-sys/src/memory/context.rs")),
    ("crossbeam_deque", None),
    ("mio", None),
    ("loom", Some("runtime-sys/src/sync/primitive.rs")),
];

const SEAM: &str = "runtime-sys/src/sync/primitive.rs";
/// The lock of the wrapper. It builds on the rest of the wrapper, so it is another file.
const SEAM_LOCK: &str = "runtime-sys/src/sync/lock.rs";
const SPAWN: &str = "runtime-sys/src/thread/spawn.rs";
const TLS: &str = "runtime-sys/src/thread/tls/storage.rs";
/// The thread-locals that no signal handler reads. One of them has a destructor.
const LAST_CODE: &str = "runtime-sys/src/thread/last_code.rs";
/// The thread-local whose destructor is the hook on a thread's end, where the system has no other.
const EXIT: &str = "runtime-sys/src/sys/windows/exit.rs";

fn foreign_crates_have_one_file(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, place) in ONE_FILE_EACH {
        let mut place = place;
        for source in
            sources.iter().filter(|source| source.shipped() && !source.model() && !source.tests())
        {
            let Some(offset) = words(&source.product, name).next() else { continue };
            if source.path != *place.get_or_insert(&source.path) {
                let line = source.line_of(offset);
                findings.push(
                    source.at(
                        line,
                        format_args!("{name} has its file: {}", place.unwrap_or_default()),
                    ),
                );
            }
        }
    }
    findings
}

fn thread_locals_are_in_one_file(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources
        .iter()
        .filter(|source| source.shipped() && ![TLS, LAST_CODE, EXIT].contains(&&*source.path))
    {
        for offset in words(&source.product, "thread_local") {
            findings.push(
                source.at(source.line_of(offset), format_args!("thread_local outside {TLS}")),
            );
        }
    }
    findings
}

/// A thread made elsewhere has its maker's signal mask, and its code may be unloaded under it.
fn threads_are_made_in_one_file(sources: &[Source]) -> Vec<String> {
    let shipped = |source: &&Source| {
        source.shipped() && !source.model() && !source.tests() && source.path != SPAWN
    };
    let mut findings = Vec::new();
    for source in sources.iter().filter(shipped) {
        for (offset, _) in ["thread::spawn(", "thread::Builder", "thread::{Builder"]
            .iter()
            .flat_map(|made| source.product.match_indices(made))
        {
            findings.push(
                source.at(source.line_of(offset), format_args!("a thread made outside {SPAWN}")),
            );
        }
    }
    findings
}

fn the_system_is_chosen_on_mod_lines(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    // The architecture rules themselves contain such names.
    for source in sources.iter().filter(|source| !source.path.starts_with("xtask/")) {
        for name in ["target_os", "target_family", "target_env", "target_vendor"] {
            for offset in words(&source.code, name) {
                let on_mod = source.package() == Some("runtime-sys")
                    && attributes(&source.code).any(|attribute| {
                        let span = attribute.offset..attribute.offset + attribute.text.len();
                        span.contains(&offset) && chooses(attribute.item)
                    });
                if !on_mod {
                    let line = source.line_of(offset);
                    findings.push(
                        source.at(line, format_args!("{name} off a mod line of runtime-sys")),
                    );
                }
            }
        }
    }
    findings
}

/// True if `item` is a module, or the end of a ladder of modules.
fn chooses(item: &str) -> bool {
    module_name(item).is_some() || item.starts_with("compile_error!")
}

fn loom_is_chosen_in_the_seam(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| ![SEAM, SEAM_LOCK].contains(&source.path.as_str()))
    {
        for offset in words(&source.code, "gosched_loom") {
            let allowed = attributes(&source.code).any(|attribute| {
                let span = attribute.offset..attribute.offset + attribute.text.len();
                let module = module_name(attribute.item);
                // Unit tests need the real types, as models need loom's.
                span.contains(&offset)
                    && has_word(attribute.text, "test")
                    && module.is_some_and(|name| ["model", "tests", "testing"].contains(&name))
            });
            if !allowed {
                let line = source.line_of(offset);
                findings.push(
                    source.at(line, "gosched_loom outside the seam and off the models' mod lines"),
                );
            }
        }
    }
    findings
}

fn the_facade_only_re_exports(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.package() == Some("")) {
        for word in [
            "fn",
            "struct",
            "enum",
            "trait",
            "impl",
            "static",
            "const",
            "type",
            "macro_rules",
            "unsafe",
            "let",
        ] {
            for offset in words(&source.code, word) {
                findings.push(
                    source.at(source.line_of(offset), format_args!("`{word}` in the facade")),
                );
            }
        }
        if source.path != "src/lib.rs" {
            findings.push(source.at(1, "the facade is one file"));
        }
    }
    findings
}

#[test]
fn foreign_crates() {
    assert_clean(&foreign_crates_have_one_file(tree()));
    assert_bites(
        foreign_crates_have_one_file,
        "has its file",
        &[
            &[("runtime-sys/src/memory/stack.rs", "use corosensei::Stack;")],
            &[
                ("scheduler/src/p.rs", "use crossbeam_deque::Worker;"),
                ("scheduler/src/q.rs", "use crossbeam_deque::Steal;"),
            ],
            &[("scheduler/src/p.rs", "use loom::sync::Arc;")],
        ],
        &[
            &[
                ("runtime-sys/src/memory/context.rs", "use corosensei::Stack;"),
                ("scheduler/src/p.rs", "// corosensei"),
            ],
            &[(
                "scheduler/src/p.rs",
                "use crossbeam_deque::Worker; fn f(_: crossbeam_deque::Steal<u8>) {}",
            )],
            &[("scheduler/src/model/p.rs", "use gosched_runtime_sys::sync::primitive::loom;")],
        ],
    );
}

#[test]
fn thread_locals() {
    assert_clean(&thread_locals_are_in_one_file(tree()));
    assert_bites(
        thread_locals_are_in_one_file,
        "outside",
        &[
            &[("scheduler/src/a.rs", "std::thread_local! { static A: u8 = 1; }")],
            &[("src/lib.rs", "thread_local! {}")],
        ],
        &[
            &[(TLS, "thread_local! {}")],
            &[("tests/a.rs", "thread_local! {}")],
            &[("scheduler/src/a.rs", "// thread_local!")],
        ],
    );
    let tls =
        tree().iter().find(|source| source.path == TLS).expect("the file of the thread-locals");
    assert!(has_word(&tls.code, "thread_local"), "the thread-locals have moved");
}

#[test]
fn threads() {
    assert_clean(&threads_are_made_in_one_file(tree()));
    assert_bites(
        threads_are_made_in_one_file,
        "outside",
        &[
            &[("scheduler/src/a.rs", "fn f() { std::thread::spawn(|| ()); }")],
            &[("scheduler/src/a.rs", "fn f() { thread::Builder::new().spawn(|| ()); }")],
            &[("runtime-sys/src/a.rs", "use std::thread::{Builder, JoinHandle};")],
        ],
        &[
            &[(SPAWN, "use std::thread::{Builder, JoinHandle};")],
            &[("tests/a.rs", "fn f() { std::thread::spawn(|| ()); }")],
            &[("scheduler/src/a.rs", "use gosched_runtime_sys::thread::spawn_thread;")],
        ],
    );
}

#[test]
fn the_system() {
    assert_clean(&the_system_is_chosen_on_mod_lines(tree()));
    assert_bites(
        the_system_is_chosen_on_mod_lines,
        "off a mod line",
        &[
            &[("runtime-sys/src/a.rs", "#[cfg(target_os = \"linux\")]\nfn f() {}")],
            &[("runtime-sys/src/a.rs", "fn f() { if cfg!(target_os = \"linux\") {} }")],
            &[("scheduler/src/a.rs", "#[cfg(target_os = \"linux\")]\nmod linux;")],
            &[("tests/a.rs", "#![cfg(target_os = \"linux\")]")],
        ],
        &[&[(
            "runtime-sys/src/a.rs",
            "#[cfg(target_os = \"linux\")]\n#[path = \"linux.rs\"]\nmod sys;\n\
             #[cfg(not(target_os = \"linux\"))]\ncompile_error!(\"no\");",
        )]],
    );
}

#[test]
fn loom() {
    assert_clean(&loom_is_chosen_in_the_seam(tree()));
    assert_bites(
        loom_is_chosen_in_the_seam,
        "outside the seam",
        &[
            &[("scheduler/src/a.rs", "#[cfg(gosched_loom)]\nmod fast;")],
            &[("scheduler/src/a.rs", "#[cfg(all(test, gosched_loom))]\nfn f() {}")],
            &[("scheduler/src/a.rs", "const N: usize = if cfg!(gosched_loom) { 2 } else { 9 };")],
        ],
        &[
            &[("scheduler/src/lib.rs", "#[cfg(all(test, gosched_loom))]\nmod model;")],
            &[("scheduler/src/a.rs", "#[cfg(all(test, not(gosched_loom)))]\nmod tests {}")],
            &[(SEAM, "#[cfg(gosched_loom)]\nmod a;")],
        ],
    );
}

#[test]
fn the_facade() {
    assert_clean(&the_facade_only_re_exports(tree()));
    assert_bites(
        the_facade_only_re_exports,
        "facade",
        &[
            &[("src/lib.rs", "pub fn go() {}")],
            &[("src/lib.rs", "pub struct A;")],
            &[("src/other.rs", "pub use a::b;")],
        ],
        &[&[(
            "src/lib.rs",
            "//! fn in docs\n#[doc(inline)]\npub use a::{b, c};\npub mod chan { pub use a::d; }",
        )]],
    );
}

#[test]
fn users_need_no_build_script() {
    for (directory, _) in crate::PACKAGES {
        let package = root().join(directory);
        assert!(!package.join("build.rs").exists(), "{directory} has a build script");
        let manifest = std::fs::read_to_string(package.join("Cargo.toml")).expect("a manifest");
        let dependencies =
            ["[build-dependencies]", "build ="].iter().find(|entry| manifest.contains(*entry));
        assert_eq!(dependencies, None, "{directory}");
    }
}
