//! A hundred thousand goroutines in a row. Each takes a number from its right, adds one, and passes
//! it to its left.
//!
//! ```text
//! $ cargo run --release --example daisy_chain
//! 100000 goroutines whispered: 100001
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use gosched::{Mode, chan, go, run};

const LINKS: u64 = 100_000;

fn whisper(links: u64) -> u64 {
    let (leftmost_tx, leftmost) = chan::bounded(0);
    let mut left = leftmost_tx;
    for _ in 0..links {
        let (right, from_right) = chan::bounded::<u64>(0);
        drop(go(move || {
            // Both neighbours exist until the whisper has come through.
            let heard = from_right.recv().expect("the right neighbour whispers");
            left.send(heard + 1).expect("the left neighbour listens");
        }));
        left = right;
    }
    left.send(1).expect("the rightmost listens");
    leftmost.recv().expect("it comes through")
}

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let heard = run(mode, || whisper(LINKS));
    println!("{LINKS} goroutines whispered: {heard}");
    assert_eq!(heard, LINKS + 1);
}
