//! `cargo xtask layers`: rooms, levels, arrows and cycles of each package, its longest file, and
//! its share of prose; then the order of modules that is policy.
//!
//! `tests/architecture/bounds.rs` holds the bounds. `tests/architecture/order.rs` compares the
//! order with the places that repeat it.

use std::path::PathBuf;

use source_tree::layers::{Package, Text};
use source_tree::order::ORDERS;
use source_tree::tree;

use crate::cargo;

/// The text below the tables.
const LEGEND: &str = "\
rooms: files and folders in `src`; within a room, files and folders in it
levels: modules on the longest chain of imports; arrows: pairs of which one imports the other
longest: lines of the longest file, unit tests aside; prose: comment lines of all that are not blank
";

/// Prints the figures of every package. Arguments: `--root DIR`, a checkout other than this one;
/// `--package DIR`, the rooms of that package alone, with all their files.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (root, only) = parse(arguments)?;
    let sources = tree::read(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    let packages: Vec<Package> = tree::packages(&sources)
        .into_iter()
        .map(|directory| Package::measure(directory, &sources))
        .filter(|package| only.as_ref().is_none_or(|only| *only == shown(package)))
        .collect();
    if packages.is_empty() {
        return Err(format!("no package {}", only.unwrap_or_default()));
    }
    print!("{}", report(&packages));
    if root != cargo::root() {
        // The orders belong to this checkout.
        return Ok(());
    }
    for (package, order) in ORDERS
        .iter()
        .filter(|(package, _)| packages.iter().any(|measured| measured.directory == *package))
    {
        println!("\nthe order of {package}, lowest first:");
        print!("{}", wrapped(order));
    }
    Ok(())
}

/// Returns the entries with commas between them, in lines of at most [`WIDTH`].
fn wrapped(order: &[&str]) -> String {
    let mut lines = vec![String::new()];
    for (index, entry) in order.iter().enumerate() {
        let comma = if index + 1 < order.len() { "," } else { "" };
        if lines.last().map_or(0, String::len) + entry.len() + 2 > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            *line += &format!(" {entry}{comma}");
        }
    }
    lines.into_iter().map(|line| format!(" {line}\n")).collect()
}

/// The width of lines.
const WIDTH: usize = 98;

fn parse(arguments: &[String]) -> Result<(PathBuf, Option<String>), String> {
    let (mut root, mut only) = (cargo::root(), None);
    for pair in arguments.chunks(2) {
        let [flag, value] = pair else { return Err(format!("`{}` wants a value", pair[0])) };
        match flag.as_str() {
            "--root" => root = PathBuf::from(value),
            "--package" => only = Some(value.clone()),
            _ => return Err(format!("no option `{flag}`")),
        }
    }
    Ok((root, only))
}

/// Returns the directory of a package, or the name of the package at the top.
fn shown(package: &Package) -> String {
    if package.directory.is_empty() { "gosched".to_owned() } else { package.directory.clone() }
}

fn report(packages: &[Package]) -> String {
    let mut report = heading("package");
    let (mut rooms, mut levels, mut arrows, mut cycles) = (0, 0, 0, 0);
    let mut text = Text::default();
    for package in packages {
        let found = package.cycles().len();
        let figures =
            [package.rooms.len(), package.between.levels(), package.between.arrows(), found];
        report += &line(&shown(package), figures, &package.text);
        rooms += figures[0];
        levels = levels.max(figures[1]);
        arrows += figures[2];
        cycles += found;
        text.add(&package.text);
    }
    report += &line("the whole", [rooms, levels, arrows, cycles], &text);
    for package in packages {
        report += &format!("\n{}", heading(&format!("{}, room", shown(package))));
        for room in &package.rooms {
            let figures = [
                room.inside.nodes(),
                room.inside.levels(),
                room.inside.arrows(),
                room.inside.cycles().len(),
            ];
            report += &line(&room.name, figures, &room.text);
        }
    }
    report += &format!("\n{LEGEND}");
    for package in packages {
        for cycle in package.cycles() {
            report += &format!("cycle in {}: {cycle}\n", shown(package));
        }
    }
    report
}

fn heading(what: &str) -> String {
    format!(
        "{what:24} {:>6} {:>6} {:>6} {:>6} {:>7} {:>6}  longest file\n",
        "rooms", "levels", "arrows", "cycles", "longest", "prose"
    )
}

fn line(what: &str, [rooms, levels, arrows, cycles]: [usize; 4], text: &Text) -> String {
    let (lines, path) = &text.longest;
    let prose = text.prose();
    format!(
        "{what:24} {rooms:>6} {levels:>6} {arrows:>6} {cycles:>6} {lines:>7} {prose:>4} %  {path}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use source_tree::source::Source;

    #[test]
    fn a_cycle_is_counted_and_named() {
        let sources = [
            Source::new("p/src/lib.rs", "mod a;\nmod b;"),
            Source::new("p/src/a.rs", "use crate::b::x;"),
            Source::new("p/src/b.rs", "// Why.\nuse crate::a::y;"),
        ];
        let report = report(&[Package::measure("p", &sources)]);
        let whole = report.lines().find(|line| line.starts_with("the whole")).expect("a line");
        let figures: Vec<&str> = whole.split_whitespace().skip(2).take(6).collect();
        assert_eq!(figures, ["2", "1", "2", "2", "2", "20"], "{report}");
        assert!(report.contains("cycle in p: rooms: a, b\n"), "{report}");
    }

    #[test]
    fn what_is_asked_wrongly_is_refused() {
        for wrong in [&["--root"][..], &["--rooms", "x"], &["--package", "none"]] {
            let arguments: Vec<String> = wrong.iter().map(|word| (*word).to_owned()).collect();
            assert!(run(&arguments).is_err(), "{wrong:?}");
        }
    }
}
