//! The same work in gosched and in its peers, in one run. See `benches/versus/README.md`.
//!
//! Each peer runs each workload in a process of its own. Peers alternate: a round of all of them,
//! then the next round. So a disturbance of the machine hits all alike. Ratios within such a run
//! say something; absolute figures belong to that machine and hour.

mod json;
mod machine;
mod measured;
mod options;
mod peer;
mod plot;
mod program;
mod report;
mod statistics;
mod target;
mod workload;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use machine::Watch;
use measured::Measured;
use options::Options;
use program::{BUILT_IN, FOREIGN, Peer};
use workload::{WORKLOADS, Workload};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name, workload] = arguments.as_slice()
        && word == "peer"
    {
        peer::serve(name, workload);
    }
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    if options.list {
        WORKLOADS.iter().for_each(|workload| println!("{:18} {}", workload.name, workload.what));
        println!("\npeers: {}", [BUILT_IN, FOREIGN].concat().join(", "));
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let mut measured = Measured::default();
    for file in &options.with {
        let wrong = |error: String| format!("{}: {error}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        json::read(&text, options.workers, &mut measured).map_err(wrong)?;
    }
    let (earlier, wanted): (Vec<_>, Vec<_>) =
        options.workloads.iter().copied().partition(|workload| measured.has(workload.name));
    let peers = if wanted.is_empty() { Vec::new() } else { found(&options.peers) };
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cpus} CPUs, {} workers, {}; median (least - most)",
        options.workers,
        machine::names()
    );
    earlier.into_iter().for_each(|workload| print!("{}", report::table(&measured, workload)));
    let mut unsupported = BTreeSet::new();
    let mut failures = 0;
    for workload in wanted {
        let watch = Watch::start();
        for failure in rounds(workload, &peers, options, &mut measured, &mut unsupported) {
            eprintln!("{failure}");
            failures += 1;
        }
        measured.busy.extend(watch.busy().map(|busy| (workload.name, busy)));
        print!("{}", report::table(&measured, workload));
    }
    print!("{}", report::targets(&measured));
    print!("{}", report::defects(&measured, if options.workers > cpus { 1.2 } else { 1.0 }));
    for (peer, workloads) in group(&unsupported) {
        println!("not in {peer}: {}", workloads.join(", "));
    }
    write(options.json.as_deref(), || json::write(&measured, options.workers))?;
    write(options.svg.as_deref(), || plot::svg(&measured))?;
    if failures == 0 { Ok(()) } else { Err(format!("{failures} runs failed")) }
}

fn write(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text())
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Returns the peers that exist here. Names each missing peer once.
fn found(names: &[&'static str]) -> Vec<Peer> {
    let found = names.iter().filter_map(|name| match Peer::find(name) {
        Ok(peer) => Some(peer),
        Err(why) => {
            println!("without {name}: {why}");
            None
        }
    });
    found.collect()
}

/// Runs all rounds of one workload, and returns the failures. A peer that failed once is not asked
/// again.
fn rounds(
    workload: &'static Workload,
    peers: &[Peer],
    options: &Options,
    measured: &mut Measured,
    unsupported: &mut BTreeSet<(&'static str, &'static str)>,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut asked: Vec<&Peer> = peers.iter().filter(|peer| workload.wants(peer.name)).collect();
    let warm_up = workload.warm_up;
    for round in 0..options.rounds + usize::from(warm_up) {
        asked.retain(|peer| {
            let printed = peer.run(workload.name, options.workers);
            match printed.and_then(|printed| measured::parse(&printed, workload.figures)) {
                Ok(Some(figures)) if round > 0 || !warm_up => {
                    figures.iter().for_each(|(figure, value)| {
                        measured.note(workload.name, peer.name, figure, *value)
                    });
                    true
                }
                Ok(Some(_)) => true,
                Ok(None) => {
                    unsupported.insert((peer.name, workload.name));
                    false
                }
                Err(why) => {
                    failures.push(format!("{} failed at {}: {why}", peer.name, workload.name));
                    false
                }
            }
        });
    }
    failures
}

fn group<'a>(unsupported: &BTreeSet<(&'a str, &'a str)>) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (peer, workload) in unsupported {
        match groups.last_mut().filter(|(last, _)| last == peer) {
            Some((_, workloads)) => workloads.push(workload),
            None => groups.push((peer, vec![workload])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_peers_cannot_do_is_grouped_by_peer() {
        let unsupported = BTreeSet::from([("may", "select"), ("smol", "x"), ("may", "parked1m")]);
        assert_eq!(group(&unsupported), [("may", vec!["parked1m", "select"]), ("smol", vec!["x"])]);
    }
}
