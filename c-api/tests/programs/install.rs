//! An installed library, as the build of a C program finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::build::{artifact, package, prints, run, tool};

/// Installs what cargo builds, and moves it: each file finds the others by its own place.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let (first, moved) = (folder.join("installed"), folder.join("moved"));
        for old in [&first, &moved] {
            let _none_there = fs::remove_dir_all(old);
        }
        let mut install = Command::new(env!("CARGO"));
        install.args(["xtask", "install", "--prefix"]).arg(&first);
        // Not built anew: another build would replace the library under the tests that load it.
        install.arg("--built").arg(artifact("libgosched_c.a").parent().expect("a folder"));
        let output = run(install.current_dir(package()));
        assert!(output.status.success(), "{}", output.status);
        fs::rename(first, &moved).expect("a move");
        moved
    })
}

fn flags(arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(arguments).arg("gosched").env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    prints(&mut command).split_whitespace().map(str::to_owned).collect()
}

fn says_what_the_example_says(program: &Path) {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", prefix().join("lib"));
    assert_eq!(prints(&mut command), "1000 answers, sum 332833500\n");
}

#[test]
fn a_program_is_built_by_pkg_config() {
    if tool("pkg-config").is_none() {
        return;
    }
    let version = flags(&["--modversion"]);
    assert_eq!(version, [env!("CARGO_PKG_VERSION")]);
    for (name, arguments) in
        [("shared", vec!["--cflags", "--libs"]), ("static", vec!["--cflags", "--libs", "--static"])]
    {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("squares-{name}"));
        let mut compile = Command::new("cc");
        compile.args(["-std=gnu11", "-pthread"]).arg(package().join("examples/squares.c"));
        if name == "static" {
            compile.arg("-Wl,-Bstatic").args(flags(&arguments[..2])).arg("-Wl,-Bdynamic");
        }
        compile.args(flags(&arguments)).arg("-o").arg(&program);
        let output = run(&mut compile);
        assert!(output.status.success(), "{}", output.status);
        says_what_the_example_says(&program);
    }
}

#[test]
fn a_program_is_built_by_cmake() {
    let Some(cmake) = tool("cmake") else { return };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cmake");
    let _none_there = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("cargo's temporary directory");
    let source = package().join("examples/squares.c");
    let project = format!(
        "cmake_minimum_required(VERSION 3.13)\nproject(user C)\nset(CMAKE_C_STANDARD 11)\n\
         find_package(gosched {} REQUIRED)\n\
         foreach(kind gosched static)\nadd_executable(squares-${{kind}} \"{}\")\n\
         target_link_libraries(squares-${{kind}} gosched::${{kind}} pthread)\nendforeach()\n",
        env!("CARGO_PKG_VERSION"),
        source.display(),
    );
    fs::write(folder.join("CMakeLists.txt"), project).expect("a project");
    let mut configure = Command::new(cmake);
    configure.args(["-S", ".", "-B", "build"]).current_dir(&folder);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display()));
    let mut build = Command::new(cmake);
    build.args(["--build", "build"]).current_dir(&folder);
    for command in [&mut configure, &mut build] {
        let output = run(command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    for kind in ["gosched", "static"] {
        says_what_the_example_says(&folder.join(format!("build/squares-{kind}")));
    }
}
