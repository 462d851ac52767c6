//! Channels between goroutines, foreign threads, plain threads: whoever is at either end.
//!
//! [`bounded`] makes a channel with a buffer of fixed size, or, with size 0, one without a buffer,
//! where a send and a receive meet; [`unbounded`] makes one whose buffer grows. Values come out in
//! the order in which they were sent, and each goes to one receiver. Both ends may be cloned, and
//! work the same from a goroutine, which parks, and from a thread that is none, which sleeps.
//!
//! [`oneshot`] is for one value, [`watch`] for the latest one, and [`broadcast`] brings each value
//! to each receiver.
//!
//! Into those of [`after`], [`at`] and [`tick`] the clock sends; nothing ever comes from
//! [`never()`].
//!
//! A channel is *disconnected* when one end is gone, that is, when its last [`Sender`] or its last
//! [`Receiver`] was dropped, or when it was [closed](Sender::close). Then sends fail and give their
//! value back, waiting ones included; receives go on until the buffer is empty, and then fail. What
//! is still in the buffer when the last receiver goes is dropped with it. A [`WeakSender`] and
//! a [`WeakReceiver`] do not keep a channel connected.
//!
//! ```
//! use gosched::chan;
//! use std::thread;
//!
//! let (tx, rx) = chan::bounded(2);
//! let squares = thread::spawn(move || {
//!     for n in 1..=5 {
//!         tx.send(n * n).expect("the receiver is there");
//!     }
//! });
//! assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 4, 9, 16, 25]);
//! squares.join().expect("no panic");
//! ```

mod blocks;
pub mod broadcast;
mod buffer;
mod case;
pub(crate) mod clock;
mod close;
mod done;
mod error;
pub(crate) mod future;
mod inline;
pub mod oneshot;
mod place;
mod port;
pub(crate) mod raw;
mod receiver;
mod results;
pub(crate) mod select;
mod sender;
#[cfg(feature = "signals")]
mod signals;
#[cfg(feature = "futures-sink")]
mod sink;
mod standby;
mod state;
#[cfg(feature = "futures-core")]
mod stream;
#[cfg(all(test, not(gosched_loom)))]
mod tests;
pub(crate) mod timed;
pub mod watch;

use gosched_runtime_sys::sync::primitive::Arc;

pub use close::{WeakReceiver, WeakSender};
pub use error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use future::{RecvFuture, SendFuture};
pub use receiver::{IntoIter, Iter, Receiver, TryIter};
#[doc(hidden)]
pub use select::support as select_support;
pub use select::{
    ReadyTimeoutError, Select, SelectFuture, SelectTimeoutError, SelectedOperation, TryReadyError,
    TrySelectError,
};
pub use sender::Sender;
#[cfg(feature = "signals")]
pub use signals::signals;
#[cfg(feature = "futures-sink")]
pub use sink::{IntoSink, SendSink};
#[cfg(feature = "futures-core")]
pub use stream::{IntoStream, RecvStream};
pub use timed::{after, at, never, tick};

use crate::proc::target::Target;

/// A channel as both ends hold it.
type ChannelRef<T> = Arc<raw::Channel<T, Target>>;

/// Makes a channel that holds up to `capacity` values; with 0, a send waits until a receiver takes
/// the value itself.
///
/// The memory for `capacity` values is allocated here.
///
/// # Panics
///
/// If `capacity` values are more than can ever be allocated.
///
/// # Examples
///
/// ```
/// use gosched::chan::{self, TrySendError};
///
/// let (tx, rx) = chan::bounded(1);
/// tx.send("first").expect("the receiver is there");
/// assert_eq!(tx.try_send("second"), Err(TrySendError::Full("second")));
/// assert_eq!(rx.recv(), Ok("first"));
/// ```
#[doc(alias("channel", "mpsc", "mpmc", "sync_channel", "rendezvous"))]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    ends(Some(capacity))
}

/// Makes a channel that holds as many values as memory does: sending never waits. What its values
/// took is given back as they are received.
///
/// # Examples
///
/// ```
/// let (tx, rx) = gosched::chan::unbounded();
/// for n in 0..1_000 {
///     tx.send(n).expect("the receiver is there");
/// }
/// drop(tx);
/// assert_eq!(rx.iter().sum::<u32>(), 499_500);
/// ```
#[doc(alias("channel", "mpsc", "mpmc", "unbounded_channel", "queue"))]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    ends(None)
}

fn ends<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let shared: ChannelRef<T> = Arc::new(raw::Channel::new(capacity));
    (Sender::of(Arc::clone(&shared)), Receiver::of(shared))
}
