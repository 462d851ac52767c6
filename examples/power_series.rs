//! Concurrent power series, after McIlroy. A series is a channel of its coefficients, and
//! operations on series are goroutines. The tangent is the integral of one plus its own square, so
//! it is made of itself.
//!
//! ```text
//! $ cargo run --release --example power_series
//! tan x = x + 1/3 x^3 + 2/15 x^5 + 17/315 x^7 + 62/2835 x^9 + ...
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::fmt;

use gosched::chan::{Receiver, Sender, bounded, unbounded};
use gosched::{Mode, go, run};

const TERMS: usize = 10;

/// A fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rational(i128, i128);

type Series = Receiver<Rational>;

impl Rational {
    fn new(numerator: i128, denominator: i128) -> Self {
        fn gcd(a: i128, b: i128) -> i128 {
            if b == 0 { a.abs() } else { gcd(b, a % b) }
        }
        let common = gcd(numerator, denominator);
        Self(numerator / common, denominator / common)
    }

    fn plus(self, other: Self) -> Self {
        Self::new(self.0 * other.1 + other.0 * self.1, self.1 * other.1)
    }

    fn times(self, other: Self) -> Self {
        Self::new(self.0 * other.0, self.1 * other.1)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == 1 { write!(f, "{}", self.0) } else { write!(f, "{}/{}", self.0, self.1) }
    }
}

/// Returns two copies. The terms of the second copy are in a buffer: otherwise a series that is
/// made of itself would wait for itself. The terms of the first copy are made on demand. The
/// goroutine ends once a copy is dropped.
fn split(series: Series) -> (Series, Series) {
    let ((one_tx, one), (other_tx, other)) = (bounded(0), unbounded());
    drop(go(move || {
        series.iter().all(|term| one_tx.send(term).is_ok() && other_tx.send(term).is_ok())
    }));
    (one, other)
}

/// Returns the product, term by term: the sum of all products whose degrees add up.
fn product(a: Series, b: Series) -> Series {
    let (tx, rx) = bounded(0);
    drop(go(move || {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        while let (Ok(next_left), Ok(next_right)) = (a.recv(), b.recv()) {
            left.push(next_left);
            right.push(next_right);
            let pairs = left.iter().zip(right.iter().rev());
            let term = pairs.fold(Rational(0, 1), |sum, (l, r)| sum.plus(l.times(*r)));
            if tx.send(term).is_err() {
                return;
            }
        }
    }));
    rx
}

/// Returns one plus the series.
fn one_plus(series: Series) -> Series {
    let (tx, rx) = bounded(0);
    drop(go(move || {
        let terms = series.iter().enumerate();
        let mut plus = terms.map(|(n, term)| if n == 0 { term.plus(Rational(1, 1)) } else { term });
        plus.all(|term| tx.send(term).is_ok())
    }));
    rx
}

/// Sends the integral that is zero at zero to `into`. The term zero comes before the first term of
/// the series is asked for.
fn integrate(series: Series, into: Sender<Rational>) {
    drop(go(move || {
        let mut next = into.send(Rational(0, 1)).is_ok();
        let mut degree = 1;
        while next && let Ok(term) = series.recv() {
            next = into.send(term.times(Rational(1, degree))).is_ok();
            degree += 1;
        }
    }));
}

fn tangent() -> Series {
    let (tx, tan) = unbounded();
    let (result, again) = split(tan);
    let (one, other) = split(again);
    integrate(one_plus(product(one, other)), tx);
    result
}

fn main() {
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let terms: Vec<Rational> = run(mode, || tangent().iter().take(TERMS).collect());
    let shown =
        terms.iter().enumerate().filter(|(_, term)| term.0 != 0).map(|(degree, term)| {
            match (degree, term) {
                (1, Rational(1, 1)) => "x".to_owned(),
                (degree, term) => format!("{term} x^{degree}"),
            }
        });
    println!("tan x = {} + ...", shown.collect::<Vec<_>>().join(" + "));
    let odd =
        [Rational(1, 1), Rational(1, 3), Rational(2, 15), Rational(17, 315), Rational(62, 2835)];
    assert!(
        terms
            .iter()
            .enumerate()
            .all(|(n, term)| *term == if n % 2 == 1 { odd[n / 2] } else { Rational(0, 1) })
    );
}
