//! The rounds of a measurement: one that is not counted, then nine that are.

/// How many rounds count.
pub(crate) const ROUNDS: usize = 9;

/// Returns the values of the counted rounds.
pub(crate) fn rounds(mut round: impl FnMut() -> f64) -> Vec<f64> {
    round();
    (0..ROUNDS).map(|_| round()).collect()
}

/// Returns `median  (least - most)`, each with so many decimals.
pub(crate) fn shown(mut figures: Vec<f64>, decimals: usize) -> String {
    figures.sort_by(f64::total_cmp);
    let [median, least, most] =
        [figures.len() / 2, 0, figures.len() - 1].map(|place| figures[place]);
    format!("{median:9.decimals$}  ({least:.decimals$} - {most:.decimals$})")
}
