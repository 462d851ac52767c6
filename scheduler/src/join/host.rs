//! Newcomers that settle beside a goroutine, their host: see `proc::colocate`.
//!
//! # Safety
//!
//! A newcomer reaches the host under the lock that the host takes before it ends.
#![expect(unsafe_code, reason = "sends a newcomer to a host that runs")]

use super::{OnEnd, Packet};
use crate::proc::colocate::{Host, Newcomer};
use crate::proc::target::Target;

impl<F: Send, T: Send, A: OnEnd + Send + Sync> Host for Packet<F, T, Target, A> {
    fn place_with(&self, newcomer: Box<Newcomer>) {
        let finish = self.with_runner(
            newcomer,
            |newcomer, beside| {
                newcomer.wait_in(beside);
                None
            },
            |mut newcomer, host| {
                // SAFETY: the host has begun, and takes the lock, in `complete`, before it ends.
                let at = host.and_then(|host| unsafe { newcomer.push_to_home(host) });
                Some((newcomer, at))
            },
        );
        if let Some((newcomer, at)) = finish {
            newcomer.finish(at);
        }
    }
}
