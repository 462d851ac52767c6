//! A Java virtual machine loads the library: its handlers of faults are there before gosched's.
//!
//! The program is `hosts/foreign/Host.java`.

use hosts::foreign;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let Some(classes) = option_env!("HOSTS_CLASSES") else {
        return hosts::skipped("default-jdk-headless");
    };
    let mut java = Command::new("java");
    java.args(["-Xmx64m", "-XX:-CreateCoredumpOnCrash", "-cp", classes, "Host"]);
    java.arg(foreign::library()).args(foreign::arguments());
    foreign::run(&mut java)
}
