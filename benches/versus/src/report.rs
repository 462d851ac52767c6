//! The tables that are printed.

use std::fmt::Write as _;

use crate::machine::Busy;
use crate::measured::{Measured, OURS, PEERS};
use crate::statistics::{Summary, shown};
use crate::target::TARGETS;
use crate::workload::{Columns, Figure, Workload};

/// Returns the table of one workload: a line for each peer and figure.
pub(crate) fn table(measured: &Measured, workload: &Workload) -> String {
    let mut text = format!("\n{}: {}", workload.name, workload.what);
    if let Some((_, Busy { others, stolen })) =
        measured.busy.iter().find(|(name, _)| *name == workload.name)
    {
        let _ =
            write!(text, "  [others took {others:.0} % of the machine, its host {stolen:.0} %]");
    }
    text.push('\n');
    for figure in workload.figures {
        for peer in PEERS {
            let Some(summary) = measured.of(workload.name, peer, figure.name) else { continue };
            text += &line(measured, workload, figure, peer, summary);
        }
    }
    text
}

fn line(
    measured: &Measured,
    workload: &Workload,
    figure: &Figure,
    peer: &str,
    summary: Summary,
) -> String {
    let range = format!("({} - {})", shown(summary.least), shown(summary.most));
    let mut line = format!(
        "  {:18} {peer:10} {:>10} {:<5} {range:22}",
        figure.name,
        shown(summary.median),
        figure.unit
    );
    if OURS.contains(&peer) {
        if let Some((best, value)) = measured.best_peer(workload.name, figure.name) {
            let _ = write!(line, " {:>5} x best ({best})", shown(summary.median / value));
        }
        if let Some(go) = measured.of(workload.name, "go", figure.name) {
            let _ = write!(line, " {:>5} x go", shown(summary.median / go.median));
        }
        let spread = measured
            .of(workload.name, peer, SPREAD)
            .filter(|_| workload.columns == Columns::Placed);
        if let Some(spread) = spread {
            let _ = write!(line, "  {} % on one M", shown(spread.median));
        }
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

/// Returns what the columns of gosched say in addition: how many of the goroutines began on the M
/// on which most did.
const SPREAD: &str = "busiest_m_percent";

/// Returns the targets, and whether they were met.
pub(crate) fn targets(measured: &Measured) -> String {
    let mut rows = String::new();
    let (mut met, mut all) = (0, 0);
    for target in TARGETS {
        let Some(verdict) = target.verdict(measured) else { continue };
        all += 1;
        met += usize::from(verdict.met());
        let theirs = verdict
            .theirs
            .map_or_else(String::new, |(peer, value)| format!("{peer} {}", shown(value)));
        let ratio = verdict
            .theirs
            .map_or_else(String::new, |(_, value)| format!("{} x", shown(verdict.ours / value)));
        let word = if verdict.met() { "met" } else { "missed" };
        let _ = writeln!(
            rows,
            "| {} | {} | {} | {} ({}) | {} | {} | {word} |",
            target.name,
            target.figure,
            theirs,
            shown(verdict.ours),
            verdict.column,
            ratio,
            target.says(),
        );
    }
    if all == 0 {
        return String::new();
    }
    format!(
        "\n| target | figure | theirs | ours | ratio | at most | |\n\
         |---|---|---:|---:|---:|---:|---|\n{rows}\n{met} of {all} met\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::WORKLOADS;

    fn measured() -> Measured {
        let mut measured = Measured::default();
        for (peer, value) in
            [("settled", 20.0), ("settled", 40.0), ("settled", 30.0), ("may", 60.0), ("go", 120.0)]
        {
            measured.note("yield1", peer, "ns_per_op", value);
        }
        measured.note("pingpong", "apart", "ns_per_op", 7.0);
        measured.note("pingpong", "apart", SPREAD, 50.0);
        measured
    }

    #[test]
    fn a_line_has_median_range_and_both_ratios() {
        let workload =
            WORKLOADS.iter().find(|workload| workload.name == "yield1").expect("it is there");
        let mut measured = measured();
        measured.busy.push(("yield1", Busy { others: 12.4, stolen: 0.2 }));
        let text = table(&measured, workload);
        assert!(text.contains("others took 12 % of the machine, its host 0 %"), "{text}");
        let ours = text.lines().find(|line| line.contains("settled")).expect("a line");
        for part in ["30.0", "(20.0 - 40.0)", "0.500 x best (may)", "0.250 x go"] {
            assert!(ours.contains(part), "no `{part}` in {ours}");
        }
        assert_eq!(text.lines().filter(|line| line.contains("x best")).count(), 1);
        let workload =
            WORKLOADS.iter().find(|workload| workload.name == "pingpong").expect("it is there");
        assert!(table(&measured, workload).contains("50.0 % on one M"));
    }

    #[test]
    fn targets_are_judged_where_both_sides_were_measured() {
        let text = targets(&measured());
        assert!(text.contains(
            "| yield, 1 goroutine | ns_per_op | may 60.0 | 30.0 (settled) | 0.500 x | \
                 0.6 x best | met |"
        ));
        assert!(text.ends_with("\n2 of 2 met\n"), "{text}");
        assert_eq!(targets(&Measured::default()), "");
    }
}
