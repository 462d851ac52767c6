//! C threads that call into gosched.

use gosched::Runtime;
use gosched::callback::Bridge;
use gosched::chan::{self, Receiver, Sender};
use std::hint::black_box;
use std::time::Duration;

use super::ways;
use crate::peer::callbacks::Door;
use crate::peer::measure::{Figures, compute};

/// A runtime and a bridge to it. Each thread stays bound until it ends.
pub(crate) struct Entrance {
    runtime: Runtime,
    bridge: Bridge,
}

impl Entrance {
    pub(crate) fn new(runtime: Runtime) -> Self {
        let bridge = Bridge::new(&runtime);
        Self { runtime, bridge }
    }
}

impl Door for Entrance {
    /// The channel for the request, and the channel for the answer.
    type Line = (Sender<u64>, Receiver<u64>);
    const ENTERS: bool = true;

    fn enter(&self) {
        self.bridge.enter(|| black_box(())).expect("it is open");
    }

    fn line(&self) -> Self::Line {
        let (ask, asked) = chan::bounded(0);
        let (answer, answered) = chan::bounded(0);
        self.runtime.handle().go(move || {
            for value in asked {
                answer.send(value).expect("somebody waits");
            }
        });
        (ask, answered)
    }

    fn round_trip(&self, (ask, answered): &Self::Line) {
        let answer = self.bridge.enter(|| {
            ask.send(7).expect("somebody answers");
            answered.recv().expect("an answer")
        });
        assert_eq!(answer.expect("it is open"), 7);
    }

    fn hog(&self, hogs: usize) {
        (0..hogs).for_each(|_| drop(self.runtime.handle().go(|| compute(Duration::MAX))));
    }

    fn more(&self, workload: &str) -> Option<Figures> {
        ways::run(&self.runtime, &self.bridge, workload)
    }
}
