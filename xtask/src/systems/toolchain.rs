//! The compiler that builds for other systems, and the std that it builds with.
//!
//! A toolchain as it is distributed has the std of its own system, and for others the sources at
//! most. So std is built from them, once for each compiler, system and set of flags, and put where
//! a compiler looks for it. What is built with that std needs no unstable option, and so shows that
//! it is stable code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::{self, target_dir};

/// A compiler with the sources of its std.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    library: PathBuf,
    /// The first line of what `rustc --version` prints.
    pub(crate) version: String,
}

/// How much of std there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Std {
    /// Enough to check types against.
    Checked,
    /// All of it. The flags are those of the programs that use it, where std has to have them, too.
    Built { flags: &'static str },
}

impl Toolchain {
    /// Returns the toolchain that this command runs with, or else Debian's; `None` if neither has
    /// the sources.
    pub(crate) fn find() -> Option<Self> {
        let own = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let candidates =
            [(PathBuf::from(own), "rustc"), (PathBuf::from("/usr/bin/cargo"), "/usr/bin/rustc")];
        candidates.into_iter().find_map(|(cargo, rustc)| Self::of(cargo, rustc))
    }

    fn of(cargo: PathBuf, rustc: &str) -> Option<Self> {
        let sysroot = PathBuf::from(said(rustc, &["--print", "sysroot"])?);
        let library = sysroot.join("lib/rustlib/src/rust/library");
        let version = said(rustc, &["--version"])?;
        let there = library.join("sysroot/Cargo.toml").is_file();
        there.then_some(Self { cargo, rustc: PathBuf::from(rustc), library, version })
    }

    /// Returns a cargo command on the workspace. `area` is the directory of the build.
    pub(crate) fn command(&self, arguments: &[&str], area: &str) -> Command {
        let mut command = cargo::command_of(&self.cargo, arguments, Some(area));
        self.choose(&mut command);
        command
    }

    /// Returns a compiler's command.
    pub(crate) fn rustc(&self) -> Command {
        Command::new(&self.rustc)
    }

    fn choose(&self, command: &mut Command) {
        let rustdoc = self.rustc.with_file_name("rustdoc");
        command.env("RUSTC", &self.rustc).env("RUSTDOC", rustdoc);
        // What the caller wants for the own system is nothing for another.
        command.env_remove("RUSTFLAGS").env_remove("RUSTDOCFLAGS");
    }

    /// Makes the std of `target`, unless it is there, and returns the directory that the compiler
    /// takes as its own.
    pub(crate) fn std(&self, target: &str, kind: Std) -> Result<PathBuf, String> {
        // What makes backtraces adds no name to std.
        let (subcommand, flags, extension, features) = match kind {
            Std::Checked => ("check", "", "rmeta", "panic-unwind"),
            Std::Built { flags } => ("build", flags, "rlib", "panic-unwind,backtrace"),
        };
        let key: String = format!("{}-{subcommand}{flags}", self.version)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        let root = target_dir(Some("systems/std")).join(key);
        let finished = root.join(format!("{target}.finished"));
        if finished.is_file() {
            return Ok(root);
        }
        let build = root.join("build");
        let manifest = self.library.join("sysroot/Cargo.toml");
        let mut command = cargo::command_of(&self.cargo, &[subcommand, "--locked"], None);
        self.choose(&mut command);
        command.arg("--manifest-path").arg(&manifest).args(["--target", target]);
        command.args(["--release", "--features", features]);
        command.env("CARGO_TARGET_DIR", &build).env("RUSTC_BOOTSTRAP", "1");
        // Not `allow`: cargo learns from a warning that a system has no dynamic libraries.
        let marked = format!("-Zforce-unstable-if-unmarked --cap-lints=warn {flags}");
        command.env("RUSTFLAGS", marked.trim_end());
        let shown = format!("{command:?}");
        match cargo::run(command) {
            Ok(outcome) if outcome.success => {}
            Ok(_) => return Err(format!("std does not build for {target}: {shown}")),
            Err(error) => return Err(format!("cannot run {shown}: {error}")),
        }
        let to = root.join("lib/rustlib").join(target).join("lib");
        collect(&build.join(target).join("release/deps"), extension, &to)
            .and_then(|()| fs::remove_dir_all(&build))
            .and_then(|()| fs::write(&finished, ""))
            .map_err(|error| format!("std for {target} in {}: {error}", root.display()))?;
        Ok(root)
    }
}

impl Toolchain {
    /// Makes an object that a program for windows-gnu begins or ends with, unless it is there. It
    /// is a part of std that std's own build leaves out.
    pub(crate) fn startup_object(
        &self,
        target: &str,
        sysroot: &Path,
        into: &Path,
        name: &str,
    ) -> Result<(), String> {
        let object = into.join(name).with_extension("o");
        if object.is_file() {
            return Ok(());
        }
        let mut command = self.rustc();
        command.env("RUSTC_BOOTSTRAP", "1").args(["--target", target, "--emit=obj", "-o"]);
        command.arg(&object).arg(format!("--sysroot={}", sysroot.display()));
        command.arg(self.library.join("rtstartup").join(name).with_extension("rs"));
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(format!("{command:?} fails")),
        }
    }
}

/// Copies the files with this extension.
fn collect(from: &Path, extension: &str, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let Some(name) =
            path.file_name().filter(|_| path.extension().is_some_and(|e| e == extension))
        {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Returns the first line that a program prints, if it succeeds.
pub(crate) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}
