//! The systems: what is done for each of them, and what that needs.

use super::needs::{self, Need};

/// A system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// As the compiler calls it.
    pub(crate) target: &'static str,
    pub(crate) depth: Depth,
    pub(crate) linker: Linker,
    pub(crate) needs: &'static [&'static [Need]],
    /// What the compiler is told beyond that.
    pub(crate) flags: &'static str,
    /// Variables of the tests' environment.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    pub(crate) scope: Scope,
}

/// How far a system is followed. Each includes what is before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The compiler checks types and names.
    Checks,
    /// The test programs are linked with the system's own list of symbols.
    Links,
    /// The tests run; `how` says on what. Fewer than `minimum` are a failure.
    Runs { how: &'static str, runner: Option<&'static str>, minimum: u64 },
}

/// What links for a system, and compiles the C half of the tests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Linker {
    /// Nothing is linked.
    None,
    /// A program that finds its own libraries.
    Program(&'static str),
    /// Zig, which knows the system by this name.
    Zig(&'static str),
}

/// Whose tests are built for a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All there are of the published packages.
    Everything,
    /// The unit tests of the inner packages. Those of the facade, and the integration tests, have a
    /// C half.
    Units,
    /// The unit tests of the lowest package, on a system that the scheduler is refused on.
    RuntimeSys,
    /// The unit tests of the inner packages, and the integration tests that have no C half.
    Ported,
}

/// The published packages, the facade last.
const PUBLISHED: [&str; 4] =
    ["gosched-runtime-sys", "gosched-scheduler", "gosched-callback-bridge", "gosched"];

impl Scope {
    /// Returns the arguments that choose the packages whose types are checked.
    pub(crate) fn checked(self) -> impl Iterator<Item = &'static str> {
        chosen(if self == Self::RuntimeSys { 1 } else { PUBLISHED.len() })
    }

    /// Returns the arguments that choose the packages whose tests are built.
    pub(crate) fn tested(self) -> impl Iterator<Item = &'static str> {
        chosen(match self {
            Self::Everything => PUBLISHED.len(),
            Self::Units | Self::Ported => PUBLISHED.len() - 1,
            Self::RuntimeSys => 1,
        })
    }
}

fn chosen(number: usize) -> impl Iterator<Item = &'static str> {
    PUBLISHED[..number].iter().flat_map(|name| ["--package", name])
}

/// What a row is unless it says otherwise.
const ROW: Row = Row {
    name: "",
    target: "",
    depth: Depth::Checks,
    linker: Linker::None,
    needs: &[needs::RUST],
    flags: "",
    variables: &[],
    scope: Scope::Units,
};

/// Qemu passes system calls on, and knows nothing of guards made by `madvise`: a fault in one is no
/// fault of the guest's. Guards of the other kind are mapped without rights.
const UNDER_QEMU: (&str, &str) = ("GOSCHED_STACK_GUARDS", "closed");

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "linux-musl",
        target: "x86_64-unknown-linux-musl",
        depth: Depth::Runs { how: "natively", runner: None, minimum: 1_000 },
        linker: Linker::Zig("x86_64-linux-musl"),
        needs: &[needs::RUST, needs::ZIG],
        // The objects that begin and end a program are zig's, too.
        flags: "-Clink-self-contained=no",
        scope: Scope::Everything,
        ..ROW
    },
    Row {
        name: "linux-aarch64",
        target: "aarch64-unknown-linux-gnu",
        depth: Depth::Runs { how: "qemu-user", runner: None, minimum: 1_000 },
        linker: Linker::Program("aarch64-linux-gnu-gcc"),
        needs: &[needs::RUST, needs::AARCH64],
        variables: &[("QEMU_LD_PREFIX", "/usr/aarch64-linux-gnu"), UNDER_QEMU],
        scope: Scope::Everything,
        ..ROW
    },
    Row {
        name: "linux-riscv64",
        target: "riscv64gc-unknown-linux-gnu",
        depth: Depth::Runs { how: "qemu-user", runner: None, minimum: 1_000 },
        linker: Linker::Program("riscv64-linux-gnu-gcc"),
        needs: &[needs::RUST, needs::RISCV64],
        variables: &[("QEMU_LD_PREFIX", "/usr/riscv64-linux-gnu"), UNDER_QEMU],
        scope: Scope::Everything,
        ..ROW
    },
    Row {
        name: "windows-gnu",
        target: "x86_64-pc-windows-gnu",
        depth: Depth::Runs { how: "wine", runner: Some("/usr/lib/wine/wine64"), minimum: 590 },
        linker: Linker::Program("x86_64-w64-mingw32-gcc-posix"),
        needs: &[needs::RUST, needs::WINDOWS],
        // Tests of a part that Windows lacks are ignored.
        flags: "--cfg gosched_no_affinity --cfg gosched_no_mincore --cfg gosched_no_thread_clock \
                --cfg gosched_no_thread_list",
        variables: &[("WINEDEBUG", "-all")],
        scope: Scope::Ported,
    },
    Row { name: "windows-msvc", target: "x86_64-pc-windows-msvc", ..ROW },
    Row {
        name: "freebsd",
        target: "x86_64-unknown-freebsd",
        depth: Depth::Links,
        linker: Linker::Zig("x86_64-freebsd-none"),
        needs: &[needs::RUST, needs::ZIG],
        ..ROW
    },
    Row {
        name: "netbsd",
        target: "x86_64-unknown-netbsd",
        depth: Depth::Links,
        linker: Linker::Zig("x86_64-netbsd-none"),
        needs: &[needs::RUST, needs::ZIG],
        ..ROW
    },
    Row {
        name: "openbsd",
        target: "x86_64-unknown-openbsd",
        depth: Depth::Links,
        linker: Linker::Zig("x86_64-openbsd-none"),
        needs: &[needs::RUST, needs::ZIG],
        ..ROW
    },
    Row {
        name: "darwin-aarch64",
        target: "aarch64-apple-darwin",
        depth: Depth::Links,
        linker: Linker::Zig("aarch64-macos-none"),
        needs: &[needs::RUST, needs::ZIG],
        ..ROW
    },
    Row {
        name: "darwin-x86_64",
        target: "x86_64-apple-darwin",
        depth: Depth::Links,
        linker: Linker::Zig("x86_64-macos-none"),
        needs: &[needs::RUST, needs::ZIG],
        ..ROW
    },
    Row { name: "dragonfly", target: "x86_64-unknown-dragonfly", ..ROW },
    Row { name: "illumos", target: "x86_64-unknown-illumos", ..ROW },
    Row { name: "solaris", target: "x86_64-pc-solaris", ..ROW },
    Row { name: "android", target: "aarch64-linux-android", ..ROW },
    Row {
        name: "wasi",
        target: "wasm32-wasip1",
        depth: Depth::Runs { how: "wasmtime", runner: Some("{systems}/wasm.py"), minimum: 14 },
        linker: Linker::Program("wasm-ld-22"),
        needs: &[needs::RUST, needs::WASI],
        flags: "-Clink-self-contained=no -Lnative=/usr/lib/wasm32-wasi \
                -Clink-arg=/usr/lib/wasm32-wasi/crt1-command.o \
                -Clink-arg=--unresolved-symbols=ignore-all",
        scope: Scope::RuntimeSys,
        ..ROW
    },
];

impl Row {
    /// Returns the row of which types are checked and nothing more is done: it needs a compiler.
    pub(crate) fn checked_only(&self) -> Self {
        Self { depth: Depth::Checks, linker: Linker::None, needs: &[needs::RUST], ..*self }
    }

    /// Returns the processor and the system, as std names them.
    pub(crate) fn place(&self) -> (&'static str, &'static str) {
        let arch = self.target.split('-').next().unwrap_or_default();
        let arch = if arch == "riscv64gc" { "riscv64" } else { arch };
        let known = ["android", "linux", "windows", "freebsd", "netbsd", "openbsd", "darwin"];
        // Of WASI std names the processor only.
        let os = known.into_iter().find(|os| self.target.contains(os));
        (arch, os.map_or("", |os| if os == "darwin" { "macos" } else { os }))
    }

    /// True if the row's linker takes what it does not know.
    pub(crate) fn links_anything(&self) -> bool {
        self.flags.contains("ignore-all")
    }
}
