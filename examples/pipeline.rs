//! A pipeline of three stages, in which any stage may fail: the first error in time ends the rest,
//! and `?` returns it.
//!
//! ```text
//! $ cargo run --release --example pipeline
//! 2 pumps read: cellar 17, garden 9
//! line 3: "abc" is no number: invalid digit found in string
//! garden: more than 50 liters in an hour
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::collections::BTreeMap;
use std::error::Error;

use gosched::{Mode, chan, run, scope_try};

/// What a stage fails with: anything that `?` takes.
type Failure = Box<dyn Error + Send + Sync>;

/// A line of the log: which pump, and how many liters.
struct Reading {
    pump: String,
    liters: u32,
}

/// The workers of the middle stage.
const WORKERS: usize = 3;

fn parse(number: usize, line: &str) -> Result<Reading, Failure> {
    let (pump, liters) =
        line.split_once(' ').ok_or_else(|| format!("line {number}: no number in {line:?}"))?;
    let liters = liters
        .parse()
        .map_err(|error| format!("line {number}: {liters:?} is no number: {error}"))?;
    Ok(Reading { pump: pump.to_owned(), liters })
}

/// Sums what each pump has moved. Lines go to the workers, readings come to the last stage. The
/// stages borrow the text, and have all ended when this returns, however it returns.
fn summed(log: &str) -> Result<BTreeMap<String, u32>, Failure> {
    scope_try(|s| {
        let (lines_tx, lines) = chan::bounded::<(usize, &str)>(4);
        let (readings_tx, readings) = chan::bounded::<Reading>(4);
        s.go(move || {
            // A stage whose receivers are gone is at its end: they say why.
            let _sent = log.lines().enumerate().try_for_each(|line| lines_tx.send(line));
            Ok::<(), Failure>(())
        });
        for _ in 0..WORKERS {
            let (lines, readings) = (lines.clone(), readings_tx.clone());
            s.go(move || {
                for (at, line) in &lines {
                    if readings.send(parse(at + 1, line)?).is_err() {
                        break;
                    }
                }
                Ok(())
            });
        }
        drop((lines, readings_tx));
        let mut sums = BTreeMap::new();
        for reading in readings {
            let sum = sums.entry(reading.pump).or_insert(0);
            *sum += reading.liters;
            if reading.liters > 50 {
                let pump = sums.into_iter().find(|(_, sum)| *sum > 50).unwrap_or_default().0;
                return Err(format!("{pump}: more than 50 liters in an hour").into());
            }
        }
        Ok(sums)
    })
}

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    run(mode, || {
        for log in [
            "cellar 8\ngarden 4\ncellar 9\ngarden 5\n",
            "cellar 8\ngarden 4\ncellar abc\ngarden 5\n",
            "cellar 8\ngarden 51\n",
        ] {
            match summed(log) {
                Ok(sums) => {
                    let read: Vec<_> =
                        sums.iter().map(|(pump, liters)| format!("{pump} {liters}")).collect();
                    println!("{} pumps read: {}", sums.len(), read.join(", "));
                }
                Err(failure) => println!("{failure}"),
            }
        }
    });
}
