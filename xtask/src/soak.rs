//! `cargo xtask soak`: runs the callbacks example under its signal storm for minutes, and checks
//! that it does not grow.
//!
//! Each pair of binding and mode is one long process, because a leak shows in a process that lives.
//! Once a second its resident memory, threads and mappings are read from `/proc`. The first part is
//! the warm-up; then an early stretch is compared with the last one: the median of memory and
//! mappings, and the maximum of threads. C's threads come and go all the time, so only threads
//! beyond that maximum are a leak. The example itself exits non-zero when a total is wrong or a
//! signal found something torn.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cargo;

const BINDINGS: [&str; 2] = ["per-call", "until-thread-exit"];
const MODES: [&str; 3] = ["threads", "settled", "migratory"];

/// How much the last stretch may lie above the early one. Caches and allocator arenas settle within
/// the warm-up. A figure that goes on growing by more than this is a leak, since a stretch is
/// hundreds of thousands of callbacks.
const RSS_SLACK: u64 = 2 << 20;
const THREADS_SLACK: u64 = 1;
const MAPPINGS_SLACK: u64 = 8;

/// Fewer samples than this say nothing about growth.
const SAMPLES_NEEDED: usize = 10;

#[derive(Debug)]
struct Options {
    minutes: f64,
    threads: u32,
    modes: Vec<String>,
}

/// Picks one figure out of a sample.
type Figure = fn(&Sample) -> u64;

/// Makes one number of a figure over a stretch of samples.
type Stretch = fn(&[Sample], Figure) -> u64;

/// The figures of `/proc` about a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    rss: u64,
    threads: u64,
    mappings: u64,
}

/// Builds the example and runs it in every combination, each for an equal part of the minutes.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = parse(arguments)?;
    let build = cargo::run(cargo::command(&["build", "--release", "--example", "callbacks"], None));
    if !build.is_ok_and(|outcome| outcome.success) {
        return Err("the callbacks example does not build".to_owned());
    }
    let runs = BINDINGS.len() * options.modes.len();
    let share = Duration::from_secs_f64(options.minutes * 60.0 / runs as f64);
    println!(
        "{:18} {:10} {:>7} {:>12} {:>11} {:>6}  {:>15}  {:>9}  {:>11}",
        "binding",
        "mode",
        "seconds",
        "callbacks",
        "signals",
        "torn",
        "RSS KiB",
        "threads",
        "mappings"
    );
    let mut failures = Vec::new();
    for mode in &options.modes {
        for binding in BINDINGS {
            if let Err(why) = one(&options, binding, mode, share) {
                println!("{binding:18} {mode:10} FAILED: {why}");
                failures.push(format!("{binding}/{mode}: {why}"));
            }
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("soak failed\n  {}", failures.join("\n  ")))
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options =
        Options { minutes: 0.0, threads: 8, modes: MODES.map(str::to_owned).to_vec() };
    for pair in arguments.chunks(2) {
        let [flag, value] = pair else { return Err(format!("`{}` wants a value", pair[0])) };
        let wrong = || format!("`{flag} {value}` makes no sense");
        match flag.as_str() {
            "--minutes" => options.minutes = value.parse().map_err(|_| wrong())?,
            "--threads" => options.threads = value.parse().map_err(|_| wrong())?,
            "--mode" if MODES.contains(&value.as_str()) => options.modes = vec![value.clone()],
            _ => return Err(wrong()),
        }
    }
    if options.minutes > 0.0 && options.minutes.is_finite() && options.threads > 0 {
        Ok(options)
    } else {
        Err("soak wants --minutes M, more than 0".to_owned())
    }
}

/// One combination for about `share`: checks its result and whether it grew, and prints its row.
fn one(options: &Options, binding: &str, mode: &str, share: Duration) -> Result<(), String> {
    let rounds = calibrate(options, binding, mode, share)?;
    let started = Instant::now();
    let mut child = start(options, binding, mode, rounds)?;
    let mut samples = Vec::new();
    let text = loop {
        if let Some(text) = finished(&mut child)? {
            break text;
        }
        // Three times its share: the speed changed, or it hangs.
        if started.elapsed() > share * 3 + Duration::from_secs(30) {
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            return Err(format!("not done after {} s", started.elapsed().as_secs()));
        }
        samples.extend(sample(child.id()));
        thread::sleep(sampling_interval(share));
    };
    let stretches = stretches(&samples);
    let span = |stretch: Stretch, pick: Figure| match stretches {
        Some((early, late)) => format!("{} -> {}", stretch(early, pick), stretch(late, pick)),
        None => "?".to_owned(),
    };
    let figure = |key| number(&text, key).map_or_else(|| "?".to_owned(), |value| value.to_string());
    println!(
        "{binding:18} {mode:10} {:>7} {:>12} {:>11} {:>6}  {:>15}  {:>9}  {:>11}",
        started.elapsed().as_secs(),
        figure("callbacks"),
        figure("signals"),
        figure("signals_torn"),
        span(median, |sample| sample.rss >> 10),
        span(most, |sample| sample.threads),
        span(median, |sample| sample.mappings),
    );
    if number(&text, "signals_torn") != Some(0)
        || number(&text, "signals").is_none_or(|signals| signals == 0)
    {
        return Err(format!("no storm, or something was torn: {text}"));
    }
    let (early, late) = stretches.ok_or_else(|| format!("only {} samples", samples.len()))?;
    grown(early, late)
}

/// Ten samples at least, even of a short trial run.
fn sampling_interval(share: Duration) -> Duration {
    (share / 40).clamp(Duration::from_millis(20), Duration::from_secs(1))
}

/// How many rounds take about `share`.
fn calibrate(options: &Options, binding: &str, mode: &str, share: Duration) -> Result<u64, String> {
    let mut rounds = 1;
    loop {
        let mut child = start(options, binding, mode, rounds)?;
        let text = loop {
            match finished(&mut child)? {
                Some(text) => break text,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let wall = number(&text, "wall_ms").ok_or_else(|| format!("no wall_ms in {text}"))?.max(1);
        if wall >= 1000 || u128::from(wall) >= share.as_millis() / 4 {
            return Ok((share.as_millis() as u64 * rounds / wall).max(1));
        }
        rounds *= (2000 / wall).clamp(2, 16);
    }
}

fn start(options: &Options, binding: &str, mode: &str, rounds: u64) -> Result<Child, String> {
    let program = cargo::target_dir(None).join("release/examples/callbacks");
    Command::new(&program)
        .args(["--storm", "--json", "--binding", binding, "--mode", mode])
        .args(["--threads", &options.threads.to_string(), "--rounds", &rounds.to_string()])
        .current_dir(cargo::root())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))
}

/// Returns what the child printed, if it has ended well. Its one object is far smaller than a pipe,
/// so nothing need read it while the child runs.
fn finished(child: &mut Child) -> Result<Option<String>, String> {
    let Some(status) = child.try_wait().map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let mut text = String::new();
    let mut output = child.stdout.take().ok_or("its output was read before")?;
    output.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if status.success() { Ok(Some(text)) } else { Err(format!("{status}: {text}")) }
}

/// Nothing when the process ended in between.
fn sample(pid: u32) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mappings = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines().count() as u64;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Sample { rss: field("VmRSS:")? << 10, threads: field("Threads:")?, mappings })
}

/// Returns an early and the last stretch of the samples. The first fifth is the warm-up, and the
/// last samples may see the end.
fn stretches(samples: &[Sample]) -> Option<(&[Sample], &[Sample])> {
    if samples.len() < SAMPLES_NEEDED {
        return None;
    }
    let steady = &samples[samples.len() / 5..samples.len() - 1];
    let third = steady.len() / 3;
    Some((&steady[..third], &steady[steady.len() - third..]))
}

fn median(samples: &[Sample], pick: Figure) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(pick).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn most(samples: &[Sample], pick: Figure) -> u64 {
    samples.iter().map(pick).max().unwrap_or(0)
}

fn grown(early: &[Sample], late: &[Sample]) -> Result<(), String> {
    let checks: [(&str, Figure, Stretch, u64); 3] = [
        ("bytes of RSS", |sample| sample.rss, median, RSS_SLACK),
        ("threads", |sample| sample.threads, most, THREADS_SLACK),
        ("mappings", |sample| sample.mappings, median, MAPPINGS_SLACK),
    ];
    let mut complaints = Vec::new();
    for (what, pick, stretch, slack) in checks {
        let (before, after) = (stretch(early, pick), stretch(late, pick));
        if after > before + slack {
            complaints.push(format!("{what} grew from {before} to {after}"));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join(", ")) }
}

/// Returns the whole number at `key` in a flat JSON object, without its fraction.
fn number(json: &str, key: &str) -> Option<u64> {
    let (_, rest) = json.split_once(&format!("\"{key}\""))?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(count: u64, rss_step: u64) -> Vec<Sample> {
        (0..count)
            .map(|i| Sample { rss: (8 << 20) + i * rss_step, threads: 9, mappings: 60 + i % 3 })
            .collect()
    }

    fn judged(samples: &[Sample]) -> Result<(), String> {
        let (early, late) = stretches(samples).expect("enough samples");
        grown(early, late)
    }

    #[test]
    fn a_flat_process_is_flat_and_a_leak_is_seen() {
        assert_eq!(judged(&series(60, 0)), Ok(()));
        let leak = judged(&series(60, 128 << 10)).expect_err("7 MiB more at the end");
        assert!(leak.contains("RSS"), "{leak}");
        let mut threads = series(60, 0);
        threads.iter_mut().skip(40).for_each(|sample| sample.threads = 11);
        assert!(judged(&threads).expect_err("two threads more").contains("threads"));
        let mut mappings = series(60, 0);
        mappings.iter_mut().enumerate().for_each(|(i, sample)| sample.mappings += i as u64);
        assert!(judged(&mappings).expect_err("a mapping a second").contains("mappings"));
    }

    #[test]
    fn growth_while_warming_up_is_no_leak() {
        let mut samples = series(60, 0);
        samples
            .iter_mut()
            .take(12)
            .enumerate()
            .for_each(|(i, sample)| sample.rss = (i as u64) << 20);
        assert_eq!(judged(&samples), Ok(()));
    }

    #[test]
    fn too_few_samples_are_no_verdict() {
        assert!(stretches(&series(9, 0)).is_none());
    }

    #[test]
    fn a_process_can_be_sampled() {
        let sample = sample(std::process::id()).expect("Linux has /proc");
        assert!(sample.rss > 1 << 20 && sample.threads >= 1 && sample.mappings > 5, "{sample:?}");
    }

    #[test]
    fn numbers_are_read_from_the_object() {
        let json = r#"{"signals_torn":0,"signals": 120, "wall_ms":12.75}"#;
        assert_eq!(number(json, "signals"), Some(120));
        assert_eq!(number(json, "signals_torn"), Some(0));
        assert_eq!(number(json, "wall_ms"), Some(12));
        assert_eq!(number(json, "words"), None);
    }

    #[test]
    fn options_are_checked() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let options = parse(&words("--minutes 0.5 --mode settled --threads 3")).expect("valid");
        assert_eq!((options.minutes, options.threads, options.modes.len()), (0.5, 3, 1));
        for wrong in [
            "",
            "--minutes",
            "--minutes 0",
            "--minutes ten",
            "--minutes 1 --mode tokio",
            "--minutes 1 --threads 0",
        ] {
            assert!(parse(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
