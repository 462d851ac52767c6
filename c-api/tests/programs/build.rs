//! Builds programs against the library that cargo has built beside this test, and runs them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longer than any program takes on a busy machine; one that hangs is killed then.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns a file that cargo has built beside this test.
pub(crate) fn artifact(name: &str) -> PathBuf {
    // Named, so that the library is built with the test.
    assert_eq!(gosched_c::version::gosched_abi(), gosched_c::version::GOSCHED_ABI);
    let path = std::env::current_exe().expect("the test binary").with_file_name(name);
    assert!(path.is_file(), "{}", path.display());
    path
}

/// Returns a folder with the shared library under the names that linkers and programs look for.
pub(crate) fn library() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lib");
        fs::create_dir_all(&folder).expect("cargo's temporary directory");
        for name in ["libgosched.so", "libgosched.so.1"] {
            let link = folder.join(name);
            let _none_there = fs::remove_file(&link);
            symlink(artifact("libgosched_c.so"), link).expect("a link");
        }
        folder
    })
}

/// Returns a compiler of the system, or says that there is none.
pub(crate) fn tool(name: &str) -> Option<&str> {
    let found = Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("skipped: there is no {name}");
    }
    found.then_some(name)
}

/// Compiles a source of this package with warnings as errors, and returns the program.
pub(crate) fn compile(compiler: &str, source: &str, flags: &[&str]) -> PathBuf {
    let stem = Path::new(source).file_stem().expect("a name").to_string_lossy();
    let tag: String = flags.concat().chars().filter(char::is_ascii_alphanumeric).collect();
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}-{tag}"));
    let mut command = Command::new(compiler);
    command.args(flags).args(["-Wall", "-Wextra", "-Werror", "-g", "-pthread", "-I"]);
    command.arg(package().join("include")).arg(package().join(source));
    command.arg("-L").arg(library()).arg(format!("-Wl,-rpath,{}", library().display()));
    command.args(["-lgosched", "-o"]).arg(&program);
    let output = command.output().expect("a compiler");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{told}");
    program
}

/// Runs a program to its end, and for no longer than the limit.
pub(crate) fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
    let output = end_of(child);
    eprintln!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

fn end_of(mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if began.elapsed() > LIMIT {
            child.kill().expect("it runs");
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.wait_with_output().expect("a child")
}

/// Runs a program that is to succeed; returns what it printed. On standard error a runtime may warn
/// of goroutines that were held up, as they are on a busy machine.
pub(crate) fn prints(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).expect("text")
}
