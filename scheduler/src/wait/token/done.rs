//! The channel that a cancel disconnects: it is disconnected for whoever knows of the cancel.
//!
//! The canceller marks a token, wakes those that wait for it, and then calls what is to be called.
//! The last sender of the channel goes in such a call. A thread that asks the token in between, or
//! after its deadline and before the clock's thread has come to it, would be told that it is
//! cancelled, by the token, and that it is not, by the channel. So whoever is to be told of a
//! cancel disconnects the channel first. That wakes nobody and runs no user code, so asking stays
//! cheap and harmless: who waits for the channel is woken by the canceller.
//!
//! # Rejected
//!
//! - Disconnecting the channel before the token is marked: who hears of the cancel by the channel
//!   would then be told by the token that there is none.
//! - Marking and disconnecting under the token's lock: it is asked without that lock, and its
//!   deadline passes without anybody's doing.

use std::any::Any;
use std::sync::OnceLock;

use gosched_runtime_sys::sync::primitive::mutated;

/// The receiver that `Token::done` hands out. Its type lies above this.
pub(crate) trait DoneChannel: Any + Send + Sync {
    /// Disconnects the channel. Wakes nobody.
    fn disconnect(&self);
}

/// A token's channel, if somebody wanted it.
pub(crate) struct Done(OnceLock<Box<dyn DoneChannel>>);

impl Done {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Returns the channel, made by `make` for the first caller.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<dyn DoneChannel>) -> &dyn Any {
        &**self.0.get_or_init(make)
    }

    /// Returns `cancelled`, which somebody is about to be told.
    #[inline]
    pub(crate) fn known(&self, cancelled: bool) -> bool {
        if cancelled && !mutated("token.tells_before_its_channel") {
            self.0.get().into_iter().for_each(|channel| channel.disconnect());
        }
        cancelled
    }
}
