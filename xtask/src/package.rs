//! The step `package`: each published package as the registry would get it.
//!
//! `cargo publish --dry-run` packs the packages and builds each from its archive, with the archives
//! of the others as dependencies. It also succeeds where a package has left the workspace, or where
//! a document has left the archive. So the step asks for each package and for files by name.
//!
//! Cargo keeps unpacked sources in its home, and built packages in the target directory, for as
//! long as the version is the same. So a second run would build a package against the other
//! packages of the first run. So each run has a home and a target directory of its own. The home
//! shares everything but the unpacked sources with the user's home.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::cargo::{self, target_dir};

/// The directory of this step in the target directory.
const AREA: &str = "publish";

/// The published packages, and what their archives hold beside the sources.
#[rustfmt::skip]
const PACKAGES: [(&str, &[&str]); 4] = [
    ("gosched-runtime-sys", &[]),
    ("gosched-scheduler", &[]),
    ("gosched-callback-bridge", &[]),
    ("gosched", &["CHANGELOG.md", "docs/soundness.md", "docs/signals.md", "docs/versus.svg"]),
];

/// What every archive holds.
const EVERYWHERE: [&str; 4] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"];

/// Packs and builds all packages. Returns what was built, or what is wrong.
pub(crate) fn run() -> Result<String, Vec<String>> {
    let home = fresh_home(&target_dir(Some(AREA)))
        .map_err(|error| vec![format!("cannot make a home for cargo: {error}")])?;
    let mut command = cargo::command(&["publish", "--workspace", "--dry-run"], Some(AREA));
    command.env("CARGO_HOME", home);
    // A developer runs the step before a change is committed.
    if std::env::var_os("CI").is_none() {
        command.arg("--allow-dirty");
    }
    let mut built = Vec::new();
    let success = cargo::watch(command, |line| built.extend(verified(line)))
        .map_err(|error| vec![format!("cannot run cargo publish: {error}")])?;
    let mut complaints = shortfall(&built, &target_dir(Some(AREA)).join("package"));
    if !success {
        complaints.insert(0, "cargo publish failed".to_owned());
    }
    if complaints.is_empty() { Ok(built.join(", ")) } else { Err(complaints) }
}

/// Empties the step's directory and makes a home for cargo in it: the user's home without the
/// sources unpacked from registries.
fn fresh_home(area: &Path) -> io::Result<PathBuf> {
    match fs::remove_dir_all(area) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let home = area.join("home");
    let users = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cargo"))
    });
    let users = users.ok_or_else(|| io::Error::other("neither CARGO_HOME nor HOME is set"))?;
    link_all(&users, &home, "registry")?;
    link_all(&users.join("registry"), &home.join("registry"), "src")?;
    Ok(home)
}

/// Makes the directory `to` with links to the entries of `from`, if that exists, without one entry.
fn link_all(from: &Path, to: &Path, except: &str) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() != except {
            symlink(fs::canonicalize(entry.path())?, to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Returns `NAME-VERSION` of the package that cargo announces to build from its archive.
fn verified(line: &str) -> Option<String> {
    let mut words = line.trim().strip_prefix("Verifying ")?.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some(format!("{name}-{version}"))
}

/// Returns the packages that are missing, and the files that are missing where cargo unpacks them.
fn shortfall(built: &[String], unpacked: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, files) in PACKAGES {
        let is_it = |package: &&String| {
            package.rsplit_once('-').is_some_and(|(before, _version)| before == name)
        };
        let Some(package) = built.iter().find(is_it) else {
            complaints.push(format!("{name} was not built from its archive"));
            continue;
        };
        let absent = EVERYWHERE.iter().chain(files).filter(|file| {
            let path = unpacked.join(package).join(file);
            !path.is_file()
        });
        complaints.extend(absent.map(|file| format!("{package} has no {file}")));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_by_cargo() {
        let line = "   Verifying gosched-scheduler v0.1.0 (/x/scheduler)\n";
        assert_eq!(verified(line), Some("gosched-scheduler-0.1.0".to_owned()));
        assert_eq!(verified("   Compiling gosched-scheduler v0.1.0"), None);
    }

    #[test]
    fn a_home_shares_all_but_one_entry() {
        let scratch = target_dir(Some("xtask-links")).join(std::process::id().to_string());
        let (from, to) = (scratch.join("from"), scratch.join("to"));
        for entry in ["index", "src"] {
            fs::create_dir_all(from.join(entry)).expect("a directory");
        }
        link_all(&from, &to, "src").expect("it is there");
        assert!(to.join("index").is_symlink() && !to.join("src").exists());
        link_all(&scratch.join("nothing"), &scratch.join("empty"), "src").expect("nothing to link");
        fs::remove_dir_all(&scratch).expect("it was made");
    }

    #[test]
    fn what_is_not_in_an_archive_is_named() {
        let built = ["gosched-0.1.0", "gosched-scheduler-0.1.0"].map(str::to_owned);
        let complaints = shortfall(&built, Path::new("/no such directory"));
        for complaint in [
            "gosched-runtime-sys was not built from its archive",
            "gosched-0.1.0 has no docs/soundness.md",
            "gosched-scheduler-0.1.0 has no LICENSE-MIT",
        ] {
            assert!(complaints.iter().any(|said| said == complaint), "{complaints:#?}");
        }
    }
}
