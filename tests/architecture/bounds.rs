//! How large the layout may grow: bounds on the figures that `cargo xtask layers` prints.
//!
//! A bound is the figure of today. A change that lowers a figure lowers its bound, too.

use crate::{assert_bites, assert_clean, tree};
use source_tree::layers::Package;
use source_tree::source::Source;
use source_tree::tree::packages;

/// The bounds of a package.
struct Bound {
    package: &'static str,
    /// Files and folders in `src`.
    rooms: usize,
    /// Rooms on the longest chain of imports.
    levels: usize,
    /// Pairs of rooms of which one imports the other.
    arrows: usize,
}

const fn bound(package: &'static str, rooms: usize, levels: usize, arrows: usize) -> Bound {
    Bound { package, rooms, levels, arrows }
}

const BOUNDS: [Bound; 16] = [
    bound("runtime-sys", 7, 4, 10),
    bound("scheduler", 27, 10, 78),
    bound("callback-bridge", 8, 6, 21),
    bound("", 0, 0, 0),
    bound("beside", 0, 0, 0),
    bound("benches/micro", 4, 2, 1),
    bound("benches/versus", 11, 4, 19),
    bound("c-api", 17, 6, 49),
    bound("c-side", 4, 1, 0),
    bound("c-side/guest", 0, 0, 0),
    bound("hosts", 9, 5, 10),
    bound("simulator", 7, 5, 12),
    bound("source-tree", 7, 4, 7),
    bound("test-support", 0, 0, 0),
    bound("xtask", 12, 4, 16),
    bound("xtask/public-api", 1, 1, 0),
];

/// The rooms whose prose explains why the code is right, and its least share of all lines that are
/// not blank, in percent.
const PROSE: [(&str, &str, usize); 3] =
    [("scheduler", "gmp", 25), ("scheduler", "proc", 28), ("scheduler", "wait", 32)];

fn layouts_are_small(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages(sources).into_iter().map(|name| Package::measure(name, sources)) {
        let name = &package.directory;
        let Some(bound) = BOUNDS.iter().find(|bound| bound.package == *name) else {
            findings.push(format!("{name}: no bounds for it"));
            continue;
        };
        for (what, there, most) in [
            ("rooms", package.rooms.len(), bound.rooms),
            ("levels", package.between.levels(), bound.levels),
            ("arrows", package.between.arrows(), bound.arrows),
        ] {
            if there > most {
                findings.push(format!("{name}: {there} {what}, {most} is the most"));
            }
        }
    }
    findings
}

fn nothing_goes_in_circles(sources: &[Source]) -> Vec<String> {
    let measured = packages(sources).into_iter().map(|name| Package::measure(name, sources));
    let circles = |package: Package| {
        let name = package.directory.clone();
        package.cycles().into_iter().map(move |cycle| format!("{name}: a cycle of {cycle}"))
    };
    measured.flat_map(circles).collect()
}

fn rooms_are_explained(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (package, name, least) in PROSE {
        let package = Package::measure(package, sources);
        match package.rooms.iter().find(|room| room.name == name) {
            Some(room) if room.text.prose() >= least => {}
            Some(room) => {
                let share = room.text.prose();
                findings.push(format!("{name}: {share} % of prose, {least} % is the least"));
            }
            None => findings.push(format!("{name}: no such room")),
        }
    }
    findings
}

#[test]
fn no_layout_has_grown() {
    assert_clean(&layouts_are_small(tree()));
    let chain = [
        ("c-side/src/lib.rs", "mod calls;\nmod lines;"),
        ("c-side/src/calls.rs", "use crate::lines::x;"),
        ("c-side/src/lines.rs", ""),
    ];
    assert_bites(layouts_are_small, "c-side: 2 levels, 1 is the most", &[&chain], &[&chain[1..]]);
    assert_bites(layouts_are_small, "c-side: 1 arrows, 0 is the most", &[&chain], &[]);
    let rooms: [(&str, &str); 2] = [("test-support/src/lib.rs", ""), ("test-support/src/a.rs", "")];
    assert_bites(layouts_are_small, "test-support: 1 rooms, 0", &[&rooms], &[&rooms[..1]]);
    let unknown = [("news/src/lib.rs", "")];
    assert_bites(layouts_are_small, "news: no bounds", &[&unknown], &[]);
}

#[test]
fn no_package_has_a_cycle() {
    assert_clean(&nothing_goes_in_circles(tree()));
    let knot = [
        ("c-side/src/lib.rs", "mod a;\nmod b;"),
        ("c-side/src/a.rs", "use crate::b::x;"),
        ("c-side/src/b.rs", "use crate::a::y;"),
    ];
    assert_bites(
        nothing_goes_in_circles,
        "c-side: a cycle of rooms: a, b",
        &[&knot],
        &[&knot[..2], &[("c-side/src/a.rs", "use crate::b::x;"), knot[2]]],
    );
}

#[test]
fn the_rooms_with_reasons_give_them() {
    assert_clean(&rooms_are_explained(tree()));
    let said = "// a\nfn f() {}\n";
    let rooms = [
        ("scheduler/src/gmp/a.rs", said),
        ("scheduler/src/proc/a.rs", said),
        ("scheduler/src/wait/a.rs", said),
    ];
    let mut silent = rooms;
    silent[1].1 =
        "fn f() {}\n// a\n#[cfg(test)]\nmod tests {\n// b\n}\nfn g() {}\nfn h() {}\nfn i() {}";
    assert_bites(rooms_are_explained, "proc: 20 % of prose", &[&silent], &[&rooms]);
    assert_bites(rooms_are_explained, "wait: no such room", &[&rooms[..2]], &[]);
}
