//! Goroutines that greet, and one that waits for them all.
//!
//! ```text
//! $ cargo run --release --example hello
//! hello from goroutine 0
//! hello from goroutine 1
//! hello from goroutine 2
//! together they counted to 6
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use gosched::{Mode, chan, go};

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let total: u32 = gosched::run(mode, || {
        let (greetings, greeted) = chan::bounded(1);
        let goroutines: Vec<_> = (0..3_u32)
            .map(|number| {
                let greetings = greetings.clone();
                go(move || {
                    greetings
                        .send(format!("hello from goroutine {number}"))
                        .expect("somebody listens");
                    number + 1
                })
            })
            .collect();
        drop(greetings);

        let mut lines: Vec<String> = greeted.iter().collect();
        lines.sort();
        lines.iter().for_each(|line| println!("{line}"));
        goroutines.into_iter().map(|goroutine| goroutine.join().expect("it does not panic")).sum()
    });
    println!("together they counted to {total}");
}
