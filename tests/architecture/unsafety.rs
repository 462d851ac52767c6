//! A file opts in to `unsafe` with a reason, and argues for it at its head.

use crate::{assert_bites, assert_clean, tree};
use source_tree::source::{Source, has_word, words};

/// Finds what the compiler counts as unsafe code: blocks, implementations, traits, functions; not
/// function pointer types.
fn uses_unsafe(code: &str) -> bool {
    words(code, "unsafe").any(|offset| {
        let after = code[offset + "unsafe".len()..].trim_start();
        after.starts_with('{') || after.starts_with("impl") || after.starts_with("trait")
    })
}

fn unsafe_is_opted_into_by_the_file(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    // A snippet that must not compile is no code of the workspace.
    for source in sources.iter().filter(|source| !source.path.starts_with("tests/compile_fail/")) {
        for offset in words(&source.code, "unsafe_code") {
            let attribute = source.code[..offset]
                .rfind("#")
                .map_or("", |start| source.code[start..offset].trim_end());
            // A single declaration may opt in: it has its own `# Safety` section.
            let declaration = attribute == "#[expect(" && !uses_unsafe(&source.code);
            if attribute != "#![expect(" && !declaration {
                findings.push(source.at(
                    source.line_of(offset),
                    "unsafe_code is not `expect`ed by the file as a whole",
                ));
            }
        }
        let opted = has_word(&source.code, "unsafe_code");
        // Unit tests and models are inside a module that opted in, or the compiler refuses them.
        let under_another = source.model() || source.tests() && !source.path.starts_with("tests/");
        if uses_unsafe(&source.code) && !opted && !under_another {
            findings.push(source.at(1, "unsafe code without #![expect(unsafe_code, reason = ..)]"));
        }
        let argued = source.comments.iter().any(|comment| {
            comment.text == "//! # Safety"
                || !uses_unsafe(&source.code) && comment.text.trim_start() == "/// # Safety"
        });
        if opted && source.shipped() && !source.model() && !argued {
            findings.push(source.at(1, "unsafe code and no `# Safety` section"));
        }
    }
    findings
}

#[test]
fn files_with_unsafe_say_so_and_why() {
    assert_clean(&unsafe_is_opted_into_by_the_file(tree()));
    let whole = "//! X.\n//!\n//! # Safety\n//!\n//! Y.\n\
                 #![expect(unsafe_code, reason = \"z\")]\nfn f() { unsafe { g() } }";
    assert_bites(
        unsafe_is_opted_into_by_the_file,
        "unsafe",
        &[
            &[("scheduler/src/a.rs", "//! # Safety\nfn f() { unsafe { g() } }")],
            &[(
                "scheduler/src/a.rs",
                "#![expect(unsafe_code, reason = \"z\")]\nunsafe impl Send for A {}",
            )],
            &[("tests/a.rs", "#[expect(unsafe_code, reason = \"z\")]\nfn f() { unsafe { g() } }")],
        ],
        &[
            &[("scheduler/src/a.rs", whole)],
            &[(
                "scheduler/src/a.rs",
                "/// # Safety\n#[expect(unsafe_code, reason = \"z\")]\nunsafe fn f() {}",
            )],
            &[("scheduler/src/a.rs", "// unsafe { }\ntype F = unsafe extern \"C\" fn();")],
            &[("tests/a.rs", "#![expect(unsafe_code, reason = \"z\")]\nfn f() { unsafe { g() } }")],
        ],
    );
}
