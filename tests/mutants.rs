//! The storm can fail: the main job catches orders known to be wrong, compiled in by `--cfg
//! gosched_mutants`.
//!
//! ```text
//! export RUSTFLAGS='--cfg gosched_mutants' CARGO_TARGET_DIR=target/mutants
//! cargo build --release --example callbacks && cargo test --release --test mutants
//! ```

#![cfg(gosched_mutants)]

mod callbacks_example;

use std::sync::{Mutex, PoisonError};

use callbacks_example::Run;

/// One at a time: each needs two CPUs for itself.
static STORM: Mutex<()> = Mutex::new(());

/// Binds per call, so that every callback goes both ways. Ends at the first tear, or when `signals`
/// have come.
fn storm(signals: &str, watchdog: &str, variables: &[(&str, &str)]) -> Run {
    let _alone = STORM.lock().unwrap_or_else(PoisonError::into_inner);
    let args =
        ["--storm", "--threads", "8", "--binding", "per-call", "--json", "--signals", signals];
    Run::new(&[&args[..], &["--watchdog", watchdog]].concat(), variables)
}

/// More signals than a storm sends in the time that a mistake takes to show.
const UNTIL_CAUGHT: &str = "20000000";
const HANDLER_ENTERS: (&str, &str) = ("GOSCHED_HANDLER_ENTERS", "1");

/// 2015, before the fix: the thread is a goroutine with its signals open and without a signal
/// stack.
#[test]
fn a_signal_stack_that_comes_after_unmasking_is_torn() {
    let run = storm(UNTIL_CAUGHT, "60", &[("GOSCHED_MUTANT", "need_m.stack_after_unmask")]);
    assert_eq!(run.status(), Some(1), "{run}");
    assert!(run.number("signals_torn") > 0, "{run}");
    assert_eq!(run.number("words"), run.number("expected_words"), "{run}");
    assert!(run.complaint().contains("torn"), "{run}");
}

/// The same on the way out: the thread has given its signal stack up, its signals are open, and it
/// is a goroutine still.
#[test]
fn a_goroutine_that_outlives_its_signal_stack_is_torn() {
    let run = storm(UNTIL_CAUGHT, "60", &[("GOSCHED_MUTANT", "drop_m.unmask_before_retract")]);
    assert_eq!(run.status(), Some(1), "{run}");
    assert!(run.number("signals_torn") > 0, "{run}");
    assert!(run.complaint().contains("torn"), "{run}");
}

/// A handler that needs an M itself. In 2015 it waited for the thread that it interrupted while
/// that thread took one (golang/go#42207); here no thread waits for another to take or to give an
/// M.
#[test]
fn a_handler_that_enters_gets_through() {
    let run = storm("20000", "60", &[HANDLER_ENTERS]);
    assert_eq!(run.status(), Some(0), "{run}");
    assert_eq!(run.json("binding"), "per-call");
}
