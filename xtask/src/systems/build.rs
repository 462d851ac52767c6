//! How cargo and the compiler are told of a row's system.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::needs;
use super::rows::{Depth, Linker, Row};
use super::toolchain::Toolchain;
use crate::cargo::{root, target_dir};

/// What builds for a row, and runs what was built.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    pub(crate) row: &'a Row,
    pub(crate) toolchain: &'a Toolchain,
    /// The directory with the row's std.
    pub(crate) std: PathBuf,
    variables: Vec<(String, String)>,
}

impl<'a> Build<'a> {
    pub(crate) fn new(
        row: &'a Row,
        toolchain: &'a Toolchain,
        std: PathBuf,
    ) -> Result<Self, String> {
        let mut build = Self { row, toolchain, std, variables: Vec::new() };
        build.prepare()?;
        Ok(build)
    }

    fn prepare(&mut self) -> Result<(), String> {
        let target = self.row.target;
        let upper = target.to_uppercase().replace('-', "_");
        let lower = target.replace('-', "_");
        let scripts = scripts();
        let script = |name: &str| scripts.join(name).display().to_string();
        let mut flags = format!("--sysroot={} {}", self.std.display(), self.row.flags);
        match self.row.linker {
            Linker::None => {}
            Linker::Program(linker) => self.set(format!("CARGO_TARGET_{upper}_LINKER"), linker),
            Linker::Zig(name) => {
                self.set("ZIG", needs::zig()?.display());
                self.set("ZIG_TARGET", name);
                self.set("ZIG_GLOBAL_CACHE_DIR", target_dir(Some("systems/zig")).display());
                self.set(format!("CARGO_TARGET_{upper}_LINKER"), script("zig-cc.sh"));
                self.set(format!("CC_{lower}"), script("zig-cc.sh"));
                self.set(format!("AR_{lower}"), script("zig-ar.sh"));
                // With debugging information a program for macOS is taken apart by a tool that is
                // not everywhere.
                self.set("CARGO_PROFILE_DEV_DEBUG", "0");
                self.set("CARGO_PROFILE_DEV_STRIP", "none");
                flags += &format!(" -Lnative={}", scripts.display());
            }
        }
        // Optimised further, the tests take longer to compile than they then save, also under qemu.
        self.set("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        self.set("CARGO_PROFILE_RELEASE_DEBUG", "0");
        if let Depth::Runs { runner: Some(runner), .. } = self.row.depth {
            let runner = runner.replace("{systems}", &scripts.display().to_string());
            let runner = match runner.strip_suffix(".py") {
                Some(_) => format!("{} {runner}", needs::python().display()),
                None => runner,
            };
            self.set(format!("CARGO_TARGET_{upper}_RUNNER"), runner);
        }
        if matches!(self.row.depth, Depth::Runs { how: "wine", .. }) {
            self.prepare_wine()?;
        }
        self.set(format!("CARGO_TARGET_{upper}_RUSTFLAGS"), flags.trim_end());
        self.set(format!("CARGO_TARGET_{upper}_RUSTDOCFLAGS"), flags.trim_end());
        for (name, value) in self.row.variables {
            self.set(*name, value);
        }
        Ok(())
    }

    /// Makes what a program for Windows begins and ends with, and what Wine lacks of Windows, and
    /// tells Wine where that is.
    fn prepare_wine(&mut self) -> Result<(), String> {
        let objects = self.std.join("lib/rustlib").join(self.row.target).join("lib");
        for name in ["rsbegin", "rsend"] {
            self.toolchain.startup_object(self.row.target, &self.std, &objects, name)?;
        }
        let Linker::Program(compiler) = self.row.linker else { return Ok(()) };
        let directory = target_dir(Some("systems/wine"));
        std::fs::create_dir_all(&directory)
            .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        let mut command = Command::new(compiler);
        command.args(["-O2", "-shared", "-static-libgcc", "-o"]);
        command.arg(directory.join("bcryptprimitives.dll")).arg(scripts().join("prng.c"));
        command.arg("-ladvapi32");
        match command.status() {
            Ok(status) if status.success() => {}
            _ => return Err(format!("{command:?} fails")),
        }
        // Wine shows the root as a drive.
        let path = directory.display().to_string().replace('/', "\\");
        self.set("WINEPATH", format!("Z:{path}"));
        self.set("WINEPREFIX", directory.join("prefix").display());
        Ok(())
    }

    fn set(&mut self, name: impl Into<String>, value: impl ToString) {
        self.variables.push((name.into(), value.to_string()));
    }

    /// Returns a cargo command on the packages whose tests are built.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.bare(subcommand);
        command.args(self.row.scope.tested());
        command
    }

    /// Returns a command that checks types: of the libraries alone.
    pub(crate) fn check(&self) -> Command {
        let mut command = self.bare("check");
        command.arg("--lib").args(self.row.scope.checked());
        command
    }

    /// Returns a cargo command that names no package.
    pub(crate) fn bare(&self, subcommand: &str) -> Command {
        let arguments = [subcommand, "--target", self.row.target];
        let mut command = self.toolchain.command(&arguments, "systems/build");
        self.tell(&mut command);
        command
    }

    /// Returns a command that compiles one file into a program.
    pub(crate) fn rustc(&self, source: &Path, program: &Path) -> Command {
        let mut command = self.toolchain.rustc();
        command.arg(source).arg("-o").arg(program).args(["--edition=2024", "--target"]);
        command.arg(self.row.target).arg(format!("--sysroot={}", self.std.display()));
        command.args(self.row.flags.split_whitespace());
        let linker = self.variables.iter().find(|(name, _)| name.ends_with("_LINKER"));
        if let Some((_, linker)) = linker {
            command.arg(format!("-Clinker={linker}"));
        }
        command.arg(format!("-Lnative={}", scripts().display()));
        self.tell(&mut command);
        command
    }

    /// Returns a command that runs a program of the row's system.
    pub(crate) fn start(&self, program: &Path) -> Command {
        let runner = self.variables.iter().find(|(name, _)| name.ends_with("_RUNNER"));
        let mut words = runner.into_iter().flat_map(|(_, words)| words.split_whitespace());
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(program);
                command
            }
            None => Command::new(program),
        };
        self.tell(&mut command);
        command
    }

    fn tell(&self, command: &mut Command) {
        for (name, value) in &self.variables {
            command.env(name, value);
        }
    }
}

/// Returns the directory of what compilers and runners are given.
pub(crate) fn scripts() -> PathBuf {
    root().join("xtask/systems")
}

/// Returns the directory of the controls' programs.
pub(crate) fn controls() -> PathBuf {
    target_dir(Some("systems/controls"))
}
