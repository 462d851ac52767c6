//! Node loads the library as an add-on: the program is `hosts/foreign/host.js`.

use hosts::foreign;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    if !foreign::installed("node", "--version") {
        return hosts::skipped("nodejs");
    }
    let mut node = Command::new("node");
    node.arg(foreign::source("host.js")).arg(foreign::library()).args(foreign::arguments());
    foreign::run(&mut node)
}
