//! `cargo xtask instructions`: how many instructions the hottest operations take, compared with
//! `xtask/instructions.txt`.
//!
//! The count of an operation is the difference of two runs of `benches/instructions.rs` that differ
//! in the number of operations, divided by that difference: the rest of the program is in both
//! runs. Only the main thread counts, so the looks of sysmon do not matter.
//!
//! The command is no step of `cargo xtask test`: it needs valgrind, and counts belong to one
//! version of the compiler. Run it where you change the hot path.

mod callgrind;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::callgrind::{Place, Profile};
use crate::cargo;

const USAGE: &str = "\
usage: cargo xtask instructions [OPERATION]... [--update]
       cargo xtask instructions --annotate OPERATION";

/// Operations in the shorter run, enough to fill the caches of stacks and records; and in the
/// longer run.
const RUNS: [u64; 2] = [20_000, 120_000];

/// Checks the named operations, or all. `--update` writes the counts into the table. `--annotate`
/// prints where one operation's instructions are.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.iter().any(|word| word.starts_with("--") && !["--update", "--annotate"].contains(word))
    {
        return Err(USAGE.to_owned());
    }
    callgrind::installed("valgrind")?;
    let program = Program::build()?;
    let result = match words.as_slice() {
        ["--annotate", operation] => {
            program.known(operation)?;
            program.count(operation).map(|count| println!("{}", annotated(operation, &count)))
        }
        _ if words.contains(&"--annotate") => Err(USAGE.to_owned()),
        _ => {
            let named: Vec<&str> =
                words.iter().copied().filter(|word| *word != "--update").collect();
            check(&program, &named, words.contains(&"--update"))
        }
    };
    // Scratch files: nothing is lost if they stay.
    let _ = fs::remove_dir_all(&program.scratch);
    result
}

fn check(program: &Program, named: &[&str], update: bool) -> Result<(), String> {
    named.iter().try_for_each(|operation| program.known(operation))?;
    let path = cargo::root().join("xtask/instructions.txt");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut table = Table::parse(&text)?;
    table.matches(&program.operations)?;
    let toolchain = toolchain()?;
    let mut complaints = Vec::new();
    for bound in table
        .bounds
        .iter_mut()
        .filter(|bound| named.is_empty() || named.contains(&bound.operation.as_str()))
    {
        let counted = total(&program.count(&bound.operation)?)?;
        let verdict = bound.judge(counted);
        let said = verdict.as_ref().map_or_else(|complaint| complaint.as_str(), |word| *word);
        println!(
            "{:16} {counted:9.1}   stated {:9.1} +{} %   {said}",
            bound.operation, bound.instructions, bound.percent
        );
        if update {
            bound.instructions = counted;
        } else if let Err(complaint) = verdict {
            complaints.push(format!("{}: {complaint}", bound.operation));
        }
    }
    if update {
        table.toolchain = toolchain;
        return fs::write(&path, table.text())
            .map_err(|error| format!("{}: {error}", path.display()));
    }
    if complaints.is_empty() {
        return Ok(());
    }
    if table.toolchain != toolchain {
        complaints
            .push(format!("the table was written with {}, this is {toolchain}", table.toolchain));
    }
    complaints.push("if that is meant: cargo xtask instructions --update".to_owned());
    Err(format!("more instructions than stated\n  {}", complaints.join("\n  ")))
}

/// Returns the compiler that the counts belong to.
fn toolchain() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    Ok(format!("{}, {}", String::from_utf8_lossy(&output.stdout).trim(), std::env::consts::ARCH))
}

/// The built `benches/instructions.rs`.
struct Program {
    program: PathBuf,
    scratch: PathBuf,
    operations: Vec<String>,
}

impl Program {
    fn build() -> Result<Program, String> {
        let mut command = cargo::command(
            &["bench", "--package", "gosched", "--bench", "instructions", "--no-run"],
            None,
        );
        let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let program = said.lines().find_map(executable).filter(|_| output.status.success());
        let program = cargo::root().join(
            program.ok_or_else(|| format!("benches/instructions.rs does not build\n{said}"))?,
        );
        let output = Command::new(&program)
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let operations: Vec<String> =
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        if operations.is_empty() {
            return Err(format!("{} knows no operation", program.display()));
        }
        Ok(Program { program, scratch: callgrind::scratch(), operations })
    }

    fn known(&self, operation: &str) -> Result<(), String> {
        if self.operations.iter().any(|known| known == operation) {
            return Ok(());
        }
        Err(format!("no operation `{operation}`, but {}\n{USAGE}", self.operations.join(", ")))
    }

    /// Returns what one `operation` takes at each place. It is below zero where the shorter run
    /// happened to do more.
    fn count(&self, operation: &str) -> Result<BTreeMap<Place, f64>, String> {
        let profile =
            |n: u64| callgrind::profile(&self.program, &[operation, &n.to_string()], &self.scratch);
        let [short, long] = RUNS;
        Ok(difference(&profile(short)?, &profile(long)?, long - short))
    }
}

/// Returns the path in cargo's line `Executable benches/instructions.rs
/// (target/release/deps/..-0123)`.
fn executable(line: &str) -> Option<&Path> {
    let (_, path) = line.trim().strip_prefix("Executable ")?.strip_suffix(')')?.split_once(" (")?;
    Some(Path::new(path))
}

fn difference(short: &Profile, long: &Profile, operations: u64) -> BTreeMap<Place, f64> {
    let mut per_operation = BTreeMap::new();
    for (profile, sign) in [(long, 1.0), (short, -1.0)] {
        for (place, count) in profile {
            *per_operation.entry(place.clone()).or_default() +=
                sign * *count as f64 / operations as f64;
        }
    }
    per_operation
}

/// Returns the sum of all places. An operation of less than one instruction was not executed.
fn total(count: &BTreeMap<Place, f64>) -> Result<f64, String> {
    let total = count.values().sum();
    if total < 1.0 {
        Err(format!("{total:.3} instructions per operation: nothing ran"))
    } else {
        Ok(total)
    }
}

/// The stated counts.
#[derive(Debug, PartialEq)]
struct Table {
    toolchain: String,
    bounds: Vec<Bound>,
}

#[derive(Debug, PartialEq)]
struct Bound {
    operation: String,
    instructions: f64,
    /// How much more is accepted.
    percent: f64,
}

const HEAD: &str = "\
# Instructions per operation of benches/instructions.rs, one P, and the percent allowed on top.
# `cargo xtask instructions` checks them. `cargo xtask instructions --update` writes them, and keeps
# the percentages.
";

impl Table {
    fn parse(text: &str) -> Result<Table, String> {
        let mut table = Table { toolchain: String::new(), bounds: Vec::new() };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["toolchain", words @ ..] => table.toolchain = words.join(" "),
                [] | ["#", ..] => {}
                [operation, instructions, percent] => {
                    let number = |word: &str| {
                        word.parse::<f64>()
                            .ok()
                            .filter(|number| number.is_finite() && *number > 0.0)
                    };
                    let (Some(instructions), Some(percent)) =
                        (number(instructions), number(percent))
                    else {
                        return Err(format!(
                            "xtask/instructions.txt: `{line}` does not state a count and a \
                             percentage"
                        ));
                    };
                    table.bounds.push(Bound {
                        operation: (*operation).to_owned(),
                        instructions,
                        percent,
                    });
                }
                _ => {
                    return Err(format!(
                        "xtask/instructions.txt: `{line}` is no line of the table"
                    ));
                }
            }
        }
        Ok(table)
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}\ntoolchain {}\n\n", self.toolchain);
        for bound in &self.bounds {
            let _ = writeln!(
                text,
                "{:16} {:8.1} {:3}",
                bound.operation, bound.instructions, bound.percent
            );
        }
        text
    }

    /// Checks that operations and lines match: an operation without a line would have no bound, and
    /// a line without an operation would bound nothing.
    fn matches(&self, operations: &[String]) -> Result<(), String> {
        let stated: Vec<&str> = self.bounds.iter().map(|bound| bound.operation.as_str()).collect();
        let mut sorted =
            (stated.clone(), operations.iter().map(String::as_str).collect::<Vec<_>>());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        if sorted.0 == sorted.1 {
            return Ok(());
        }
        Err(format!(
            "xtask/instructions.txt has {stated:?}, benches/instructions.rs {operations:?}"
        ))
    }
}

impl Bound {
    fn judge(&self, counted: f64) -> Result<&'static str, String> {
        let change = 100.0 * (counted / self.instructions - 1.0);
        if change > self.percent {
            Err(format!(
                "{change:.1} % more than stated: {counted:.1}, not {:.1}",
                self.instructions
            ))
        } else if change < -self.percent {
            Ok("less: --update keeps it so")
        } else {
            Ok("as stated")
        }
    }
}

/// The property that the places of one line of a listing share.
type Key = fn(&Place) -> String;

/// Returns an operation's instructions by function, by source file, and by source line, the most
/// first.
fn annotated(operation: &str, count: &BTreeMap<Place, f64>) -> String {
    let all: f64 = count.values().sum();
    let mut text = format!("{operation}: {all:.1} instructions\n");
    let views: [(&str, Key); 3] = [
        ("compiled into the function", |place| short_function(&place.function)),
        ("written in the file, inlined wherever", |place| short_file(&place.file)),
        ("written in the line", |place| format!("{}:{}", short_file(&place.file), place.line)),
    ];
    for (title, key) in views {
        let mut groups: BTreeMap<String, f64> = BTreeMap::new();
        for (place, instructions) in count {
            *groups.entry(key(place)).or_default() += instructions;
        }
        let mut groups: Vec<(String, f64)> =
            groups.into_iter().filter(|(_, most)| *most >= 0.5).collect();
        groups.sort_by(|a, b| b.1.total_cmp(&a.1));
        let _ = writeln!(text, "\n{title}");
        for (name, instructions) in groups.iter().take(40) {
            let _ =
                writeln!(text, "{instructions:9.1} {:5.1} %  {name}", 100.0 * instructions / all);
        }
    }
    text
}

/// Returns the name without the hash that the compiler appends, and without the depth that
/// callgrind appends.
fn short_function(name: &str) -> String {
    let name = name
        .rsplit_once('\'')
        .filter(|(_, depth)| depth.parse::<u32>().is_ok())
        .map_or(name, |(plain, _)| plain);
    let plain = name
        .rsplit_once("::h")
        .filter(|(_, hash)| hash.len() == 16)
        .map_or(name, |(plain, _)| plain);
    plain.to_owned()
}

/// Returns the path within the workspace, the standard library, or the package that has the file.
fn short_file(path: &str) -> String {
    let root = format!("{}/", cargo::root().display());
    let cuts = ["/library/", "/registry/src/"];
    let Some(rest) = cuts.iter().find_map(|cut| path.split_once(cut)).map(|(_, rest)| rest) else {
        return path.strip_prefix(&root).unwrap_or(path).to_owned();
    };
    // The first component is the registry's own name.
    rest.strip_prefix("index.crates.io")
        .and_then(|rest| rest.split_once('/'))
        .map_or(rest, |(_, rest)| rest)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(instructions: f64) -> Bound {
        Bound { operation: "yield".to_owned(), instructions, percent: 5.0 }
    }

    fn profile(counts: &[(u32, u64)]) -> Profile {
        let place = |line| Place { function: "f".to_owned(), file: "f.rs".to_owned(), line };
        counts.iter().map(|&(line, count)| (place(line), count)).collect()
    }

    #[test]
    fn more_than_the_bound_fails_and_less_is_said() {
        assert_eq!(bound(100.0).judge(104.9), Ok("as stated"));
        assert!(bound(100.0).judge(105.1).expect_err("5.1 % more").contains("5.1 % more"));
        assert!(bound(100.0).judge(94.0).expect("better").starts_with("less"));
    }

    #[test]
    fn what_is_in_both_runs_is_no_part_of_an_operation() {
        let count = difference(
            &profile(&[(1, 900), (2, 40)]),
            &profile(&[(1, 900), (2, 140), (3, 10)]),
            10,
        );
        assert_eq!(count.values().copied().collect::<Vec<_>>(), [0.0, 10.0, 1.0]);
        assert_eq!(total(&count), Ok(11.0));
        assert!(total(&difference(&profile(&[(1, 900)]), &profile(&[(1, 905)]), 10)).is_err());
    }

    #[test]
    fn a_table_survives_being_written() {
        let table =
            Table { toolchain: "rustc 1, x".to_owned(), bounds: vec![bound(12.3), bound(7.0)] };
        assert_eq!(Table::parse(&table.text()), Ok(table));
        for wrong in
            ["yield 12", "yield twelve 5", "yield 12 0", "yield 0 5", "yield NaN 5", "yield 1 2 3"]
        {
            assert!(Table::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_operation_has_a_bound() {
        let table = Table { toolchain: String::new(), bounds: vec![bound(1.0)] };
        assert_eq!(table.matches(&["yield".to_owned()]), Ok(()));
        assert!(table.matches(&[]).is_err());
        assert!(table.matches(&["yield".to_owned(), "mutex".to_owned()]).is_err());
    }

    #[test]
    fn the_table_in_the_tree_can_be_read() {
        let text =
            fs::read_to_string(cargo::root().join("xtask/instructions.txt")).expect("it is there");
        assert!(Table::parse(&text).expect("valid").bounds.len() >= 5);
    }

    #[test]
    fn names_are_shortened_to_what_tells_them_apart() {
        let root = cargo::root().display().to_string();
        assert_eq!(short_file(&format!("{root}/scheduler/src/p.rs")), "scheduler/src/p.rs");
        assert_eq!(short_file("/rustc/00aa/library/core/src/cell.rs"), "core/src/cell.rs");
        assert_eq!(
            short_file("/h/.cargo/registry/src/index.crates.io-19a/libc-0.2/src/lib.rs"),
            "libc-0.2/src/lib.rs"
        );
        assert_eq!(short_function("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(short_function("a::b::h0123456789abcdef'2"), "a::b");
        assert_eq!(short_function("<a::hash as b<'x>>"), "<a::hash as b<'x>>");
    }

    #[test]
    fn the_program_is_where_cargo_says() {
        let line = "  Executable benches/instructions.rs (target/release/deps/instructions-a4be)";
        assert_eq!(executable(line), Some(Path::new("target/release/deps/instructions-a4be")));
        assert_eq!(executable("   Compiling gosched v0.1.0 (/x)"), None);
    }
}
