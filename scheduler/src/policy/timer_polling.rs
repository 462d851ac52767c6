//! In which rounds an M reads the clock for the timers of its P.
//!
//! A reading of the clock costs as much as a short round. So after short rounds the M skips some
//! readings ([`clock_rounds`](super::clock_rounds)).

/// When an M reads the clock for timers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimerPolling {
    round: u32,
    wait: u32,
    read: u64,
}

impl TimerPolling {
    /// True if the caller is to read the clock in this round.
    #[inline]
    pub(crate) fn is_due(&self, round: u32) -> bool {
        round.wrapping_sub(self.round) >= self.wait
    }

    /// Returns how many rounds come after `round` before the next reading.
    #[inline]
    pub(crate) fn rounds_left(&self, round: u32) -> u32 {
        self.wait.saturating_sub(1).saturating_sub(round.wrapping_sub(self.round))
    }

    /// Records that the clock was read in this round and says `now`.
    pub(crate) fn record_reading(&mut self, round: u32, now: u64) {
        let rounds = round.wrapping_sub(self.round);
        *self = Self {
            round,
            wait: super::clock_rounds(rounds, now.saturating_sub(self.read)),
            read: now,
        };
    }
}
