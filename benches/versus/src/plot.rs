//! The ratios as a picture: for each figure, how the worse default column of gosched compares with
//! the best peer and with Go.

use std::fmt::Write as _;

use crate::measured::Measured;
use crate::statistics::shown;
use crate::workload::{Columns, WORKLOADS};

const ROW: f64 = 34.0;
const LEFT: f64 = 230.0;
const WIDTH: f64 = 560.0;
const TOP: f64 = 78.0;

/// Ratios beyond these are drawn at the edge; the number beside the bar is exact.
const LEAST: f64 = 0.01;
const MOST: f64 = 10.0;

const INK: &str = "#24292f";
const PALE: &str = "#d0d7de";
const BEST: &str = "#1f6feb";
const GO: &str = "#8250df";

struct Row {
    name: String,
    best: Option<(&'static str, f64)>,
    go: Option<f64>,
}

/// Returns an SVG file, with a row for each figure that both sides have.
pub(crate) fn svg(measured: &Measured) -> String {
    let rows = rows(measured);
    let height = TOP + ROW * rows.len() as f64 + 16.0;
    let whole = LEFT + WIDTH + 150.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {height}\" \
         width=\"{whole}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" fill=\"{INK}\">\
         What gosched takes, in time or memory, as a part of what its peers take: \
         to the left it takes less</text>\n"
    );
    for (x, colour, says) in [(12.0, BEST, "of the best peer's"), (160.0, GO, "of Go's")] {
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"34\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
        );
        let _ = writeln!(text, "<text x=\"{}\" y=\"44\" fill=\"{INK}\">{says}</text>", x + 18.0);
    }
    for tick in [0.01, 0.1, 1.0, 10.0] {
        let (x, width) = (at(tick), if tick == 1.0 { 2 } else { 1 });
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"{PALE}\" \
             stroke-width=\"{width}\"/>",
            TOP - 4.0
        );
        let _ = writeln!(
            text,
            "<text x=\"{x:.1}\" y=\"{}\" fill=\"{INK}\" text-anchor=\"middle\">{tick}</text>",
            TOP - 8.0
        );
    }
    for (index, row) in rows.iter().enumerate() {
        draw(&mut text, row, TOP + ROW * index as f64);
    }
    text + "</svg>\n"
}

fn draw(text: &mut String, row: &Row, y: f64) {
    let name = escaped(&row.name);
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{}\" fill=\"{INK}\" text-anchor=\"end\">{name}</text>",
        LEFT - 8.0,
        y + 18.0
    );
    if let Some((peer, ratio)) = row.best {
        bar(text, y + 4.0, ratio, BEST, &format!("{} ({peer})", shown(ratio)));
    }
    if let Some(ratio) = row.go {
        bar(text, y + 17.0, ratio, GO, &shown(ratio));
    }
}

/// Draws a bar from 1 to the ratio. Its text is at the right of both, clear of the bar.
fn bar(text: &mut String, y: f64, ratio: f64, colour: &str, says: &str) {
    let (one, end) = (at(1.0), at(ratio));
    let (left, width) = (one.min(end), (one - end).abs().max(1.0));
    let _ = writeln!(
        text,
        "<rect x=\"{left:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"11\" fill=\"{colour}\"/>"
    );
    let (x, y) = (one.max(end) + 5.0, y + 9.5);
    let _ = writeln!(
        text,
        "<text x=\"{x:.1}\" y=\"{y}\" font-size=\"11\" fill=\"{INK}\">{}</text>",
        escaped(says)
    );
}

/// Returns the place of a ratio, by its logarithm.
fn at(ratio: f64) -> f64 {
    LEFT + WIDTH * (ratio.clamp(LEAST, MOST) / LEAST).log10() / (MOST / LEAST).log10()
}

fn rows(measured: &Measured) -> Vec<Row> {
    let mut rows = Vec::new();
    for workload in WORKLOADS.iter().filter(|workload| workload.columns != Columns::Bare) {
        for figure in workload.figures {
            let Some((_, ours)) = measured.worse_default(workload.name, figure.name) else {
                continue;
            };
            let ratio = |theirs: f64| (theirs > 0.0).then(|| ours / theirs);
            let best = measured.best_peer(workload.name, figure.name);
            let best = best.and_then(|(peer, value)| Some((peer, ratio(value)?)));
            let go = measured.of(workload.name, "go", figure.name).and_then(|go| ratio(go.median));
            if best.is_none() && go.is_none() {
                continue;
            }
            let name = match workload.figures.len() {
                1 => workload.name.to_owned(),
                _ => format!("{} {}", workload.name, figure.name),
            };
            rows.push(Row { name, best, go });
        }
    }
    rows
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if each element that begins also ends, in the right order, and attributes are quoted.
    fn well_formed(text: &str) -> bool {
        let mut open = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            if rest[..start].contains('>') {
                return false;
            }
            let Some(end) = rest[start..].find('>') else { return false };
            let tag = &rest[start + 1..start + end];
            if tag.matches('"').count() % 2 == 1 {
                return false;
            }
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
            if tag.starts_with('/') {
                if open.pop() != Some(name) {
                    return false;
                }
            } else if !tag.ends_with('/') {
                open.push(name);
            }
            rest = &rest[start + end + 1..];
        }
        open.is_empty() && !rest.contains('>')
    }

    #[test]
    fn the_check_sees_what_is_wrong() {
        assert!(well_formed("<a><b c=\"d\"/><e>f</e></a>"));
        for wrong in ["<a>", "<a></b>", "<a b=\"c></a>", "a > b", "<a><b></a></b>"] {
            assert!(!well_formed(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_plot_is_well_formed_and_has_a_bar_for_each_ratio() {
        let mut measured = Measured::default();
        for (peer, value) in
            [("settled", 30.0), ("migratory", 60.0), ("may", 60.0), ("go", 1_000_000.0)]
        {
            measured.note("yield1", peer, "ns_per_op", value);
        }
        measured.note("callback_idle", "settled", "p50_us", 1.0);
        measured.note("callback_idle", "migratory", "p50_us", 0.9);
        measured.note("callback_idle", "tokio", "p50_us", 0.5);
        let text = svg(&measured);
        assert!(well_formed(&text), "{text}");
        // The background, two in the legend, two of yield1, one of the callback.
        assert_eq!(text.matches("<rect").count(), 6, "{text}");
        for part in ["1.00 (may)", "2.00 (tokio)", "callback_idle p50_us", ">yield1<"] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
        assert!(well_formed(&svg(&Measured::default())));
    }

    #[test]
    fn bars_lie_between_1_and_the_ratio() {
        for (ratio, from, width) in
            [(0.1, at(0.1), at(1.0) - at(0.1)), (10.0, at(1.0), at(10.0) - at(1.0))]
        {
            let mut text = String::new();
            bar(&mut text, 0.0, ratio, INK, "x");
            assert!(
                text.contains(&format!("x=\"{from:.1}\" y=\"0\" width=\"{width:.1}\"")),
                "{text}"
            );
        }
    }

    #[test]
    fn the_scale_is_logarithmic_and_has_ends() {
        assert_eq!(at(LEAST), LEFT);
        assert_eq!(at(MOST), LEFT + WIDTH);
        assert!((at(0.1) - (LEFT + WIDTH / 3.0)).abs() < 1e-6);
        assert_eq!(at(1e9), at(MOST));
        assert_eq!(at(0.0), at(LEAST));
    }
}
