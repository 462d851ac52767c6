//! Programs in C.

use std::process::Command;

use crate::build::{compile, prints};

/// The oldest C that the header is for, and the compiler's own.
const C: [&str; 2] = ["-std=c11", "-std=gnu17"];

fn compiled(source: &str) -> Command {
    Command::new(compile("cc", source, &["-std=gnu11", "-O1"]))
}

#[test]
fn threads_of_c_ask_and_a_goroutine_answers() {
    for standard in C {
        let program = compile("cc", "examples/squares.c", &[standard, "-D_GNU_SOURCE"]);
        assert_eq!(prints(&mut Command::new(program)), "1000 answers, sum 332833500\n");
    }
}

#[test]
fn misuse_that_can_be_seen_is_a_code() {
    prints(&mut compiled("tests/c/misuse.c"));
}

#[test]
fn what_ends_a_wait_returns_a_code_and_unwinds_nothing() {
    prints(&mut compiled("tests/c/shutdown.c"));
}
