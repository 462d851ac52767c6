//! The cost of the pieces, each alone, with criterion. `cargo bench -p gosched-micro [-- FILTER]`
//!
//! `benches/operations.rs` measures operations as a program meets them; this program measures the
//! pieces that they are made of. If a change makes a yield slower, the first shows that, and the
//! second shows which piece it was. The scheduler's data structures are compiled in from their own
//! source, because they are no public interface.

// A library, although only its one program uses it: a benchmark is compiled as a test is, and these
// files have tests inside.
#[path = "../../../scheduler/src/ds/mod.rs"]
#[expect(dead_code, reason = "a measurement needs a part of what the scheduler does")]
mod ds;

mod bridge;
mod goroutines;
mod stacks;
mod structures;

use std::time::Duration;

use criterion::Criterion;

/// Measures all pieces, or those that the command line names.
pub fn measure() {
    // Short: the pieces take nanoseconds, and the machine causes their scatter.
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
