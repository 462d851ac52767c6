//! Goroutines that serve beside goroutines that compute. A C thread asks them.

use std::thread;
use std::time::Duration;

use c_side::calls::{self, Plan};
use gosched::Runtime;
use gosched::callback::Bridge;
use gosched::chan::{self, Sender};

use super::place::Column;
use crate::peer::measure::{Figures, compute, percentile};

/// A request, and the channel for its answer.
type Question = (u64, Sender<u64>);

/// Returns the number of goroutines that compute in that workload. `None` if it is another one.
pub(crate) fn hogs(workload: &str) -> Option<usize> {
    workload.strip_prefix("service")?.parse().ok()
}

/// Runs the workload. The caller is a thread outside the runtime. Nobody says which goroutines
/// serve, and which compute.
pub(crate) fn run(column: Column, hogs: usize) -> Figures {
    let runtime = column.runtime();
    let ask = servers(&runtime);
    settle();
    (0..hogs).for_each(|_| drop(runtime.handle().go(|| compute(Duration::MAX))));
    settle();
    let bridge = Bridge::new(&runtime);
    let callback = || {
        let answer = bridge.enter(|| {
            let (reply, answer) = chan::bounded(1);
            ask.send((7, reply)).expect("they serve");
            answer.recv().expect("an answer")
        });
        assert_eq!(answer.expect("it is open"), 8);
    };
    let plan = Plan {
        calls: 5_000,
        timed: true,
        max_pause: Duration::from_millis(10),
        limit: Duration::from_secs(2),
    };
    let mut took = calls::run(plan, &[callback]).expect("a thread").took_ns;
    let figures = [("p50_us", 0.5, 1e3), ("worst_ms", 1.0, 1e6)];
    // The goroutines that compute do so until the process ends.
    std::mem::forget(runtime);
    figures.map(|(name, part, unit)| (name, percentile(&mut took, part) / unit)).into()
}

/// Gives what was made the time to begin and to wait.
fn settle() {
    thread::sleep(Duration::from_millis(50));
}

fn servers(runtime: &Runtime) -> Sender<Question> {
    let (ask, asked) = chan::bounded::<Question>(16);
    for _ in 0..4 {
        let asked = asked.clone();
        drop(runtime.handle().go(move || {
            for (value, reply) in asked {
                reply.send(value + 1).expect("the answer is awaited");
            }
        }));
    }
    ask
}
