//! What a run notes about itself.

use std::collections::BTreeMap;

/// What scripts and the scheduler note while they run.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    latencies: BTreeMap<&'static str, Vec<u64>>,
    counts: BTreeMap<&'static str, u64>,
}

impl Totals {
    pub(crate) fn took(&mut self, what: &'static str, ns: u64) {
        self.latencies.entry(what).or_default().push(ns);
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(crate) fn counted(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }

    /// The times of one kind, shortest first.
    pub(crate) fn times(&self, what: &str) -> Times {
        let mut sorted = self.latencies.get(what).cloned().unwrap_or_default();
        sorted.sort_unstable();
        Times(sorted)
    }
}

/// Times, shortest first.
#[derive(Debug)]
pub(crate) struct Times(Vec<u64>);

impl Times {
    /// The time that so many of a thousand do not exceed.
    pub(crate) fn at(&self, per_mille: usize) -> u64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * per_mille / 1000).copied().unwrap_or_default()
    }

    pub(crate) fn max(&self) -> u64 {
        self.at(1000)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
