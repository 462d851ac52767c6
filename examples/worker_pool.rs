//! A pool of workers that looks for a needle, and is stopped once it is found.
//!
//! ```text
//! $ cargo run --release --example worker_pool
//! found: 613 * 991 = 607483; 4 of 4 workers stopped
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use gosched::cancel::Token;
use gosched::{Mode, chan, run, scope};

const WORKERS: usize = 4;
const PRODUCT: u64 = 607_483;

fn divides(candidate: u64) -> bool {
    PRODUCT.is_multiple_of(candidate)
}

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let (factor, stopped) = run(mode, || {
        let (jobs_tx, jobs) = chan::bounded::<u64>(16);
        let (found_tx, found) = chan::bounded(1);
        let token = Token::new();
        scope(|s| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|_| {
                    let (token, jobs, found) = (token.clone(), jobs.clone(), found_tx.clone());
                    // A worker does not end by itself: it is cancelled in its wait for the next
                    // job.
                    s.go(move || {
                        token.run(|| {
                            loop {
                                let candidate = jobs.recv().expect("there is always another one");
                                if divides(candidate) {
                                    // A second finding is one too many.
                                    let _first_or_not = found.try_send(candidate);
                                }
                            }
                        })
                    })
                })
                .collect();
            let producer = {
                // Borrowed, so the channel is not disconnected before all have stopped.
                let (token, jobs_tx) = (token.clone(), &jobs_tx);
                s.go(move || {
                    token.run(|| {
                        for candidate in 2.. {
                            jobs_tx.send(candidate).expect("the workers are there");
                        }
                    })
                })
            };
            let factor = found.recv().expect("the number is no prime");
            token.cancel();
            assert!(producer.join().expect("it does not panic").is_err(), "cancelled");
            let ends = workers.into_iter().map(|worker| worker.join().expect("it does not panic"));
            let ends: Vec<Result<(), _>> = ends.collect();
            (factor, ends.iter().filter(|end| end.is_err()).count())
        })
    });
    println!(
        "found: {factor} * {} = {PRODUCT}; {stopped} of {WORKERS} workers stopped",
        PRODUCT / factor
    );
    assert_eq!((factor, stopped), (613, WORKERS));
}
