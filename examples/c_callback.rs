//! The smallest callback: a thread that C made calls a function, and a goroutine answers it.
//!
//! ```text
//! $ cargo run --release --example c_callback
//! C was told 0
//! C was told 1
//! C was told 4
//! C was told 9
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`. The C side is wrapped in `c_side`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::time::Duration;

use c_side::thread::{Plan, run};
use gosched::callback::{Binding, Bridge};
use gosched::{Mode, Runtime, chan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the one goroutine suspends in `recv` and `send` only.
    let runtime = Runtime::builder(unsafe { Mode::settled() }).build()?;
    let bridge = Bridge::new(&runtime).with_binding(Binding::PerCall);

    let (questions, asked) = chan::bounded::<i64>(1);
    let (answers, answered) = chan::bounded(1);
    let squarer = runtime
        .handle()
        .go(move || asked.iter().try_for_each(|number| answers.send(number * number)));

    // `run` makes a thread with C's pthread_create, which calls the closure four times.
    let report = run(Plan { calls: 4, ..Plan::default() }, |index| {
        // Inside `enter` this thread is a goroutine: it may park, spawn, use channels.
        let answer = bridge.enter(|| {
            questions.send(index as i64).ok()?;
            answered.recv().ok()
        });
        // C gets this if gosched is not there, or the answer did not come.
        answer.ok().flatten().unwrap_or(-1)
    })?;
    for call in &report.calls {
        println!("C was told {}", call.returned);
        // The mask, signal stack and errno of the C thread are as they were.
        assert_eq!(call.before, call.after);
    }

    drop(questions);
    squarer.join().map_err(|_| "the goroutine panicked")??;
    runtime.shutdown(Duration::from_secs(5))?;
    Ok(())
}
