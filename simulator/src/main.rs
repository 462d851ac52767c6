//! The policy of gosched on simulated machines with any number of cores. `cargo xtask simulate`
//!
//! The functions that decide are the scheduler's own, compiled in from its source. The rest is a
//! model without threads, after the scheduler: cores and a kernel ([`os`]), the state ([`gmp`]),
//! and what acts on it ([`proc`]). The order in which `proc::find` looks is restated by hand. The
//! model is deterministic: the same seed gives the same table.
//!
//! The model shows whether the rules work together as intended, and how that changes with the
//! number of Ps. It does not show what locks, caches and memory cost: they cost nothing here. Nor
//! does it show a mistake in the code that carries the rules out. `docs/performance.md` compares it
//! with measurements.

mod cost;
mod gmp;
mod loads;
mod os;
#[path = "../../scheduler/src/policy/mod.rs"]
#[expect(dead_code, reason = "the scheduler's own; not all of it is simulated")]
mod policy;
mod proc;
mod report;
mod rng;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use gmp::world::Config;
use loads::apart::Begin::{After, Before, Known};
use loads::apart::{self, Hog};
use loads::{MS, Outcome, S, US};

const PROCS: [usize; 7] = [2, 4, 8, 16, 32, 64, 128];

const USAGE: &str =
    "usage: cargo xtask simulate [--procs N]... [--cores N] [--load NAME] [--seed N]";

/// What is to be shown.
struct Arguments {
    procs: Vec<usize>,
    /// As many as Ps, unless set.
    cores: Option<usize>,
    load: Option<String>,
    seed: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(arguments) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    if let Some(Err(message)) = arguments.load.as_deref().map(check_load) {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    println!(
        "seed {}; times in us; threads: the most at a time, and those at the end\n",
        arguments.seed
    );
    println!(
        "{:16} {:>4} {:>5} {:>12} {:12} {:>9} {:>9} {:>9} {:14} {:>10} {:>7} {:>9} {:>6} {:>8}",
        "load",
        "Ps",
        "cores",
        "a second",
        "of",
        "p50",
        "p99",
        "max",
        "of",
        "hand-overs",
        "retaken",
        "threads",
        "spread",
        "done"
    );
    for (name, load) in LOADS {
        if arguments.load.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        for &procs in &arguments.procs {
            let cores = arguments.cores.unwrap_or(procs);
            let config = Config { procs, cores, sysmon: true, apart: true, seed: arguments.seed };
            line(name, config, &load(config));
        }
    }
    ExitCode::SUCCESS
}

fn parse(arguments: &[String]) -> Option<Arguments> {
    let mut parsed = Arguments { procs: Vec::new(), cores: None, load: None, seed: 1 };
    for pair in arguments.chunks(2) {
        let [flag, value] = pair else { return None };
        match flag.as_str() {
            "--procs" => parsed.procs.push(value.parse().ok().filter(|n| *n > 0)?),
            "--cores" => parsed.cores = Some(value.parse().ok().filter(|n| *n > 0)?),
            "--load" => parsed.load = Some(value.clone()),
            "--seed" => parsed.seed = value.parse().ok()?,
            _ => return None,
        }
    }
    if parsed.procs.is_empty() {
        parsed.procs.extend(PROCS);
    }
    Some(parsed)
}

/// Returns an error that lists the loads, unless `wanted` is a load.
fn check_load(wanted: &str) -> Result<(), String> {
    let names = LOADS.map(|(name, _)| name);
    if names.contains(&wanted) {
        return Ok(());
    }
    Err(format!("no load `{wanted}`; the loads are `{}`", names.join("`, `")))
}

type Load = (&'static str, fn(Config) -> Outcome);

/// Each with the size it is shown at.
const LOADS: [Load; 29] = [
    ("hogs", |config| loads::hogs(config, config.procs)),
    ("200 hogs", |config| loads::hogs(config, 200)),
    ("yields", loads::yields),
    ("never wait", loads::never_wait),
    ("resized", loads::resized),
    ("acceptor", loads::acceptor),
    ("flood", loads::flood),
    ("fork-join", |config| loads::fork_join(config, 12)),
    ("pairs", loads::pairs),
    ("helpers", loads::helpers),
    ("blocking", |config| loads::blocking(config, false)),
    ("blocking()", |config| loads::blocking(config, true)),
    ("callbacks", |config| loads::callbacks(config, false)),
    ("callbacks, hogs", |config| loads::callbacks(config, true)),
    ("woken outside", loads::woken_outside),
    ("served, few hogs", |config| apart::service(config, Hog::Computes, config.procs / 2, After)),
    ("served, hogs", |config| apart::service(config, Hog::Computes, 8, After)),
    ("served after", |config| apart::service(config, Hog::Computes, 8, Before)),
    ("served, known", |config| apart::service(config, Hog::Computes, 8, Known)),
    ("served, pieces", |config| apart::service(config, Hog::InPieces, 32, After)),
    ("served, later", |config| apart::service(config, Hog::InPiecesLater, 32, After)),
    ("mixed", apart::mix),
    ("bursts, pieces", |config| apart::bursts(config, Hog::InPieces, 32, false)),
    ("served, block", |config| apart::service(config, Hog::Blocks, 8, After)),
    ("root", |config| apart::root(config, Hog::Computes)),
    ("turns", |config| apart::turns_of(config, US, 3 * MS, S)),
    ("turns, other M", |config| apart::turns_apart(config, US, 3 * MS, S)),
    ("polling", apart::polling),
    ("pool", apart::pool),
];

fn line(name: &str, config: Config, outcome: &Outcome) {
    let us = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
    let time = |per_mille| {
        if outcome.times.len() > 0 { us(outcome.times.at(per_mille)) } else { "-".to_owned() }
    };
    println!(
        "{name:16} {:>4} {:>5} {:>12} {:12} {:>9} {:>9} {:>9} {:14} {:>10} {:>7} {:>9} {:>6} {:>8}",
        config.procs,
        config.cores,
        outcome.per_second,
        outcome.counted,
        time(500),
        time(990),
        time(1000),
        outcome.timed,
        outcome.totals.counted("hand-overs"),
        outcome.retaken(),
        format!("{}, {}", outcome.threads, outcome.threads_left),
        outcome.spread.map_or("-".to_owned(), |percent| format!("{:.2}", percent as f64 / 100.0)),
        if outcome.done_at > 0 { us(outcome.done_at) } else { "-".to_owned() },
    );
}
