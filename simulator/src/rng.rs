//! A generator of random numbers that are the same in every run.

/// A linear congruential generator whose upper bits are used.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Returns a number from 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let spread = u128::from(self.0 >> 11) * u128::from(n);
        (spread >> 53) as u64
    }

    /// Returns a number around `mean`, up to a half away.
    pub(crate) fn around(&mut self, mean: u64) -> u64 {
        mean - mean / 2 + self.below(mean.max(1))
    }
}
