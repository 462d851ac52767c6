//! Programs in C++.

use std::path::PathBuf;
use std::process::Command;

use crate::build::{compile, prints, tool};
use crate::c::dies;

/// Returns a program, or nothing where there is no compiler.
fn compiled(source: &str) -> Option<PathBuf> {
    Some(compile(tool("c++")?, source, &["-std=c++17", "-O1"]))
}

#[test]
fn a_pipeline_carries_values_and_an_exception() {
    let Some(program) = compiled("examples/pipeline.cpp") else { return };
    assert_eq!(prints(&mut Command::new(program)), "sum 385, then: no more than 10\n");
}

#[test]
fn the_wrapper_keeps_what_it_says() {
    let Some(program) = compiled("tests/c/wrapper.cpp") else { return };
    prints(&mut Command::new(program));
}

#[test]
fn an_exception_that_leaves_a_function_ends_the_process_with_a_message() {
    let Some(program) = compiled("tests/c/throws.cpp") else { return };
    for from in ["enter", "timeout", "call", "blocking", "stack", "release", "goroutine"] {
        dies(Command::new(&program).arg(from));
    }
}
