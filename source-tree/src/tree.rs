//! All files of the workspace, and its packages.

use std::io;
use std::path::Path;

use crate::packages::PACKAGES;
use crate::source::Source;

/// The folders with Rust sources.
#[rustfmt::skip]
const TOPS: [&str; 15] = [
    "src", "runtime-sys", "scheduler", "callback-bridge", "c-api", "c-side", "test-support",
    "source-tree", "xtask", "simulator", "examples", "tests", "benches", "hosts", "beside",
];

/// Returns every Rust source of the workspace at `root`, sorted by path.
pub fn read(root: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    for top in TOPS {
        let directory = root.join(top);
        if directory.is_dir() {
            let rust = |path: &Path| path.extension().is_some_and(|ending| ending == "rs");
            collect(root, &directory, &rust, &mut found)?;
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The folders with other texts. Files at the top are read, too.
const OTHER_TOPS: [&str; 4] = ["docs", ".cargo", ".ci", ".github"];

/// The endings of texts. `.ci/run` has no ending.
const ENDINGS: [&str; 12] =
    ["rs", "md", "toml", "c", "h", "go", "cpp", "hpp", "py", "yml", "sh", "txt"];

/// Returns every text of the workspace at `root`, sorted by path: Rust sources, documents,
/// manifests, C, Go, C++ and Python, scripts, lists.
pub fn texts(root: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    let text = |path: &Path| {
        let ending = path.extension().unwrap_or_default();
        // The data of an example may be in any encoding.
        let data = path.parent().is_some_and(|folder| folder.ends_with("data"));
        !data && ENDINGS.iter().any(|known| ending == *known) || path.ends_with(".ci/run")
    };
    for top in TOPS.iter().chain(&OTHER_TOPS) {
        let directory = root.join(top);
        if directory.is_dir() {
            collect(root, &directory, &text, &mut found)?;
        }
    }
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_file() && text(&path) {
            found.push(read_one(root, &path)?);
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(
    root: &Path,
    directory: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    into: &mut Vec<Source>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(root, &path, wanted, into)?;
        } else if path.is_file() && wanted(&path) {
            into.push(read_one(root, &path)?);
        }
    }
    Ok(())
}

fn read_one(root: &Path, path: &Path) -> io::Result<Source> {
    let text = std::fs::read_to_string(path)?;
    let path = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    Ok(Source::new(&path, &text))
}

/// Returns the directories of the packages among `sources`, those of [`PACKAGES`] first. The
/// directory of the package at the top is empty.
pub fn packages(sources: &[Source]) -> Vec<&str> {
    let mut found: Vec<&str> = PACKAGES.iter().map(|(directory, _)| *directory).collect();
    for source in sources {
        for root in ["/src/lib.rs", "/src/main.rs"] {
            if let Some(directory) = source.path.strip_suffix(root)
                && !found.contains(&directory)
            {
                found.push(directory);
            }
        }
    }
    found
}
