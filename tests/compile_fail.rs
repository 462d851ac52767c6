//! Programs that must not compile, for the right reason.
//!
//! Each file in `tests/compile_fail` is a program. A line that ends in `//~ E0277` must be refused
//! with that error, and no other line may be refused. Beside each wrong use is the right one: it
//! shows that the mistake is refused and not a misspelt name. The line and the error code are
//! compared. The compiler's words are not, because they change with every release.
//!
//! The programs are bins of a package made for them, with this workspace's lock file. One offline
//! cargo checks them: everything they need has been fetched before a test can run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A refused line: program, line, error code.
type Refusal = (String, usize, String);

fn programs() -> Vec<(String, PathBuf)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let entries = fs::read_dir(&directory).expect("tests/compile_fail is there");
    let mut found: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), path))
        .collect();
    found.sort();
    found
}

/// Returns the lines that the program itself marks as wrong.
fn expected(program: &str, text: &str) -> BTreeSet<Refusal> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let (_, code) = line.rsplit_once("//~ ")?;
            Some((program.to_owned(), index + 1, code.trim().to_owned()))
        })
        .collect()
}

/// Returns the refused lines, from lines like `a/b.rs:3:9: error[E0277]: words`.
fn refused(output: &str) -> BTreeSet<Refusal> {
    let mut found = BTreeSet::new();
    for line in output.lines() {
        let Some((place, message)) = line.split_once(": error") else { continue };
        let Some((file, position)) = place.split_once(".rs:") else { continue };
        let number = position.split(':').next().and_then(|number| number.parse().ok());
        let code = message
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map_or("no code", |(code, _)| code);
        let program = file.rsplit(['/', '\\']).next().unwrap_or(file);
        if let Some(number) = number {
            found.insert((program.to_owned(), number, code.to_owned()));
        }
    }
    found
}

fn check(programs: &[(String, PathBuf)]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    fs::create_dir_all(&package).expect("cargo's temporary directory");
    let mut manifest = format!(
        "[package]\nname = \"compile-fail\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         autobins = false\n\n[workspace]\n\n\
         [dependencies]\ngosched = {{ path = {root:?} }}\n"
    );
    for (name, path) in programs {
        manifest += &format!("\n[[bin]]\nname = {name:?}\npath = {path:?}\n");
    }
    fs::write(package.join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock"))
        .expect("the workspace's lock file");
    let output = Command::new(env!("CARGO"))
        .args(["check", "--bins", "--keep-going", "--offline", "--quiet", "--message-format=short"])
        .arg("--target-dir")
        .arg(package.join("target"))
        .current_dir(&package)
        // Flags meant for the tests' own build say nothing about the programs.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TERM_COLOR", "never")
        .output()
        .expect("cargo runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_programs_are_refused_where_they_are_wrong() {
    let programs = programs();
    assert!(programs.len() >= 4, "{programs:?}");
    let mut wanted = BTreeSet::new();
    for (name, path) in &programs {
        let wrong = expected(name, &fs::read_to_string(path).expect("a readable program"));
        assert!(!wrong.is_empty(), "{name} expects no error");
        wanted.extend(wrong);
    }
    let output = check(&programs);
    let found = refused(&output);
    let accepted: Vec<_> = wanted.difference(&found).collect();
    let unexpected: Vec<_> = found.difference(&wanted).collect();
    assert!(
        accepted.is_empty() && unexpected.is_empty(),
        "accepted, or refused otherwise: {accepted:#?}\n\
         refused and not expected: {unexpected:#?}\n{output}"
    );
}

#[test]
fn a_refusal_is_read_off_the_compilers_line() {
    let output = "warning: unused\n\
                  /x/tests/compile_fail/rc.rs:12:5: error[E0277]: `Rc<u8>` cannot be sent\n\
                  /x/tests/compile_fail/rc.rs:14:5: error: expected `;`\n\
                  error: could not compile `compile-fail` (bin \"rc\") due to 2 previous errors\n";
    let found: Vec<Refusal> = refused(output).into_iter().collect();
    assert_eq!(
        found,
        [("rc".to_owned(), 12, "E0277".to_owned()), ("rc".to_owned(), 14, "no code".to_owned())]
    );
    let wanted: Vec<Refusal> =
        expected("rc", "fn f() {\n    g(); //~ E0277\n}\n").into_iter().collect();
    assert_eq!(wanted, [("rc".to_owned(), 2, "E0277".to_owned())]);
}
