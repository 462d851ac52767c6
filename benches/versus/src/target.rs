//! The targets of gosched: a bound for each row. Most bounds are a part of what a peer takes in the
//! same run. What counts is the worse of the default columns.

use crate::measured::Measured;

/// The reference of a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    /// So many times the figure of the best peer.
    Best(f64),
    /// So many times the figure of that peer.
    Peer(f64, &'static str),
    /// So much, in the unit of the figure.
    Plain(f64),
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) figure: &'static str,
    bound: Bound,
}

/// Whether the target was met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) column: &'static str,
    pub(crate) ours: f64,
    pub(crate) at_most: f64,
    /// The peer whose figure that comes from, and the figure.
    pub(crate) theirs: Option<(&'static str, f64)>,
}

impl Verdict {
    pub(crate) fn met(&self) -> bool {
        self.ours <= self.at_most
    }
}

const fn row(
    name: &'static str,
    workload: &'static str,
    figure: &'static str,
    bound: Bound,
) -> Target {
    Target { name, workload, figure, bound }
}

/// In the order in which the workloads run.
pub(crate) const TARGETS: &[Target] = &[
    row("yield, 1 goroutine", "yield1", "ns_per_op", Bound::Best(0.2)),
    row("yield, 1000 goroutines", "yield1000", "ns_per_op", Bound::Best(1.1)),
    row("spawn + join, 100,000 alive", "spawn100k", "ns_per_op", Bound::Peer(0.6, "go")),
    row("spawn + join, 1000 alive", "spawn1000", "ns_per_op", Bound::Peer(0.6, "go")),
    row("fork-join tree", "tree16", "ns_per_op", Bound::Peer(0.3, "tokio")),
    row("ping-pong", "pingpong", "ns_per_op", Bound::Peer(0.6, "go")),
    row("4x4 over capacity 128", "prodcons", "ns_per_op", Bound::Peer(0.9, "go")),
    row("mutex, contended", "mutex", "ns_per_op", Bound::Peer(0.9, "go")),
    row("select of 4", "select", "ns_per_op", Bound::Best(0.9)),
    row("fan-out", "fanout", "ns_per_op", Bound::Peer(0.6, "go")),
    row("pipeline of 8 stages", "pipeline", "ns_per_op", Bound::Peer(0.8, "go")),
    row("request and reply, 64 and 4", "reqreply", "ns_per_op", Bound::Peer(0.8, "go")),
    row("ring of 503", "ring", "ns_per_op", Bound::Peer(0.8, "go")),
    row("broadcast to 1,000", "broadcast", "ns_per_op", Bound::Peer(0.8, "go")),
    row("parallel sum, of one worker's", "parallel_sum", "part_of_one", Bound::Plain(1.0 / 1.8)),
    row("pool of workers", "pool", "ns_per_op", Bound::Peer(1.2, "go")),
    row("mix of talkers and hogs", "mix", "ns_per_op", Bound::Peer(0.8, "go")),
    row("every 1 ms, processor time", "light1ms", "cpu_ms_per_s", Bound::Best(0.9)),
    row("every 1 ms, latency", "light1ms", "p50_us", Bound::Best(0.7)),
    row("every 200 us, processor time", "light200us", "cpu_ms_per_s", Bound::Best(0.9)),
    row("every 200 us, latency", "light200us", "p50_us", Bound::Best(0.7)),
    row("every 100 us, processor time", "light100us", "cpu_ms_per_s", Bound::Best(0.9)),
    row("every 100 us, latency", "light100us", "p50_us", Bound::Best(0.7)),
    row("4 that sleep, processor time", "light_sleep", "cpu_ms_per_s", Bound::Best(0.9)),
    row("4 that sleep, latency", "light_sleep", "p50_us", Bound::Best(0.7)),
    row("memory of 100,000", "parked100k", "bytes_per_g", Bound::Plain(4_700.0)),
    row("memory of 1,000,000", "parked1m", "bytes_per_g", Bound::Plain(4_700.0)),
    row("timers, processor time", "timers", "cpu_ms", Bound::Peer(1.0, "go")),
    row("timers, lateness p99", "timers", "late_p99_ms", Bound::Peer(1.0, "go")),
    row("blocking, wall", "blocking", "wall_ms", Bound::Peer(1.2, "go")),
    row("blocking, ticker's gap", "blocking", "gap_ms", Bound::Plain(5.0)),
    row("a hog on each core, gap", "hog", "gap_ms", Bound::Peer(0.6, "go")),
    row("200 hogs, gap", "hog200", "gap_ms", Bound::Peer(1.2, "go")),
    row("callback, steady", "callback_steady", "ns_per_op", Bound::Peer(0.5, "go")),
    row("callback, first, extra", "callback_first", "ns_extra", Bound::Peer(0.6, "go")),
    row("callback, hogged, p99", "callback_hogged", "p99_us", Bound::Peer(0.01, "go")),
    row("callback + channel, p50", "callback_chan1", "p50_us", Bound::Best(0.6)),
    row("the same, 4 threads", "callback_chan4", "us_per_call", Bound::Best(0.6)),
    row("request and reply from C, p50", "callback_call", "p50_us", Bound::Peer(0.6, "go")),
    row("a closure over a callback", "callback_closure", "ns_over_hand", Bound::Plain(2.0)),
    row("post to a mailbox", "callback_post", "ns_per_op", Bound::Plain(15.0)),
    row("memory of a bound thread", "thread_memory", "bytes_per_thread", Bound::Peer(0.6, "go")),
];

impl Target {
    /// Returns the bound in words.
    pub(crate) fn says(&self) -> String {
        match self.bound {
            Bound::Best(times) => format!("{times} x best"),
            Bound::Peer(times, peer) => format!("{times} x {peer}"),
            Bound::Plain(at_most) => crate::statistics::shown(at_most),
        }
    }

    /// Returns `None` if the figure of gosched or the reference was not measured.
    pub(crate) fn verdict(&self, measured: &Measured) -> Option<Verdict> {
        let (column, ours) = measured.worse_default(self.workload, self.figure)?;
        let theirs = match self.bound {
            Bound::Best(_) => Some(measured.best_peer(self.workload, self.figure)?),
            Bound::Peer(_, peer) => {
                Some((peer, measured.of(self.workload, peer, self.figure)?.median))
            }
            Bound::Plain(_) => None,
        };
        let at_most = match (self.bound, theirs) {
            (Bound::Best(times) | Bound::Peer(times, _), Some((_, value))) => times * value,
            (Bound::Plain(at_most), _) => at_most,
            (_, None) => return None,
        };
        Some(Verdict { column, ours, at_most, theirs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::WORKLOADS;

    #[test]
    fn each_target_is_measured() {
        for target in TARGETS {
            let workload = WORKLOADS.iter().find(|workload| workload.name == target.workload);
            let workload = workload.unwrap_or_else(|| panic!("no workload {}", target.workload));
            assert!(
                workload.figures.iter().any(|figure| figure.name == target.figure),
                "{}",
                target.name
            );
        }
    }

    #[test]
    fn the_worse_default_column_is_held_against_the_bound() {
        let target = row("r", "w", "f", Bound::Peer(0.5, "go"));
        let mut measured = Measured::default();
        for (column, value) in [("together", 1.0), ("apart", 90.0), ("settled", 20.0)] {
            measured.note("w", column, "f", value);
        }
        measured.note("w", "go", "f", 40.0);
        assert_eq!(target.verdict(&measured), None, "migratory was not measured");
        measured.note("w", "migratory", "f", 15.0);
        let verdict = target.verdict(&measured).expect("all is there");
        assert_eq!(
            verdict,
            Verdict { column: "settled", ours: 20.0, at_most: 20.0, theirs: Some(("go", 40.0)) }
        );
        assert!(verdict.met());
        measured.note("w", "boost", "f", 10.0);
        let best =
            Target { bound: Bound::Best(0.5), ..target }.verdict(&measured).expect("all is there");
        assert_eq!((best.at_most, best.met()), (5.0, false));
        let plain = Target { bound: Bound::Plain(25.0), ..target }
            .verdict(&measured)
            .expect("all is there");
        assert!(plain.met() && plain.theirs.is_none());
    }
}
