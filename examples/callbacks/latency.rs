//! How long calls took: a histogram of fixed size, so that a callback can note its time without an
//! allocation.

use std::time::Duration;

/// Parts that each power of two is divided into: a figure is at most 1/32 too high.
const PARTS: usize = 32;
const BUCKETS: usize = (64 - PARTS.ilog2() as usize + 1) * PARTS;

/// Counts of nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into(), total: 0 }
    }

    pub(crate) fn note(&mut self, took: Duration) {
        self.counts[bucket(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))] += 1;
        self.total += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// Returns the nanoseconds that `per_cent` of the calls did not exceed; 0 if there was none.
    pub(crate) fn percentile(&self, per_cent: u64) -> u64 {
        let mut left = (self.total * per_cent).div_ceil(100);
        for (index, count) in self.counts.iter().enumerate() {
            left = left.saturating_sub(*count);
            if left == 0 && self.total > 0 {
                return greatest_of(index);
            }
        }
        0
    }
}

/// Returns the part of a number. Below `PARTS` each number has its own; from there the highest bits
/// below the leading one choose the part.
fn bucket(ns: u64) -> usize {
    let Some(shift) = ns.max(1).ilog2().checked_sub(PARTS.ilog2()) else { return ns as usize };
    (shift as usize + 1) * PARTS + (ns >> shift) as usize % PARTS
}

fn greatest_of(bucket: usize) -> u64 {
    let Some(shift) = (bucket / PARTS).checked_sub(1) else { return bucket as u64 };
    let first = ((PARTS + bucket % PARTS) as u64) << shift;
    first + ((1 << shift) - 1)
}
