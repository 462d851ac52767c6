//! The targets of gosched: a bound for each row. Most bounds are a part of what a peer takes in the
//! same run.

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
    /// The best of these counts.
    columns: &'static [&'static str],
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

const FREE: &[&str] = &["settled", "migratory"];
const PLACED: &[&str] = &["together", "apart", "migratory"];

const fn row(
    name: &'static str,
    workload: &'static str,
    figure: &'static str,
    columns: &'static [&'static str],
    bound: Bound,
) -> Target {
    Target { name, workload, figure, columns, bound }
}

/// In the order in which the workloads run.
pub(crate) const TARGETS: &[Target] = &[
    row("yield, 1 goroutine", "yield1", "ns_per_op", FREE, Bound::Best(0.6)),
    row("yield, 1000 goroutines", "yield1000", "ns_per_op", PLACED, Bound::Best(0.7)),
    row("spawn + join, 100,000 alive", "spawn100k", "ns_per_op", FREE, Bound::Peer(0.7, "go")),
    row("spawn + join, 1000 alive", "spawn1000", "ns_per_op", FREE, Bound::Peer(0.5, "go")),
    row("fork-join tree", "tree16", "ns_per_op", FREE, Bound::Peer(0.35, "tokio")),
    row("ping-pong", "pingpong", "ns_per_op", &["together", "migratory"], Bound::Peer(0.3, "go")),
    row("ping-pong, apart", "pingpong", "ns_per_op", &["apart"], Bound::Plain(1_000.0)),
    row("4x4 over capacity 128", "prodcons", "ns_per_op", PLACED, Bound::Peer(0.7, "go")),
    row("mutex, contended", "mutex", "ns_per_op", PLACED, Bound::Peer(0.8, "go")),
    row("memory of 1,000,000", "parked1m", "bytes_per_g", FREE, Bound::Plain(4_700.0)),
    row("timers, processor time", "timers", "cpu_ms", FREE, Bound::Peer(1.0, "smol")),
    row("timers, lateness p99", "timers", "late_p99_ms", FREE, Bound::Peer(1.0, "smol")),
    row("blocking, wall", "blocking", "wall_ms", FREE, Bound::Peer(1.3, "go")),
    row("blocking, ticker's gap", "blocking", "gap_ms", FREE, Bound::Plain(5.0)),
    row("a hog on each core, gap", "hog", "gap_ms", FREE, Bound::Peer(0.6, "go")),
    row("200 hogs, gap", "hog200", "gap_ms", FREE, Bound::Peer(1.2, "go")),
    row("callback, steady", "callback_steady", "ns_per_op", FREE, Bound::Peer(0.4, "go")),
    row("callback, first, extra", "callback_first", "ns_extra", FREE, Bound::Peer(0.6, "go")),
    row("callback, hogged, p99", "callback_hogged", "p99_us", FREE, Bound::Peer(0.01, "go")),
    row("callback + channel, p50", "callback_chan1", "p50_us", FREE, Bound::Best(0.6)),
    row("the same, 4 threads", "callback_chan4", "us_per_call", FREE, Bound::Best(0.6)),
    row(
        "memory of a bound thread",
        "thread_memory",
        "bytes_per_thread",
        FREE,
        Bound::Peer(0.6, "go"),
    ),
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
        let (column, ours) = measured.best_of(self.columns, self.workload, self.figure)?;
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
    use crate::measured::OURS;
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
            assert!(
                target.columns.iter().all(|column| OURS.contains(column) && workload.wants(column)),
                "{}",
                target.name
            );
        }
    }

    #[test]
    fn the_best_of_our_columns_is_held_against_the_bound() {
        let target = row("r", "w", "f", PLACED, Bound::Peer(0.5, "go"));
        let mut measured = Measured::default();
        measured.note("w", "together", "f", 30.0);
        measured.note("w", "apart", "f", 20.0);
        assert_eq!(target.verdict(&measured), None, "go was not measured");
        measured.note("w", "go", "f", 40.0);
        let verdict = target.verdict(&measured).expect("all is there");
        assert_eq!(
            verdict,
            Verdict { column: "apart", ours: 20.0, at_most: 20.0, theirs: Some(("go", 40.0)) }
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
