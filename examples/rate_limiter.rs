//! A rate limiter: a bucket of permits that a goroutine refills at a steady pace. Bursts are as
//! large as the bucket.
//!
//! ```text
//! $ cargo run --release --example rate_limiter
//! 5 requests at once, 20 more at 2ms each: never faster than the limit
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::time::{Duration, Instant};

use gosched::chan::{self, Receiver, Sender, TrySendError};
use gosched::{Mode, run, scope, time};

const BURST: usize = 5;
const REQUESTS: usize = 25;
const PACE: Duration = Duration::from_millis(2);

/// Puts a permit into the bucket at each turn, until no permits are taken any more. A full bucket
/// stays full.
fn refill(bucket: &Sender<()>, began: Instant) {
    for turn in 1.. {
        time::sleep_until(began + PACE * turn);
        if let Err(TrySendError::Disconnected(())) = bucket.try_send(()) {
            return;
        }
    }
}

/// When each request was let through.
fn requests(bucket: Receiver<()>) -> Vec<Instant> {
    let times = (0..REQUESTS).map(|_| {
        bucket.recv().expect("it is refilled");
        Instant::now()
    });
    times.collect()
}

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let (began, times) = run(mode, || {
        let (bucket, permits) = chan::bounded(BURST);
        (0..BURST).for_each(|_| bucket.try_send(()).expect("there is room"));
        let began = Instant::now();
        scope(|s| {
            s.go(|| refill(&bucket, began));
            (began, s.go(move || requests(permits)).join().expect("it does not panic"))
        })
    });
    for (n, time) in times.iter().enumerate().skip(BURST) {
        let earliest = began + PACE * (n - BURST + 1) as u32;
        assert!(*time >= earliest, "request {n} was let through early");
    }
    println!(
        "{BURST} requests at once, {} more at {PACE:?} each: never faster than the limit",
        REQUESTS - BURST
    );
}
