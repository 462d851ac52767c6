//! `cargo xtask install`: builds the C interface and copies it to where C's compilers look.
//!
//! ```text
//! PREFIX/include/gosched.h, gosched.hpp
//! PREFIX/lib/libgosched.so -> libgosched.so.1 -> libgosched.so.0.1.0, libgosched.a
//! PREFIX/lib/pkgconfig/gosched.pc
//! PREFIX/lib/cmake/gosched/gosched-config.cmake, gosched-config-version.cmake
//! PREFIX/share/gosched/gosched.py
//! ```
//!
//! The files may be moved together: each finds the others by its own place.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::cargo;

const USAGE: &str = "usage: cargo xtask install --prefix DIR [--built DIR]";

/// What is copied as it is: from the package, to the prefix.
const COPIED: [(&str, &str); 3] = [
    ("include/gosched.h", "include/gosched.h"),
    ("include/gosched.hpp", "include/gosched.hpp"),
    ("examples/gosched.py", "share/gosched/gosched.py"),
];

/// What is copied with the version and the ABI filled in.
const FILLED: [(&str, &str); 3] = [
    ("install/gosched.pc.in", "lib/pkgconfig/gosched.pc"),
    ("install/gosched-config.cmake.in", "lib/cmake/gosched/gosched-config.cmake"),
    ("install/gosched-config-version.cmake.in", "lib/cmake/gosched/gosched-config-version.cmake"),
];

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    prefix: PathBuf,
    /// Where the libraries are that were built before; none: they are built now.
    built: Option<PathBuf>,
}

pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let Wish { prefix, built } = parse(arguments)?;
    let built = built.map_or_else(build, Ok)?;
    install(&built, &prefix)
        .map_err(|error| format!("cannot install into {}: {error}", prefix.display()))?;
    println!("installed into {}", prefix.display());
    Ok(())
}

/// Builds the libraries, optimised, and returns where they are.
fn build() -> Result<PathBuf, String> {
    let mut build = cargo::command(&["build", "--release", "--package", "gosched-c"], None);
    match build.status() {
        Ok(status) if status.success() => Ok(cargo::target_dir(None).join("release")),
        Ok(status) => Err(format!("cargo build: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

fn parse(arguments: &[String]) -> Result<Wish, String> {
    let (mut prefix, mut built) = (None, None);
    for pair in arguments.chunks(2) {
        let place = match pair {
            [flag, _] if flag == "--prefix" => &mut prefix,
            [flag, _] if flag == "--built" => &mut built,
            _ => return Err(USAGE.to_owned()),
        };
        let path = std::path::absolute(&pair[1]).map_err(|error| error.to_string())?;
        *place = Some(path);
    }
    Ok(Wish { prefix: prefix.ok_or(USAGE)?, built })
}

fn install(built: &Path, prefix: &Path) -> io::Result<()> {
    let package = cargo::root().join("c-api");
    let header = fs::read_to_string(package.join("include/gosched.h"))?;
    let number = |name: &str| {
        let line =
            header.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name));
        line.map_or("", str::trim)
    };
    let part = |name: &str| number(&format!("GOSCHED_VERSION_{name} "));
    let version = format!("{}.{}.{}", part("MAJOR"), part("MINOR"), part("PATCH"));
    let abi = number("GOSCHED_ABI ");
    for (from, to) in COPIED {
        copy(&package.join(from), &prefix.join(to))?;
    }
    for (from, to) in FILLED {
        let text = fs::read_to_string(package.join(from))?;
        let filled = text.replace("@VERSION@", &version).replace("@ABI@", abi);
        write(&prefix.join(to), &filled)?;
    }
    let lib = prefix.join("lib");
    let full = format!("libgosched.so.{version}");
    copy(&built.join("libgosched_c.so"), &lib.join(&full))?;
    link(&full, &lib.join(format!("libgosched.so.{abi}")))?;
    link(&format!("libgosched.so.{abi}"), &lib.join("libgosched.so"))?;
    copy(&built.join("libgosched_c.a"), &lib.join("libgosched.a"))
}

fn make_room(to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    // A program that runs keeps the file that it has loaded, and a link is not followed.
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    make_room(to)?;
    fs::copy(from, to).map(drop)
}

fn write(to: &Path, text: &str) -> io::Result<()> {
    make_room(to)?;
    fs::write(to, text)
}

fn link(target: &str, to: &Path) -> io::Result<()> {
    make_room(to)?;
    symlink(target, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Result<Wish, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_prefix_must_be_said() {
        let prefix = PathBuf::from("/opt/x");
        assert_eq!(wish("--prefix /opt/x"), Ok(Wish { prefix: prefix.clone(), built: None }));
        let built = Some(PathBuf::from("/b"));
        assert_eq!(wish("--built /b --prefix /opt/x"), Ok(Wish { prefix, built }));
        for wrong in ["", "--prefix", "/opt/x", "--prefix /opt/x --profile fast"] {
            assert_eq!(wish(wrong), Err(USAGE.to_owned()), "{wrong}");
        }
    }
}
