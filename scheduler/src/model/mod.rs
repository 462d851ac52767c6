//! Loom models. Each model runs a few threads through one protocol and states what must hold. Loom
//! tries every order, or every order with a bounded number of preemptions, on its memory model.
//! Each model is shown to be able to fail: for a named mistake in the protocol's code there is a
//! test that the model finds it.
//!
//! ```text
//! RUSTFLAGS="--cfg gosched_loom --cfg gosched_mutants" \
//!     cargo test -p gosched-scheduler --lib --release model:: -- --test-threads=1
//! ```
//!
//! Two properties of loom matter here. It reads stale values and follows release sequences and
//! `SeqCst` fences, but not `SeqCst` accesses. And it chooses orders by the *last* access to each
//! atomic: a load just before an exchange, on the same thread, hides from loom that other threads'
//! earlier loads could have come later. A protocol that guesses first and exchanges at once is
//! cheaper, and explored better; the mistakes below show what is explored.
//!
//! A new model is a file here with a `fn` per scenario and one [`models!`] table of its tests.

mod agents;
mod alarm;
mod broadcast;
mod chan;
mod deprived;
mod dispatch;
mod executor;
mod future;
mod guarded;
mod handover;
mod idle;
mod idle_workers;
mod inbox;
mod inner_wait;
mod join;
mod newcomer;
mod notify;
mod observers;
mod pair_arc;
mod parker;
mod pending;
mod polled;
mod polled_sync;
mod progress;
mod reserved;
mod revocable;
mod run_next;
mod search;
mod select;
mod select_polled;
mod set_procs;
mod split_wait;
mod sync;
mod sysmon_note;
mod timekeeper;
mod timers;
mod token;
mod upgrade;
mod watch;

use std::panic::{self, AssertUnwindSafe};

use gosched_runtime_sys::sync::primitive::{loom, switch_on};

/// Runs a scenario in every order, or with at most that many `preemptions` where there are too many
/// orders.
fn explore(preemptions: Option<usize>, scenario: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(scenario);
}

/// Asserts that the scenario fails in some order when the named mistake is made.
fn assert_caught(mistake: &'static str, preemptions: Option<usize>, scenario: fn()) {
    switch_on(mistake);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| explore(preemptions, scenario)));
    switch_on("");
    assert!(outcome.is_err(), "no order shows the mistake {mistake}");
}

/// Makes the tests of a file: `holds name = scenario;` and `catches name = "mistake" in scenario;`,
/// each with an optional `within N preemptions`.
macro_rules! models {
    (@bound) => { None };
    (@bound $n:literal) => { Some($n) };
    (
        $(holds $holds:ident = $scenario:ident $(within $n:literal preemptions)?;)*
        $(
            catches $catches:ident = $mistake:literal
                in $broken:ident $(within $m:literal preemptions)?;
        )*
    ) => {
        $(#[test] fn $holds() { super::explore(models!(@bound $($n)?), $scenario); })*
        $(
            #[test]
            fn $catches() { super::assert_caught($mistake, models!(@bound $($m)?), $broken); }
        )*
    };
}
use models;
