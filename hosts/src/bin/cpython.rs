//! CPython loads the library by `ctypes`: the program is `hosts/foreign/host.py`.

use hosts::foreign;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    if !foreign::installed("python3", "--version") {
        return hosts::skipped("python3");
    }
    let mut python = Command::new("python3");
    python.arg(foreign::source("host.py")).arg(foreign::library()).args(foreign::arguments());
    foreign::run(&mut python)
}
