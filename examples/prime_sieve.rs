//! The prime sieve of Go's documentation: a chain of goroutines. Each passes on the numbers that
//! its prime does not divide.
//!
//! ```text
//! $ cargo run --release --example prime_sieve
//! the first 500 primes end with 3571 and sum to 824693
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use gosched::chan::{Receiver, bounded};
use gosched::{Mode, go, run};

const PRIMES: usize = 500;

/// Sends 2, 3, 4 and so on, until there is no receiver any more.
fn naturals() -> Receiver<u64> {
    let (tx, rx) = bounded(0);
    drop(go(move || (2..).all(|n| tx.send(n).is_ok())));
    rx
}

/// Passes on the numbers that `prime` does not divide.
fn without_multiples(of: Receiver<u64>, prime: u64) -> Receiver<u64> {
    let (tx, rx) = bounded(0);
    drop(go(move || of.iter().filter(|n| n % prime != 0).all(|n| tx.send(n).is_ok())));
    rx
}

fn primes(n: usize) -> Vec<u64> {
    let mut candidates = naturals();
    let mut primes = Vec::with_capacity(n);
    while primes.len() < n {
        let prime = candidates.recv().expect("there is always another one");
        primes.push(prime);
        candidates = without_multiples(candidates, prime);
    }
    primes
}

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let primes = run(mode, || primes(PRIMES));
    let (last, sum) = (primes[PRIMES - 1], primes.iter().sum::<u64>());
    println!("the first {PRIMES} primes end with {last} and sum to {sum}");
    assert_eq!((last, sum), (3571, 824_693));
}
