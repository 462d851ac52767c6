//! The tables that are printed.

use std::fmt::Write as _;

use crate::machine::Busy;
use crate::measured::{DEFAULT, Measured, OURS, PEERS};
use crate::statistics::{Summary, shown};
use crate::target::TARGETS;
use crate::workload::{Columns, Figure, WORKLOADS, Workload};

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
        if DEFAULT.contains(&peer) && summary.rounds > 1 {
            let mark = if summary.bimodal() { " BIMODAL" } else { "" };
            let _ = write!(line, "  spread {}{mark}", shown(summary.spread()));
        }
        let busiest = measured
            .of(workload.name, peer, BUSIEST)
            .filter(|_| workload.columns == Columns::Placed);
        if let Some(busiest) = busiest {
            let _ = write!(line, "  {} % on one M", shown(busiest.median));
        }
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

/// A figure of the columns of gosched alone: how many of the goroutines began on the M on which
/// most did.
const BUSIEST: &str = "busiest_m_percent";

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

/// Returns what no row may be, whether it has a target or not: beyond so many times Go, and
/// bimodal.
pub(crate) fn defects(measured: &Measured, most_of_go: f64) -> String {
    let (mut beyond, mut bimodal) = (Vec::new(), Vec::new());
    for (workload, figure) in WORKLOADS.iter().flat_map(|w| w.figures.iter().map(move |f| (w, f))) {
        let go = measured.of(workload.name, "go", figure.name);
        let ours = measured.worse_default(workload.name, figure.name);
        if let (Some(go), Some((column, ours))) = (go, ours)
            && ours > most_of_go * go.median
        {
            let ratio = shown(ours / go.median);
            beyond.push(format!("{} {} {ratio} ({column})", workload.name, figure.name));
        }
        for column in DEFAULT {
            let summary = measured.of(workload.name, column, figure.name);
            if let Some(summary) = summary.filter(Summary::bimodal) {
                let spread = shown(summary.spread());
                bimodal.push(format!("{} {} {spread} ({column})", workload.name, figure.name));
            }
        }
    }
    let line = |what: String, rows: Vec<String>| match rows.len() {
        0 => String::new(),
        _ => format!("{what}: {}\n", rows.join(", ")),
    };
    line(format!("more than {most_of_go} x go"), beyond) + &line("bimodal".to_owned(), bimodal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let mut measured = Measured::default();
        for (peer, value) in
            [("settled", 20.0), ("settled", 40.0), ("settled", 30.0), ("may", 60.0), ("go", 120.0)]
        {
            measured.note("yield1", peer, "ns_per_op", value);
        }
        measured.note("yield1", "migratory", "ns_per_op", 10.0);
        measured.note("pingpong", "apart", "ns_per_op", 7.0);
        measured.note("pingpong", "apart", BUSIEST, 50.0);
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
        for part in ["30.0", "(20.0 - 40.0)", "0.500 x best (may)", "0.250 x go", "spread 1.33"] {
            assert!(ours.contains(part), "no `{part}` in {ours}");
        }
        assert_eq!(text.lines().filter(|line| line.contains("x best")).count(), 2);
        assert_eq!(text.lines().filter(|line| line.contains("spread")).count(), 1);
        let workload =
            WORKLOADS.iter().find(|workload| workload.name == "pingpong").expect("it is there");
        assert!(table(&measured, workload).contains("50.0 % on one M"));
    }

    #[test]
    fn targets_are_judged_where_both_sides_were_measured() {
        let text = targets(&measured());
        assert!(text.contains(
            "| yield, 1 goroutine | ns_per_op | may 60.0 | 30.0 (settled) | 0.500 x | \
                 0.2 x best | missed |"
        ));
        assert!(text.ends_with("\n0 of 1 met\n"), "{text}");
        assert_eq!(targets(&Measured::default()), "");
    }

    #[test]
    fn rows_beyond_go_and_bimodal_rows_are_named() {
        let mut measured = measured();
        assert_eq!(defects(&measured, 1.0), "");
        measured.note("yield1", "settled", "ns_per_op", 61.0);
        measured.note("pingpong", "apart", "ns_per_op", 70.0);
        for (peer, value) in [("settled", 11.0), ("migratory", 9.0), ("go", 10.0)] {
            measured.note("mutex", peer, "ns_per_op", value);
        }
        assert_eq!(defects(&measured, 1.2), "");
        measured.note("yield1", "settled", "ns_per_op", 81.0);
        let text = defects(&measured, 1.0);
        assert_eq!(
            text,
            "more than 1 x go: mutex ns_per_op 1.10 (settled)\n\
             bimodal: yield1 ns_per_op 2.02 (settled)\n"
        );
    }
}
