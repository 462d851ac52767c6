//! Finds out which hosts are installed. What is absent is skipped by the programs, so nothing but a
//! C compiler is needed to build this package.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// A host that is linked: a program with these first lines, linked with these flags, builds where
/// its Debian package is installed.
struct Host {
    name: &'static str,
    head: &'static str,
    flags: &'static [&'static str],
}

const fn host(name: &'static str, head: &'static str, flags: &'static [&'static str]) -> Host {
    Host { name, head, flags }
}

const HOSTS: [Host; 8] = [
    host("sqlite", "", &["-lsqlite3"]),
    host("openmp", "#include <omp.h>", &["-fopenmp"]),
    host("glib", "", &["-lglib-2.0"]),
    host("libuv", "", &["-luv"]),
    host("microhttpd", "", &["-lmicrohttpd"]),
    host("sdl_audio", "", &["-lSDL2"]),
    host("rdkafka", "", &["-lrdkafka"]),
    host("fuse", FUSE, &["-lfuse3"]),
];

const FUSE: &str =
    "#define FUSE_USE_VERSION 31\n#define _FILE_OFFSET_BITS 64\n#include <fuse3/fuse.h>";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=c");
    println!("cargo::rerun-if-changed=foreign/Host.java");
    // It changes when a package is installed or removed. A path that is absent would have this run
    // at every build.
    let installed = "/var/lib/dpkg/status";
    if std::path::Path::new(installed).exists() {
        println!("cargo::rerun-if-changed={installed}");
    }
    for Host { name, head, flags } in HOSTS {
        println!("cargo::rustc-check-cfg=cfg(host, values(\"{name}\"))");
        if builds(head, flags) {
            println!("cargo::rustc-cfg=host=\"{name}\"");
            if ["openmp", "fuse"].contains(&name) {
                compile(name);
            }
        }
    }
    java();
}

/// Compiles the Java program, where there is a compiler, and says where its classes are.
fn java() {
    let classes = format!("{}/classes", std::env::var("OUT_DIR").expect("cargo sets it"));
    let mut compiler = Command::new("javac");
    compiler.args(["-Xlint:all", "-d", &classes, "foreign/Host.java"]);
    match compiler.status() {
        Ok(status) if status.success() => println!("cargo::rustc-env=HOSTS_CLASSES={classes}"),
        Ok(status) => panic!("{compiler:?}: {status}"),
        Err(_) => {} // It is not installed.
    }
}

/// Compiles the part of a host that is written in C, because macros of C are needed.
fn compile(name: &str) {
    let mut compiler = cc::Build::new();
    compiler.file(format!("c/{name}.c")).extra_warnings(true);
    if name == "openmp" {
        compiler.flag("-fopenmp");
    }
    compiler.compile(&format!("host_{name}"));
}

/// True if a C program with these first lines and flags builds.
fn builds(head: &str, flags: &[&str]) -> bool {
    let mut compiler = cc::Build::new().get_compiler().to_command();
    compiler.args(["-x", "c", "-", "-o", "/dev/null"]).args(flags);
    compiler.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut compiler = compiler.spawn().expect("a C compiler");
    let program = format!("{head}\nint main(void) {{ return 0; }}\n");
    let mut input = compiler.stdin.take().expect("it is piped");
    let written = input.write_all(program.as_bytes());
    drop(input);
    compiler.wait().is_ok_and(|status| status.success()) && written.is_ok()
}
