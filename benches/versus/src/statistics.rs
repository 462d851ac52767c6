//! Many values of one figure, as three numbers.

/// Median, least and most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) rounds: usize,
}

impl Summary {
    /// Returns `None` if there are no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, least, most, rounds: sorted.len() })
    }

    /// Returns the worst value as a multiple of the median.
    pub(crate) fn spread(&self) -> f64 {
        if self.most == self.median { 1.0 } else { self.most / self.median }
    }

    /// True if the worst value is so far from the median that some processes did something else
    /// than the others.
    pub(crate) fn bimodal(&self) -> bool {
        self.spread() > 2.0
    }
}

/// Returns a number for people: with two or three significant digits, thousands apart.
pub(crate) fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        at if at >= 100.0 => 0,
        at if at >= 10.0 => 1,
        at if at >= 1.0 || at == 0.0 => 2,
        at if at >= 0.01 => 3,
        at => (1.0 - at.log10().floor()).min(9.0) as usize,
    };
    let text = format!("{value:.decimals$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", &*text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut apart = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    format!("{sign}{apart}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(
            Summary::of(&[7.0]),
            Some(Summary { median: 7.0, least: 7.0, most: 7.0, rounds: 1 })
        );
        assert_eq!(
            Summary::of(&[9.0, 1.0, 5.0]),
            Some(Summary { median: 5.0, least: 1.0, most: 9.0, rounds: 3 })
        );
        assert_eq!(Summary::of(&[4.0, 1.0, 8.0, 2.0]).map(|summary| summary.median), Some(3.0));
    }

    #[test]
    fn more_than_twice_the_median_is_bimodal() {
        let of = |values: &[f64]| Summary::of(values).expect("there are values");
        assert_eq!((of(&[2.0, 3.0, 6.0]).spread(), of(&[2.0, 3.0, 6.0]).bimodal()), (2.0, false));
        assert!(of(&[2.0, 3.0, 6.1]).bimodal());
        assert_eq!(of(&[0.0, 0.0]).spread(), 1.0);
    }

    #[test]
    fn numbers_are_readable() {
        for (value, text) in [
            (0.0, "0.00"),
            (0.000_012_8, "0.000013"),
            (0.0026, "0.0026"),
            (0.0514, "0.051"),
            (1.234, "1.23"),
            (45.12, "45.1"),
            (512.4, "512"),
            (4_689.2, "4,689"),
            (1_234_567.0, "1,234,567"),
            (-1_500.0, "-1,500"),
            (-12.34, "-12.3"),
        ] {
            assert_eq!(shown(value), text);
        }
    }
}
