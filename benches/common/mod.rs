//! The rounds of a measurement: one that does not count, then nine that do.

/// How many rounds count.
pub(crate) const ROUNDS: usize = 9;

/// Returns what the rounds that count have given.
pub(crate) fn rounds(mut round: impl FnMut() -> f64) -> Vec<f64> {
    round();
    (0..ROUNDS).map(|_| round()).collect()
}

/// Returns `median  (least - most)` with so many decimals.
pub(crate) fn shown(mut figures: Vec<f64>, decimals: usize) -> String {
    figures.sort_by(f64::total_cmp);
    let [median, least, most] =
        [figures.len() / 2, 0, figures.len() - 1].map(|place| figures[place]);
    format!("{median:9.decimals$}  ({least:.decimals$} - {most:.decimals$})")
}
