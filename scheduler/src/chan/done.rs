//! The channel that a token's cancel disconnects.

use std::convert::Infallible;
use std::sync::Arc;

use super::{Receiver, bounded};
use crate::wait::token::{Call, Child, DoneChannel, Token};

impl DoneChannel for Receiver<Infallible> {
    fn disconnect(&self) {
        self.channel.disconnect();
    }
}

impl Token {
    /// A channel that is disconnected when this is cancelled, and into which nothing is sent: for a
    /// case of [`select!`](crate::select!) or a [`Select`](super::Select), and for whatever takes a
    /// receiver.
    ///
    /// All calls return the same channel; the first one makes it. A receive that waits for the
    /// cancel fails, and that is the signal. Who has been told of the cancel by
    /// [`is_cancelled`](Self::is_cancelled), [`cause`](Self::cause), [`wait`](Self::wait) or an
    /// error of [`run`](Self::run) finds it disconnected.
    ///
    /// ```
    /// use gosched::{Mode, cancel::Token, chan, go, run, select};
    ///
    /// run(Mode::threads(), || {
    ///     let (tx, rx) = chan::bounded(1);
    ///     let token = Token::new();
    ///     let theirs = token.clone();
    ///     let worker = go(move || {
    ///         let mut sum = 0;
    ///         loop {
    ///             select! {
    ///                 recv(rx) -> number => sum += number.unwrap_or(0),
    ///                 recv(theirs.done()) -> _ => break sum,
    ///             }
    ///         }
    ///     });
    ///     tx.send(5).unwrap();
    ///     while !tx.is_empty() {
    ///         gosched::yield_now();
    ///     }
    ///     token.cancel();
    ///     assert_eq!(worker.join().unwrap(), 5);
    /// });
    /// ```
    #[doc(alias("Done", "cancelled"))]
    #[must_use]
    #[inline]
    pub fn done(&self) -> Receiver<Infallible> {
        let shared = self.shared();
        let done = shared.done.get_or_init(|| {
            let (sender, receiver) = bounded::<Infallible>(0);
            shared.adopt(Child::Kept(Arc::new(Call::new(move || drop(sender)))));
            Box::new(receiver)
        });
        let receiver: Option<&Receiver<Infallible>> = done.downcast_ref();
        let receiver = receiver.expect("it was made here").clone();
        // If it is cancelled already, the channel is disconnected by now.
        let _either = shared.is_cancelled();
        receiver
    }
}
