//! Compiles the C half of the examples and tests. Nothing that users depend on has a build script.

fn main() {
    println!("cargo::rerun-if-changed=c");
    cc::Build::new()
        .files(["c/calls.c", "c/lines.c", "c/storm.c", "c/thread.c"])
        .std("c11")
        .extra_warnings(true)
        // The test that runs a stack over wants every page of it touched in turn.
        .flag_if_supported("-fstack-clash-protection")
        .compile("c_side");
}
