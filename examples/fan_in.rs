//! Fan-in with `select!`: two talkers at their own pace, one listener, and a time limit on silence.
//!
//! ```text
//! $ cargo run --release --example fan_in
//! Ann said 20 things, Joe said 20, in their order; then it was quiet
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::time::Duration;

use gosched::chan::{self, Receiver};
use gosched::{Mode, Runtime, go, select, time};

const THINGS: u32 = 20;

/// Says its things, and then nothing more. It keeps the channel.
fn talker(pace: Duration) -> Receiver<u32> {
    let (tx, rx) = chan::bounded(0);
    drop(go(move || {
        for thing in 0..THINGS {
            time::sleep(pace);
            tx.send(thing).expect("somebody listens");
        }
        // Silence is not the end of the talk: the listener decides.
        select! {}
    }));
    rx
}

fn listen() -> [Vec<u32>; 2] {
    let ann = talker(Duration::from_micros(300));
    let joe = talker(Duration::from_micros(700));
    let mut heard = [Vec::new(), Vec::new()];
    loop {
        select! {
            recv(ann) -> thing => heard[0].push(thing.expect("she stays")),
            recv(joe) -> thing => heard[1].push(thing.expect("he stays")),
            default(Duration::from_millis(500)) => return heard,
        }
    }
}

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let runtime = Runtime::builder(mode).build().expect("a runtime");
    let heard = runtime.handle().go(listen).join().expect("nobody panics");
    assert!(heard.iter().all(|things| things.iter().copied().eq(0..THINGS)), "{heard:?}");
    println!(
        "Ann said {} things, Joe said {}, in their order; then it was quiet",
        heard[0].len(),
        heard[1].len()
    );
    // The talkers wait for ever, so they are cancelled.
    runtime.shutdown(Duration::from_secs(10)).expect("both can be cancelled");
}
