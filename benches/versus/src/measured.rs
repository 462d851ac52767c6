//! The measured values: every value of every figure of every peer.

use crate::machine::Busy;
use crate::statistics::Summary;
use crate::workload::Figure;

/// All peers, in the order of the tables.
#[rustfmt::skip]
pub(crate) const PEERS: [&str; 10] =
    ["floor", "settled", "together", "apart", "migratory", "tokio", "may", "smol", "go", "boost"];

/// The columns of gosched.
pub(crate) const OURS: [&str; 4] = ["settled", "together", "apart", "migratory"];

/// The columns of who writes `go(..)` and nothing else. The others only explain them.
pub(crate) const DEFAULT: [&str; 2] = ["settled", "migratory"];

/// The values of one peer for one figure, round by round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) workload: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) figure: String,
    pub(crate) values: Vec<f64>,
}

/// All values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) series: Vec<Series>,
    /// What other processes took of the machine while each workload was run.
    pub(crate) busy: Vec<(&'static str, Busy)>,
}

impl Measured {
    /// Adds a value.
    pub(crate) fn note(
        &mut self,
        workload: &'static str,
        peer: &'static str,
        figure: &str,
        value: f64,
    ) {
        let same = |s: &&mut Series| s.workload == workload && s.peer == peer && s.figure == figure;
        match self.series.iter_mut().find(same) {
            Some(series) => series.values.push(value),
            None => self.series.push(Series {
                workload,
                peer,
                figure: figure.to_owned(),
                values: vec![value],
            }),
        }
    }

    /// True if any peer was asked for that workload.
    pub(crate) fn has(&self, workload: &str) -> bool {
        self.series.iter().any(|series| series.workload == workload)
    }

    /// Returns the summary of that peer's rounds.
    pub(crate) fn of(&self, workload: &str, peer: &str, figure: &str) -> Option<Summary> {
        let same = |s: &&Series| s.workload == workload && s.peer == peer && s.figure == figure;
        Summary::of(&self.series.iter().find(same)?.values)
    }

    /// Returns the peer with the least median, and that median. The columns of gosched do not count
    /// as peers.
    pub(crate) fn best_peer(&self, workload: &str, figure: &str) -> Option<(&'static str, f64)> {
        self.medians(workload, figure)
            .filter(|(peer, _)| !OURS.contains(peer))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Returns the default column with the greatest median, and that median. `None` unless all
    /// default columns were measured.
    pub(crate) fn worse_default(
        &self,
        workload: &str,
        figure: &str,
    ) -> Option<(&'static str, f64)> {
        let of = |column| Some((column, self.of(workload, column, figure)?.median));
        let medians: Option<Vec<_>> = DEFAULT.into_iter().map(of).collect();
        medians?.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn medians(&self, workload: &str, figure: &str) -> impl Iterator<Item = (&'static str, f64)> {
        let those =
            self.series.iter().filter(move |s| s.workload == workload && s.figure == figure);
        those.filter_map(|s| Some((s.peer, Summary::of(&s.values)?.median)))
    }
}

/// Reads the output of a peer: `FIGURE VALUE`, one a line. `Ok(None)`: the peer cannot do the
/// workload. Additional figures are kept, as long as the workload's own are there.
pub(crate) fn parse(output: &str, wanted: &[Figure]) -> Result<Option<Vec<(String, f64)>>, String> {
    if output.trim() == "unsupported" {
        return Ok(None);
    }
    let mut figures = Vec::new();
    for line in output.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) =
            line.trim().split_once(' ').ok_or_else(|| format!("no figure: `{line}`"))?;
        let value: f64 = value.trim().parse().map_err(|_| format!("no number: `{line}`"))?;
        if !value.is_finite() {
            return Err(format!("no number: `{line}`"));
        }
        figures.push((name.to_owned(), value));
    }
    match wanted.iter().find(|figure| !figures.iter().any(|(name, _)| name == figure.name)) {
        Some(missing) => Err(format!("it said nothing of {}", missing.name)),
        None => Ok(Some(figures)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: &[Figure] =
        &[Figure { name: "p50_us", unit: "us" }, Figure { name: "p99_us", unit: "us" }];

    #[test]
    fn what_a_peer_prints_is_read() {
        let read = parse("p50_us 1.5\np99_us 20\n\nspread 3\n", WANTED)
            .expect("figures")
            .expect("supported");
        let expected = [("p50_us", 1.5), ("p99_us", 20.0), ("spread", 3.0)];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(parse("unsupported\n", WANTED), Ok(None));
    }

    #[test]
    fn what_is_no_figure_is_an_error() {
        for wrong in [
            "",
            "p50_us 1.5",
            "p50_us 1\np99_us x",
            "p50_us 1\np99_us NaN",
            "p50_us 1\np99_us inf",
            "nonsense",
        ] {
            assert!(parse(wrong, WANTED).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_best_peer_is_none_of_ours() {
        let mut measured = Measured::default();
        for (peer, value) in
            [("settled", 1.0), ("tokio", 5.0), ("go", 4.0), ("go", 40.0), ("go", 50.0)]
        {
            measured.note("w", peer, "f", value);
        }
        assert_eq!(measured.best_peer("w", "f"), Some(("tokio", 5.0)));
        assert_eq!(
            measured.of("w", "go", "f").map(|summary| (summary.median, summary.rounds)),
            Some((40.0, 3))
        );
        assert_eq!(measured.best_peer("w", "g"), None);
    }

    #[test]
    fn the_worse_of_the_default_columns_counts() {
        let mut measured = Measured::default();
        for (peer, value) in [("settled", 3.0), ("together", 1.0), ("apart", 9.0)] {
            measured.note("w", peer, "f", value);
        }
        assert_eq!(measured.worse_default("w", "f"), None, "one of the two is missing");
        measured.note("w", "migratory", "f", 2.0);
        assert_eq!(measured.worse_default("w", "f"), Some(("settled", 3.0)));
    }
}
