//! A program in Python.

use std::process::Command;

use crate::build::{library, package, prints, tool};

#[test]
fn a_python_program_counts_words() {
    let Some(python) = tool("python3") else { return };
    let mut command = Command::new(python);
    command.args(["-B", "words.py"]).current_dir(package().join("examples"));
    command.env("GOSCHED_LIBRARY", library().join("libgosched.so"));
    assert_eq!(prints(&mut command), "the 3, others 8, then: no such file\n");
}
