//! Two goroutines and a ball: the cost of a round trip over two unbuffered channels in each mode.
//!
//! ```text
//! $ cargo run --release --example ping_pong
//! threads    100000 round trips     2982 ns each
//! settled    100000 round trips      343 ns each
//! migratory  100000 round trips      629 ns each
//! ```
//!
//! # Safety
//!
//! The promises of the modes: the goroutines suspend in `send` and `recv` only, and hold nothing
//! across them.

#![expect(unsafe_code, reason = "promises what the modes ask for")]

use std::time::{Duration, Instant};

use gosched::{Mode, chan, go};

const ROUND_TRIPS: u32 = 100_000;

fn rally() -> Duration {
    let (ping, pinged) = chan::bounded(0);
    let (pong, ponged) = chan::bounded(0);
    let partner = go(move || {
        for ball in pinged.iter() {
            if pong.send(ball + 1).is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    let mut ball = 0_u32;
    for _ in 0..ROUND_TRIPS {
        ping.send(ball).expect("the partner plays");
        ball = ponged.recv().expect("the partner plays");
    }
    let took = started.elapsed();
    drop(ping);
    partner.join().expect("the partner does not panic");
    assert_eq!(ball, ROUND_TRIPS);
    took
}

fn main() {
    // SAFETY: as the head of this file says.
    let settled = unsafe { Mode::settled() };
    // SAFETY: as the head of this file says.
    let migratory = unsafe { Mode::migratory() };
    for (name, mode) in
        [("threads", Mode::threads()), ("settled", settled), ("migratory", migratory)]
    {
        let took = gosched::run(mode, rally);
        println!(
            "{name:10} {ROUND_TRIPS} round trips {:>8} ns each",
            (took / ROUND_TRIPS).as_nanos()
        );
    }
}
