//! What the pieces cost, each alone, with criterion. `cargo bench -p gosched-micro [-- FILTER]`
//!
//! `benches/operations.rs` measures operations as a program meets them; this, what they are made
//! of: a change that makes a yield dearer shows there, and here which piece it was. The scheduler's
//! data structures are compiled in from its own source, since they are nobody's interface.

// A library, though only for its one program: a benchmark is compiled as a test is, and these files
// have tests inside.
#[path = "../../../scheduler/src/ds/mod.rs"]
#[expect(dead_code, reason = "a measurement needs a part of what the scheduler does")]
mod ds;

mod bridge;
mod goroutines;
mod stacks;
mod structures;

use std::time::Duration;

use criterion::Criterion;

/// Measures all, or what the command line names.
pub fn measure() {
    // Short: the pieces take nanoseconds, and what they scatter by is the machine's.
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    stacks::measure(&mut criterion);
    structures::measure(&mut criterion);
    goroutines::measure(&mut criterion);
    bridge::measure(&mut criterion);
    criterion.final_summary();
}
