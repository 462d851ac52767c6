//! C threads call into goroutines, under a storm of signals.
//!
//! A small C library (`c-side/c/lines.c`) makes threads, splits a text into lines and calls a
//! function pointer for each line. The function ([`count::on_line`]) sends the line over a channel
//! to a pool of goroutines that count words. It waits for the answer and returns the running total
//! to C. C counts the same text by itself and knows the right result.
//!
//! With `--storm` every callback thread gets signals as fast as one thread can send them. The
//! handler looks at what it interrupted: a whole goroutine with a whole signal stack, or nothing of
//! gosched. Anything else is torn, and fails.
//!
//! ```text
//! cargo run --release --example callbacks -- --storm --threads 8 --binding per-call
//! ```

mod args;
mod count;
mod latency;
#[cfg(gosched_mutants)]
mod mutants;
mod report;
mod run;
mod storm;
mod watchdog;

use std::process::ExitCode;
use std::{env, fs};

use args::{Args, Command};
use watchdog::Watchdog;

fn main() -> ExitCode {
    let args = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::Help) => {
            print!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("callbacks: {error}\nTry --help.");
            return ExitCode::from(2);
        }
    };
    #[cfg(gosched_mutants)]
    mutants::switch_on();
    match run_and_print(&args) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(errors) => fail(&errors),
        Err(error) => fail(&[error]),
    }
}

fn fail(errors: &[String]) -> ExitCode {
    for error in errors {
        eprintln!("callbacks: {error}");
    }
    ExitCode::FAILURE
}

/// Returns what is wrong with the result. The error says why there is no result.
fn run_and_print(args: &Args) -> Result<Vec<String>, String> {
    let text = fs::read(&args.file)
        .map_err(|error| format!("cannot read {}: {error}", args.file.display()))?;
    let watchdog =
        Watchdog::start(args.watchdog).map_err(|error| format!("no watchdog: {error}"))?;
    let report = run::run(args, &text)?;
    drop(watchdog);
    if args.json {
        println!("{}", report.json(args));
    } else {
        print!("{}", report.table(args));
    }
    Ok(report.problems())
}
