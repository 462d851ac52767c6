//! How others settle beside a goroutine: see `proc::colocate`.
//!
//! # Safety
//!
//! A visitor is with the host under the lock that the host takes before it ends.
#![expect(unsafe_code, reason = "sends a newcomer to a host that runs")]

use super::{Afterwards, Packet};
use crate::proc::colocate::{Host, Newcomer};
use crate::proc::park::Target;

impl<F: Send, T: Send, A: Afterwards + Send + Sync> Host for Packet<F, T, Target, A> {
    fn take_in(&self, newcomer: Box<Newcomer>) {
        let arrived = self.visit(
            newcomer,
            |newcomer, beside| {
                newcomer.wait_in(beside);
                None
            },
            |mut newcomer, host| {
                // SAFETY: the host has begun, and before it ends it takes the lock, for `complete`.
                let at = host.and_then(|host| unsafe { newcomer.go_to(host) });
                Some((newcomer, at))
            },
        );
        if let Some((newcomer, at)) = arrived {
            newcomer.arrived(at);
        }
    }
}
