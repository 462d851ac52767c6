//! Programs in C.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use crate::build::{compile, package, prints, run};

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
fn selects_blocking_calls_dumps_and_senders_of_all_kinds() {
    prints(&mut compiled("tests/c/ways.c"));
}

#[test]
fn what_ends_a_wait_returns_a_code_and_unwinds_nothing() {
    prints(&mut compiled("tests/c/shutdown.c"));
}

#[test]
fn a_handle_goes_on_with_another_runtime() {
    prints(&mut compiled("tests/c/restart.c"));
}

/// Each function is called in children, and the names in the program are compared with the header.
#[test]
fn a_forked_child_hangs_nowhere() {
    let read = |path| std::fs::read_to_string(package().join(path)).expect("a file");
    let (header, called) = (read("include/gosched.h"), read("tests/c/forked.c"));
    let lock_nothing = ["gosched_abi", "gosched_version"];
    for name in crate::symbols::declared(&header) {
        let is_called = called.contains(&format!("{name}("));
        assert!(is_called || lock_nothing.contains(&name.as_str()), "{name} is not called");
    }
    prints(&mut compiled("tests/c/forked.c"));
}

#[test]
fn a_handler_finds_a_whole_goroutine_or_none_and_posts() {
    for (mode, binding) in [("1", "0"), ("1", "1"), ("2", "0"), ("2", "1")] {
        let printed = prints(compiled("tests/c/storm.c").args([mode, binding]));
        assert_eq!(printed, "a storm\n");
    }
}

#[test]
fn the_c_library_fits_on_a_quarter_of_a_goroutines_stack() {
    let printed = prints(&mut compiled("tests/c/stack_need.c"));
    eprintln!("{printed}");
    assert!(printed.lines().count() > 15, "{printed}");
}

/// What a process says that dies because a function was left without a return.
pub(crate) const LEFT: &str = "gosched: a C function was left without a return";

#[test]
fn a_function_that_is_left_by_pthread_exit_ends_the_process_with_a_message() {
    for from in ["enter", "call", "blocking", "goroutine"] {
        dies(compiled("tests/c/leaves.c").arg(from));
    }
}

/// Runs a program that is to die because a function was left.
pub(crate) fn dies(command: &mut Command) {
    let output = run(command);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{told}");
    assert!(told.starts_with(LEFT), "{told}");
}

/// What an author of bindings has to write, without comments and blank lines.
#[test]
fn a_shim_has_fewer_than_forty_lines() {
    let text = std::fs::read_to_string(package().join("examples/shim.c")).expect("the shim");
    let code = text.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    assert!(code.count() < 40);
    prints(&mut compiled("tests/c/shim_host.c"));
}

#[test]
fn the_program_of_the_readme_prints_what_it_says() {
    let readme = std::fs::read_to_string(package().join("../README.md")).expect("the README");
    let (_, rest) = readme.split_once("```c\n").expect("a program in C");
    let (text, _) = rest.split_once("```").expect("its end");
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme.c");
    std::fs::write(&source, text).expect("a source");
    let source = source.to_str().expect("a path that is text");
    assert_eq!(prints(&mut compiled(source)), "5050\n");
}
