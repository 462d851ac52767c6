//! Two goroutines that wait for each other: the program says so, and ends as one that panics.
//!
//! ```text
//! $ cargo run --release --example deadlock
//! thread 'main' panicked at ...
//! gosched: deadlock, all goroutines wait
//! goroutine 1 waits for a lock, a permit or a notice, made at examples/deadlock.rs:27:5
//! goroutine 2 waits for a lock, a permit or a notice, made at examples/deadlock.rs:30:21
//! ```
//!
//! Its exit code is 101.
//!
//! # Safety
//!
//! No goroutine waits in an initialiser, in a destructor of a thread-local, or in a closure that
//! other people's code calls.
#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use gosched::sync::{Barrier, Mutex};
use gosched::{Mode, go, run};

static FORKS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];

fn main() {
    // SAFETY: see the file's head.
    let mode = unsafe { Mode::settled() };
    run(mode, || {
        let both_have_one = std::sync::Arc::new(Barrier::new(2));
        let theirs = both_have_one.clone();
        let other = go(move || {
            let _left = FORKS[0].lock();
            theirs.wait();
            let _right = FORKS[1].lock();
        });
        let _right = FORKS[1].lock();
        both_have_one.wait();
        let _left = FORKS[0].lock();
        other.join().expect("no panic");
    });
}
