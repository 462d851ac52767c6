//! Runs all hosts, or those that are named, prints a row for each run, and fails if one is wrong.
//!
//! `--require all`, or `--require NAME`, fails if a host is not installed. `load ..` starts
//! `load.rs` instead.

use hosts::foreign;
use hosts::frame::Plan;
use hosts::matrix::{HOSTS, Outcome, Report, plans, run};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask hosts [NAME]... [--require NAME|all]...
       cargo xtask hosts load crowd|churn|hogged [--seconds N] [--storm]";

struct Choice {
    hosts: Vec<&'static str>,
    required: Vec<&'static str>,
}

fn choose(arguments: &[String]) -> Result<Choice, String> {
    let known = |name: &String| {
        let found = HOSTS.into_iter().find(|host| host == name);
        found.ok_or_else(|| format!("no host `{name}`\n{USAGE}\nhosts: {}", HOSTS.join(", ")))
    };
    let mut choice = Choice { hosts: Vec::new(), required: Vec::new() };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument != "--require" {
            choice.hosts.push(known(argument)?);
            continue;
        }
        match arguments.next() {
            Some(all) if all == "all" => choice.required.extend(HOSTS),
            Some(name) => choice.required.push(known(name)?),
            None => return Err(USAGE.to_owned()),
        }
    }
    if choice.hosts.is_empty() {
        choice.hosts.extend(HOSTS);
    }
    Ok(choice)
}

fn row(host: &str, plan: Plan, report: &Report) -> String {
    let binding = plan.arguments()[1];
    let storm = if plan.storm { "storm" } else { "" };
    let Report { callbacks, signals, inside, totals, handlers } = report;
    format!(
        "{host:14} {binding:17} {storm:5} {callbacks:>9} {signals:>9} {inside:>8}  {totals:6}  \
         {handlers:8}  0"
    )
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let here: PathBuf = std::env::current_exe().expect("this program's own path");
    if let Some(("load", rest)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest))
    {
        return foreign::run(Command::new(here.with_file_name("load")).args(rest));
    }
    let choice = match choose(&arguments) {
        Ok(choice) => choice,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = Vec::new();
    println!(
        "{:14} {:17} {:5} {:>9} {:>9} {:>8}  totals  handlers  exit",
        "host", "binding", "", "callbacks", "signals", "inside"
    );
    for host in choice.hosts {
        for plan in plans() {
            match run(&here.with_file_name(host), plan) {
                Outcome::Right(report) => println!("{}", row(host, plan, &report)),
                Outcome::Wrong(output) => {
                    println!("{host:14} {:17} WRONG: {output}", plan.arguments()[1..].join(" "));
                    failed.push(host);
                }
                Outcome::Skipped(why) => {
                    println!("{host:14} {why}");
                    failed.extend(choice.required.contains(&host).then_some(host));
                    break;
                }
            }
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    failed.dedup();
    eprintln!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}
