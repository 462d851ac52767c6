//! The figures of a package: rooms, levels, arrows, cycles, prose.

use std::collections::BTreeSet;

use crate::graph::Graph;
use crate::imports::{child_paths, declared, declared_for_tests, imports, module_path};
use crate::source::{Source, words};

/// The figures of a package.
#[derive(Debug)]
pub struct Package {
    /// The directory; empty for the package at the top.
    pub directory: String,
    /// The files and folders directly in `src`, without `lib.rs` and `main.rs`, by name.
    pub rooms: Vec<Room>,
    /// The arrows between rooms.
    pub between: Graph,
    /// The arrows between modules, down to each file. The crate's root is a node, too.
    pub modules: Graph,
    /// The figures of all files.
    pub text: Text,
}

/// A file or folder directly in `src`.
#[derive(Debug)]
pub struct Room {
    /// The name of its module.
    pub name: String,
    /// The arrows between the files and folders in it.
    pub inside: Graph,
    /// The figures of its files.
    pub text: Text,
}

/// The figures of some files, without their unit tests.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// The lines of the longest file, and its path.
    pub longest: (usize, String),
    /// Lines that hold a comment and nothing else.
    pub comments: usize,
    /// Lines that are not blank.
    pub lines: usize,
}

impl Text {
    /// Returns the share of comments in percent of all lines that are not blank.
    pub fn prose(&self) -> usize {
        (self.comments * 100).checked_div(self.lines).unwrap_or(0)
    }

    /// Adds the lines of `other`.
    pub fn add(&mut self, other: &Self) {
        self.comments += other.comments;
        self.lines += other.lines;
        if other.longest.0 > self.longest.0 {
            self.longest = other.longest.clone();
        }
    }

    fn of(source: &Source) -> Self {
        let mut text = Self { longest: (0, source.path.clone()), ..Self::default() };
        let code: Vec<&str> = source.code.lines().collect();
        for (number, line) in source.product_lines() {
            text.longest.0 += 1;
            if !line.trim().is_empty() {
                text.lines += 1;
                text.comments +=
                    usize::from(code.get(number - 1).is_none_or(|code| code.trim().is_empty()));
            }
        }
        text
    }
}

impl Package {
    /// Measures the package in `directory`, which is `""` at the top. Models, and modules for tests
    /// alone, do not count.
    pub fn measure(directory: &str, sources: &[Source]) -> Self {
        let modules = Modules::of(directory, sources);
        let mut package = Self {
            directory: directory.to_owned(),
            rooms: Vec::new(),
            between: Graph::default(),
            modules: Graph::default(),
            text: Text::default(),
        };
        for (path, source) in &modules.files {
            package.modules.node(&name(path));
            let text = Text::of(source);
            package.text.add(&text);
            let Some(first) = path.first() else { continue };
            package.between.node(first);
            let room = package.room(first);
            room.text.add(&text);
            room.inside.node(path.get(1).unwrap_or(first));
        }
        for (path, source) in &modules.files {
            for target in modules.named_by(source, path) {
                package.modules.arrow(&name(path), &name(&target));
                let (Some(from), Some(to)) = (path.first(), target.first()) else { continue };
                package.between.arrow(from, to);
                if from == to {
                    let part =
                        |path: &[String]| path.get(1).map_or_else(|| from.clone(), Clone::clone);
                    package.room(from).inside.arrow(&part(path), &part(&target));
                }
            }
        }
        package.rooms.sort_by(|a, b| a.name.cmp(&b.name));
        package
    }

    /// Returns every cycle: between files, between the files and folders of a room, and between
    /// rooms.
    pub fn cycles(&self) -> Vec<String> {
        let of_files = self.modules.cycles().into_iter();
        let mut found: BTreeSet<String> =
            of_files.map(|cycle| format!("files: {}", cycle.join(", "))).collect();
        for room in &self.rooms {
            let cycles = room.inside.cycles().into_iter();
            found.extend(cycles.map(|cycle| format!("in {}: {}", room.name, cycle.join(", "))));
        }
        let of_rooms = self.between.cycles().into_iter();
        found.extend(of_rooms.map(|cycle| format!("rooms: {}", cycle.join(", "))));
        found.into_iter().collect()
    }

    fn room(&mut self, name: &str) -> &mut Room {
        let at = self.rooms.iter().position(|room| room.name == name).unwrap_or_else(|| {
            self.rooms.push(Room {
                name: name.to_owned(),
                inside: Graph::default(),
                text: Text::default(),
            });
            self.rooms.len() - 1
        });
        &mut self.rooms[at]
    }
}

/// The name of the crate's root, whose path is empty.
const ROOT: &str = "the root";

fn name(path: &[String]) -> String {
    if path.is_empty() { ROOT.to_owned() } else { path.join("::") }
}

/// Returns the files of a package that count, with the paths of their modules.
struct Modules<'a> {
    files: Vec<(Vec<String>, &'a Source)>,
    /// Modules for tests alone, and files that `#[path]` takes from another package.
    others: BTreeSet<Vec<String>>,
}

impl<'a> Modules<'a> {
    fn of(directory: &str, sources: &'a [Source]) -> Self {
        let prefix =
            if directory.is_empty() { "src/".to_owned() } else { format!("{directory}/src/") };
        let mut files: Vec<(Vec<String>, &Source)> = sources
            .iter()
            .filter(|source| source.path.starts_with(&prefix))
            .map(|source| (module_path(source, directory), source))
            .collect();
        for (path, _) in &mut files {
            if path.len() == 1 && (path[0] == "lib" || path[0] == "main") {
                path.clear();
            }
        }
        let mut others = BTreeSet::new();
        for (path, source) in &files {
            let below = |child: &str| [path.as_slice(), &[child.to_owned()]].concat();
            others.extend(declared_for_tests(&source.code).map(below));
            let absent = |child: &Vec<String>| !files.iter().any(|(path, _)| path == child);
            others.extend(declared(&source.code).map(below).filter(absent));
        }
        files.retain(|(path, _)| !others.iter().any(|other| path.starts_with(other)));
        Self { files, others }
    }

    /// Returns the modules that `source` names, without its own.
    fn named_by(&self, source: &Source, path: &[String]) -> BTreeSet<Vec<String>> {
        let by_path = imports(source, path).into_iter().map(|(_, named)| named);
        let through_children = child_paths(source, path);
        by_path.chain(through_children).filter_map(|named| self.holder(&named)).collect()
    }

    /// Returns the module that `named` lies in: the longest path that is a file's, or the module
    /// that makes the macro of that name.
    fn holder(&self, named: &[String]) -> Option<Vec<String>> {
        if self.others.iter().any(|other| named.starts_with(other)) {
            return None;
        }
        let file = |path: &[String]| self.files.iter().any(|(known, _)| known == path);
        let length = (1..=named.len()).rev().find(|length| file(&named[..*length]));
        if let Some(length) = length {
            return Some(named[..length].to_vec());
        }
        let [name] = named else { return Some(Vec::new()) };
        let made = self.files.iter().find(|(_, source)| makes_macro(&source.product, name));
        Some(made.map_or_else(Vec::new, |(path, _)| path.clone()))
    }
}

fn makes_macro(code: &str, name: &str) -> bool {
    words(code, "macro_rules")
        .any(|at| code[at..].trim_start_matches("macro_rules!").trim_start().starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(files: &[(&str, &str)]) -> Package {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(path, text)).collect();
        Package::measure("p", &sources)
    }

    #[test]
    fn rooms_levels_and_arrows_are_counted() {
        let package = package(&[
            ("p/src/lib.rs", "mod a;\nmod room;\n#[cfg(test)]\nmod testing;\npub use a::A;"),
            ("p/src/a.rs", "use crate::room::{x, low::y};"),
            ("p/src/room/mod.rs", "mod high;\nmod low;"),
            ("p/src/room/high.rs", "use super::low::y;\nuse crate::testing::no;"),
            ("p/src/room/low.rs", "macro_rules! made { () => {} }"),
            ("p/src/testing.rs", "use crate::a;"),
            ("other/src/b.rs", "use crate::a;"),
        ]);
        let names: Vec<&str> = package.rooms.iter().map(|room| room.name.as_str()).collect();
        assert_eq!(names, ["a", "room"]);
        assert_eq!((package.between.levels(), package.between.arrows()), (2, 1));
        let inside = &package.rooms[1].inside;
        assert_eq!((inside.nodes(), inside.levels(), inside.arrows()), (3, 2, 1));
        assert_eq!(package.cycles(), Vec::<String>::new());
    }

    #[test]
    fn cycles_are_found_at_each_height() {
        let files = package(&[
            ("p/src/main.rs", "mod a;\nmod b;\nfn f() { a::g() }\nfn h() {}"),
            ("p/src/a.rs", "use crate::h;"),
            ("p/src/b.rs", ""),
        ]);
        assert_eq!(files.cycles(), ["files: a, the root"]);
        let rooms = package(&[
            ("p/src/lib.rs", "mod a;\nmod b;"),
            ("p/src/a/mod.rs", "mod x;\nmod y;"),
            ("p/src/a/x.rs", "use crate::b::c;"),
            ("p/src/a/y.rs", ""),
            ("p/src/b.rs", "use crate::a::y::z;"),
        ]);
        assert_eq!(rooms.cycles(), ["rooms: a, b"]);
        let inside = package(&[
            ("p/src/lib.rs", "mod a;"),
            ("p/src/a/mod.rs", "mod x;\nuse x::y;\nfn f() {}"),
            ("p/src/a/x.rs", "use super::f;"),
        ]);
        assert_eq!(inside.cycles(), ["files: a, a::x", "in a: a, x"]);
    }

    #[test]
    fn prose_is_told_from_code_and_unit_tests_do_not_count() {
        let package = package(&[(
            "p/src/a.rs",
            "//! One.\n\n/* two\nthree */\nfn f() {} // code\n\
             #[cfg(test)]\nmod tests {\n// no\n}\n",
        )]);
        let text = &package.text;
        assert_eq!((text.comments, text.lines, text.longest.0, text.prose()), (3, 4, 5, 75));
    }
}
