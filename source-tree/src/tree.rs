//! All files of the workspace, and its packages.

use std::io;
use std::path::Path;

use crate::packages::PACKAGES;
use crate::source::Source;

/// Where sources lie.
#[rustfmt::skip]
const TOPS: [&str; 12] = [
    "src", "runtime-sys", "scheduler", "callback-bridge", "c-side", "test-support", "source-tree", "xtask", "simulator",
    "examples", "tests", "benches",
];

/// Returns every Rust source of the workspace at `root`, sorted by path.
pub fn read(root: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    for top in TOPS {
        let directory = root.join(top);
        if directory.is_dir() {
            collect(root, &directory, &mut found)?;
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(root: &Path, directory: &Path, into: &mut Vec<Source>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(root, &path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)?;
            let path =
                path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            into.push(Source::new(&path, &text));
        }
    }
    Ok(())
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
