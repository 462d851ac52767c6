//! Goroutines are cancelled: by their handles, by tokens, and not where a cancel must not get
//! through.

mod context_go;
mod deadline;
mod handle;
mod reached;
mod token;

use std::any::Any;

use gosched::chan::{self, Receiver, Sender};
use gosched::{Cancelled, JoinHandle, go};

/// Returns the payload with which a cancelled goroutine unwound.
pub(crate) fn cancelled(payload: Box<dyn Any + Send>) -> Cancelled {
    *payload.downcast::<Cancelled>().expect("cancelled, not panicked")
}

/// Spawns a goroutine that has begun and waits for a message. Only a use of the sender ends the
/// wait.
pub(crate) fn waiting<T: Send + 'static>(
    body: impl FnOnce(Receiver<u32>) -> T + Send + 'static,
) -> (JoinHandle<T>, Sender<u32>) {
    let (tx, rx) = chan::bounded(0);
    let (begun, has_begun) = chan::bounded(1);
    let waits = go(move || {
        begun.send(()).expect("awaited");
        body(rx)
    });
    has_begun.recv().expect("it begins");
    (waits, tx)
}
