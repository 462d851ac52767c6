//! Programs of others that call into gosched, and what each of them must find unharmed.
//!
//! Each program in `src/bin` is one host: a C library with threads of its own, or the runtime of
//! another language. It is short, because [`frame`] does what is the same for all: it builds the
//! runtime, looks at a thread's state around each callback, adds up, sends the [`storm`] of
//! signals, compares the [`table`] of signal handlers, and ends. [`foreign`] is the same for hosts
//! that load a shared library, which is this package, too; [`jni`] and [`napi`] are that for Java
//! and for Node. [`matrix`] runs all of them.
//!
//! A host whose Debian package is not installed says so and is skipped: [`skipped`].

pub mod foreign;
pub mod frame;
pub mod jni;
pub mod matrix;
pub mod napi;
pub mod state;
pub mod storm;
pub mod table;

use std::process::ExitCode;

/// The exit status of a host that is not installed. Automake has the same.
pub const SKIPPED: u8 = 77;

/// Says that a host is skipped, and returns the status for it.
#[must_use]
pub fn skipped(package: &str) -> ExitCode {
    println!("skipped: {package} is not installed");
    ExitCode::from(SKIPPED)
}

/// The `main` of a host that is linked: runs `$run` in the frame where the package is installed.
#[macro_export]
macro_rules! host {
    ($name:literal, $package:literal, $run:expr) => {
        fn main() -> std::process::ExitCode {
            #[cfg(host = $name)]
            return $crate::frame::main($name, $run);
            #[cfg(not(host = $name))]
            $crate::skipped($package)
        }
    };
}
