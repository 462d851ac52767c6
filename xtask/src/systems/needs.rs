//! What a row needs from outside the workspace, and how `--install` gets it.
//!
//! A row whose needs are not met does not run, and the table says what it lacks. Nothing is
//! installed unless asked for: packages change the machine, and so does an emulator that the kernel
//! starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::target_dir;

/// Something that has to be there.
#[derive(Debug)]
pub(crate) struct Need {
    /// In the words of the table.
    pub(crate) what: &'static str,
    proof: Proof,
    origin: Origin,
}

/// How it shows that a need is met.
#[derive(Debug)]
enum Proof {
    /// One of these files exists.
    File(&'static [&'static str]),
    /// A module of the command's own Python environment.
    Module(&'static str),
    /// The kernel starts programs of this ELF machine with qemu. A test that starts its own program
    /// again, or an example, would otherwise start what the processor cannot run.
    Emulator(&'static str, u8),
}

/// Where it comes from.
#[derive(Debug)]
enum Origin {
    /// Packages of Debian 12.
    Debian(&'static [&'static str]),
    /// A package of Python's index, of one version.
    Python(&'static str),
    /// The kernel is told.
    Kernel,
}

const fn file(
    what: &'static str,
    paths: &'static [&'static str],
    packages: &'static [&'static str],
) -> Need {
    Need { what, proof: Proof::File(paths), origin: Origin::Debian(packages) }
}

const fn module(what: &'static str, name: &'static str, package: &'static str) -> Need {
    Need { what, proof: Proof::Module(name), origin: Origin::Python(package) }
}

const fn emulator(what: &'static str, name: &'static str, machine: u8) -> Need {
    Need { what, proof: Proof::Emulator(name, machine), origin: Origin::Kernel }
}

const QEMU: &[&str] = &["qemu-user"];

/// A compiler with the sources of its std. `Toolchain::find` chooses it.
pub(crate) const RUST: &[Need] = &[Need {
    what: "a Rust compiler with the sources of its std",
    proof: Proof::File(&[]),
    origin: Origin::Debian(&["rustc-web", "cargo-web", "rust-web-src"]),
}];

pub(crate) const ZIG: &[Need] = &[module("zig", "ziglang", "ziglang==0.17.1")];

pub(crate) const AARCH64: &[Need] = &[
    file(
        "a C compiler for aarch64",
        &["/usr/bin/aarch64-linux-gnu-gcc"],
        &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    ),
    file("qemu-aarch64", &["/usr/bin/qemu-aarch64"], QEMU),
    emulator("the kernel's rule for programs of aarch64", "qemu-aarch64", 0xb7),
];

pub(crate) const RISCV64: &[Need] = &[
    file(
        "a C compiler for riscv64",
        &["/usr/bin/riscv64-linux-gnu-gcc"],
        &["gcc-riscv64-linux-gnu", "libc6-dev-riscv64-cross"],
    ),
    file("qemu-riscv64", &["/usr/bin/qemu-riscv64"], QEMU),
    emulator("the kernel's rule for programs of riscv64", "qemu-riscv64", 0xf3),
];

pub(crate) const WINDOWS: &[Need] = &[
    file(
        "a C compiler for Windows",
        &["/usr/bin/x86_64-w64-mingw32-gcc-posix"],
        &["gcc-mingw-w64-x86-64-posix"],
    ),
    file("wine64", &["/usr/lib/wine/wine64"], &["wine64"]),
];

pub(crate) const WASI: &[Need] = &[
    file("wasm-ld", &["/usr/bin/wasm-ld-22"], &["lld-22"]),
    file("wasi-libc", &["/usr/lib/wasm32-wasi/libc.a"], &["wasi-libc"]),
    module("wasmtime", "wasmtime", "wasmtime==50.0.1"),
];

impl Need {
    fn met(&self) -> bool {
        match self.proof {
            Proof::File([]) => super::toolchain::Toolchain::find().is_some(),
            Proof::File(paths) => paths.iter().any(|path| Path::new(path).exists()),
            Proof::Module(name) => site_packages().is_some_and(|at| at.join(name).is_dir()),
            Proof::Emulator(name, _) => Path::new(RULES).join(name).exists(),
        }
    }

    fn install(&self) -> Result<(), String> {
        match self.origin {
            Origin::Debian(packages) => {
                let mut command = Command::new("apt-get");
                command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
                command.env("DEBIAN_FRONTEND", "noninteractive");
                succeed(command)
            }
            Origin::Python(package) => {
                if site_packages().is_none() {
                    let mut make = Command::new("python3");
                    make.args(["-m", "venv"]).arg(python_root());
                    succeed(make)?;
                }
                let mut command = Command::new(python_root().join("bin/python"));
                command.args(["-m", "pip", "install", "--quiet", package]);
                succeed(command)
            }
            Origin::Kernel => match self.proof {
                Proof::Emulator(name, machine) => emulate(name, machine),
                _ => Err(format!("{} is nothing that the kernel is told", self.what)),
            },
        }
    }
}

/// Returns what is missing of `needs`, in words. With `install`, it is installed first.
pub(crate) fn missing(needs: &[&[Need]], install: bool) -> Result<Vec<&'static str>, String> {
    let mut lacking = Vec::new();
    for need in needs.iter().copied().flatten() {
        if !need.met() && install {
            println!("xtask: installing {}", need.what);
            need.install().map_err(|error| format!("{}: {error}", need.what))?;
        }
        if !need.met() {
            lacking.push(need.what);
        }
    }
    Ok(lacking)
}

/// Returns the directory of the command's own Python environment.
fn python_root() -> PathBuf {
    target_dir(Some("systems/python"))
}

/// Returns the interpreter of that environment.
pub(crate) fn python() -> PathBuf {
    python_root().join("bin/python")
}

fn site_packages() -> Option<PathBuf> {
    let mut versions = fs::read_dir(python_root().join("lib")).ok()?;
    Some(versions.next()?.ok()?.path().join("site-packages"))
}

/// Returns the program of zig, which its package contains.
pub(crate) fn zig() -> Result<PathBuf, String> {
    let program = site_packages().map(|at| at.join("ziglang/zig"));
    program.filter(|program| program.is_file()).ok_or_else(|| "zig is missing".to_owned())
}

/// The rules by which the kernel chooses an interpreter.
const RULES: &str = "/proc/sys/fs/binfmt_misc";

/// Tells the kernel to start 64-bit little-endian ELF programs of `machine` with /usr/bin/`name`.
fn emulate(name: &str, machine: u8) -> Result<(), String> {
    if !Path::new(RULES).join("register").exists() {
        let mut mount = Command::new("mount");
        mount.args(["-t", "binfmt_misc", "none", RULES]);
        succeed(mount)?;
    }
    fs::write(Path::new(RULES).join("register"), rule(name, machine))
        .map_err(|error| format!("the kernel takes no rule for {name}: {error}"))
}

/// Returns the kernel's rule: name, magic bytes, the bits of them that count, interpreter.
fn rule(name: &str, machine: u8) -> String {
    // Class, byte order and version of the file; its ABI and padding; an executable, fixed or
    // position-independent, which differ in one bit; and the machine.
    let mut magic = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\0\0";
    magic[18] = machine;
    let mut counts = [0xff; 20];
    counts[7] = 0;
    counts[16] = 0xfe;
    let hex = |bytes: [u8; 20]| bytes.map(|byte| format!("\\x{byte:02x}")).concat();
    format!(":{name}:M::{}:{}:/usr/bin/{name}:", hex(magic), hex(counts))
}

fn succeed(mut command: Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("cannot run {command:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_matches_programs_of_its_machine() {
        let text = rule("qemu-x", 0xb7);
        let parts: Vec<&str> = text.split(':').collect();
        assert_eq!(parts[1..4], ["qemu-x", "M", ""]);
        assert!(parts[4].starts_with("\\x7f\\x45\\x4c\\x46\\x02"), "{text}");
        assert!(parts[4].ends_with("\\x02\\x00\\xb7\\x00"), "{text}");
        assert!(parts[5].ends_with("\\xfe\\xff\\xff\\xff"), "{text}");
        assert_eq!(parts[6], "/usr/bin/qemu-x");
    }

    #[test]
    fn what_is_missing_is_named_and_not_installed_unasked() {
        const GONE: &[Need] = &[file("a thing", &["/no/such/file"], &["no-such-package"])];
        const HERE: &[Need] = &[file("a root", &["/"], &[])];
        assert_eq!(missing(&[HERE, GONE], false), Ok(vec!["a thing"]));
        assert_eq!(missing(&[HERE], false), Ok(vec![]));
    }
}
