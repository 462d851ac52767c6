//! A tokio program and goroutines that talk both ways. Each side waits for the other as it waits
//! for its own.
//!
//! ```text
//! $ cargo run --release --example tokio_both_ways
//! tokio awaited 100 goroutines: 328350
//! goroutines asked tokio 100 times: 5050
//! a goroutine took 100 values that tokio made, by way of a channel of its own: 4950
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use gosched::future::block_on;
use gosched::{Mode, Runtime, chan};
use tokio::sync::{mpsc, oneshot};

/// A question to the async side, with the way back.
type Question = (u64, oneshot::Sender<u64>);

fn main() -> std::io::Result<()> {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let goroutines = Runtime::builder(mode).build()?;
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let handle = goroutines.handle();

    // The async side awaits goroutines: a `JoinHandle` is a future.
    let awaited = tokio.block_on(async {
        let squares: Vec<_> = (0..100_u64).map(|n| handle.go(move || n * n)).collect();
        let mut sum = 0;
        for square in squares {
            sum += square.await.expect("it does not panic");
        }
        sum
    });
    println!("tokio awaited 100 goroutines: {awaited}");

    // Goroutines ask the async side. `block_on` parks a goroutine where an async channel makes it
    // wait.
    let (ask, mut asked) = mpsc::channel::<Question>(4);
    let answers = tokio.spawn(async move {
        while let Some((question, back)) = asked.recv().await {
            let _nobody_waits_any_more = back.send(question + 1);
        }
    });
    let askers: Vec<_> = (0..100_u64)
        .map(|n| (n, ask.clone()))
        .map(|(n, ask)| {
            handle.go(move || {
                let (back, answer) = oneshot::channel();
                block_on(ask.send((n, back))).expect("somebody listens");
                block_on(answer).expect("somebody answers")
            })
        })
        .collect();
    drop(ask);
    let sum: u64 = askers.into_iter().map(|asker| asker.join().expect("it does not panic")).sum();
    tokio.block_on(answers).expect("it does not panic");
    println!("goroutines asked tokio 100 times: {sum}");

    // The async side feeds a channel of the goroutines. The channel has no bound, so a send never
    // waits.
    let (feed, fed) = chan::unbounded();
    let total = handle.go(move || fed.iter().sum::<u64>());
    tokio.spawn(async move {
        for n in 0..100 {
            feed.send(n).expect("the goroutine receives");
            tokio::task::yield_now().await;
        }
    });
    let total = tokio.block_on(total).expect("it does not panic");
    println!(
        "a goroutine took 100 values that tokio made, by way of a channel of its own: {total}"
    );
    Ok(())
}
