//! What the shared library exports, and what it is called.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::build::{artifact, package};

fn output(tool: &str, arguments: &[&str]) -> String {
    let library = artifact("libgosched_c.so");
    let output = Command::new(tool).args(arguments).arg(library).output().expect("binutils");
    assert!(output.status.success(), "{tool}: {}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the functions that a header declares.
pub(crate) fn declared(header: &str) -> BTreeSet<String> {
    let code = header.lines().filter(|line| {
        let words = ["//", "#", "typedef", "static", " "];
        !words.iter().any(|word| line.starts_with(word))
    });
    code.filter_map(|line| {
        let (before, _) = line.split_once('(')?;
        let name = before.rsplit([' ', '*']).next()?;
        name.starts_with("gosched_").then(|| name.to_owned())
    })
    .collect()
}

/// Nothing of Rust's and nothing of a dependency is in the way of the program's own names.
#[test]
fn what_is_exported_is_what_the_header_declares() {
    let header = fs::read_to_string(package().join("include/gosched.h")).expect("the header");
    let list = output("nm", &["-D", "--defined-only", "--format=posix"]);
    let exported: BTreeSet<String> =
        list.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(exported, declared(&header));
    assert!(exported.len() > 50 && exported.contains("gosched_chan_recv"));
}

#[test]
fn the_library_has_the_name_of_its_abi() {
    let dynamic = output("readelf", &["-d"]);
    let name = format!("libgosched.so.{}", gosched_c::version::GOSCHED_ABI);
    assert!(dynamic.contains(&format!("soname: [{name}]")), "{dynamic}");
}
