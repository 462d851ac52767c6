//! `cargo xtask public-api`: what users of `gosched` can name, compared with `public-api.txt`.
//!
//! The facade re-exports what the inner packages define, and rustdoc's JSON describes one package
//! at a time. So the listing is that of the two inner packages whose items users reach, with each
//! path replaced by the facade's. A line that still names an inner package is public there, and
//! users cannot reach it.
//!
//! Left out are implementations for all types, which belong to other packages, and traits that only
//! the compiler knows. `Send`, `Sync`, `Unpin` and the unwind-safe traits are listed.

mod facade;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use facade::Facade;

/// The version of rustdoc's JSON that the crate `public-api` reads.
const FORMAT: u64 = 57;

const FACADE: &str = "gosched";

/// The packages whose items users reach through the facade.
const INNER: [&str; 2] = ["gosched-scheduler", "gosched-callback-bridge"];

/// Traits that no program names.
const UNNAMED: [&str; 3] = [
    "core::marker::Freeze for ",
    "core::marker::UnsafeUnpin for ",
    "core::marker::StructuralPartialEq for ",
];

/// The exit status if the compiler's JSON has another version.
const OTHER_FORMAT: u8 = 2;

const HINT: &str = "\
If the change is meant: `cargo xtask public-api --update`, and a line in CHANGELOG.md.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let update = match arguments.as_slice() {
        [] => false,
        [flag] if flag == "--update" => true,
        _ => {
            eprintln!("usage: cargo xtask public-api [--update]");
            return ExitCode::FAILURE;
        }
    };
    match run(update) {
        Ok(message) => {
            println!("{message}");
            ExitCode::SUCCESS
        }
        Err(Failure::OtherFormat(found)) => {
            eprintln!(
                "this rustdoc writes JSON of format {found:?}; xtask/public-api reads {FORMAT}, \
                 which is that of Rust 1.95"
            );
            ExitCode::from(OTHER_FORMAT)
        }
        Err(Failure::Other(message)) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug)]
enum Failure {
    OtherFormat(Option<u64>),
    Other(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Other(message)
    }
}

fn run(update: bool) -> Result<String, Failure> {
    let listing = listing()?;
    let file = root().join("public-api.txt");
    if update {
        std::fs::write(&file, &listing).map_err(|error| format!("{}: {error}", file.display()))?;
        return Ok(format!("{} lines written", listing.lines().count()));
    }
    let kept =
        std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    match difference(&kept, &listing) {
        None => Ok(format!("{} lines of public API, as kept", listing.lines().count())),
        Some(difference) => {
            Err(format!("the public API is not that of public-api.txt:\n{difference}\n{HINT}")
                .into())
        }
    }
}

/// Returns the listing of the sources as they are now.
fn listing() -> Result<String, Failure> {
    let json = rustdoc(FACADE)?;
    let text =
        std::fs::read_to_string(&json).map_err(|error| format!("{}: {error}", json.display()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", json.display()))?;
    let format = value["format_version"].as_u64();
    if format != Some(FORMAT) {
        return Err(Failure::OtherFormat(format));
    }
    let facade = Facade::read(&value)
        .ok_or_else(|| format!("{}: not the form of format {FORMAT}", json.display()))?;
    let mut listing = String::new();
    append(&mut listing, FACADE, items(&json)?)?;
    for package in INNER {
        let mut lines = items(&rustdoc(package)?)?;
        let package_itself = format!("pub mod {}", package.replace('-', "_"));
        lines.retain(|line| *line != package_itself);
        append(&mut listing, package, lines.iter().map(|line| facade.translate(line)).collect())?;
    }
    Ok(listing)
}

/// Appends a package's lines. A package without any was not read.
fn append(listing: &mut String, package: &str, lines: Vec<String>) -> Result<(), Failure> {
    if lines.is_empty() {
        return Err(format!("{package} has no public item").into());
    }
    if !listing.is_empty() {
        listing.push('\n');
    }
    *listing += &format!("# defined in {package}\n\n");
    lines.iter().for_each(|line| *listing += &format!("{line}\n"));
    Ok(())
}

/// Returns the public items of a package, in the order in which `public-api` sorts them.
fn items(json: &Path) -> Result<Vec<String>, Failure> {
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .build()
        .map_err(|error| format!("{}: {error}", json.display()))?;
    let mut lines: Vec<String> = api.items().map(ToString::to_string).collect();
    lines.retain(|line| !UNNAMED.iter().any(|name| line.contains(name)));
    Ok(lines)
}

/// Runs rustdoc on a package. Returns the file that it wrote.
fn rustdoc(package: &str) -> Result<PathBuf, Failure> {
    // A directory of its own: the compiler's variable makes cargo build some packages anew.
    let target = target_dir().join("public-api");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["rustdoc", "--quiet", "--lib", "--all-features", "--package", package])
        .args(["--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", &target)
        // The format is not stable.
        .env("RUSTC_BOOTSTRAP", "1");
    let status = command.status().map_err(|error| format!("cannot run cargo rustdoc: {error}"))?;
    if !status.success() {
        return Err(format!("cargo rustdoc --package {package}: {status}").into());
    }
    Ok(target.join("doc").join(format!("{}.json", package.replace('-', "_"))))
}

/// Returns the top of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this package lies in xtask").to_owned()
}

fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// Returns the lines that are in one listing only. `None` if the listings are the same.
fn difference(kept: &str, now: &str) -> Option<String> {
    if kept == now {
        return None;
    }
    let only = |sign: char, these: &str, those: &str| -> String {
        let those: std::collections::HashSet<&str> = those.lines().collect();
        let lines = these.lines().filter(|line| !those.contains(line));
        lines.map(|line| format!("{sign} {line}\n")).collect()
    };
    let lines = only('-', kept, now) + &only('+', now, kept);
    Some(if lines.is_empty() { "the same lines in another order\n".to_owned() } else { lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\n").as_deref(), Some("- b\n+ c\n"));
        assert!(difference("a\nb\n", "b\na\n").is_some_and(|text| text.contains("order")));
    }

    #[test]
    fn a_package_that_was_not_read_is_noticed() {
        assert!(append(&mut String::new(), "a", Vec::new()).is_err());
    }
}
