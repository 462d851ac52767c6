//! Compiles the C half of the examples and tests. Nothing that users depend on has a build script.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=c");
    // It is about POSIX: signals, and threads of the C library's.
    if std::env::var_os("CARGO_CFG_UNIX").is_none() {
        return;
    }
    cc::Build::new()
        .files(["c/calls.c", "c/lines.c", "c/storm.c", "c/thread.c"])
        .std("c11")
        .extra_warnings(true)
        // The test that runs a stack over wants every page of it touched in turn.
        .flag_if_supported("-fstack-clash-protection")
        .compile("c_side");
    build_host();
}

/// Compiles the program that loads a guest, and tells the library where it is.
fn build_host() {
    let directory = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let program = directory.join("host");
    let mut compiler =
        cc::Build::new().std("gnu11").extra_warnings(true).opt_level(1).get_compiler().to_command();
    compiler.args(["c/host/main.c", "-pthread", "-ldl", "-o"]).arg(&program);
    assert!(compiler.status().expect("a C compiler").success(), "{compiler:?}");
    println!("cargo::rustc-env=C_SIDE_HOST={}", program.display());
}
