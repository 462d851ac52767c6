//! Closing a channel while both ends are there, and knowing who is.
//!
//! A channel that is closed is disconnected, as if all its senders were gone and each send came too
//! late: a sender that waits leaves with its value, and what lies in the buffer is still received.
//! Nothing looks at more than before, because a channel knows only that it is disconnected, and
//! each end takes that for the other's going.
//!
//! A weak sender holds the channel's memory and is not counted among the senders. The count goes
//! from zero to one never again: a weak sender that finds none is too late. A weak receiver is the
//! same at the other end.

use gosched_runtime_sys::sync::primitive::{Arc, AtomicUsize, Ordering, mutated};
use std::fmt;

use super::ChannelRef;
use super::raw::Channel;
use super::receiver::Receiver;
use super::sender::Sender;
use super::state::State;
use crate::wait::waiter::Unpark;
use crate::wait::wake::wake_all;

impl<T, K: Unpark> Channel<T, K> {
    /// Disconnects the channel. Whoever waits leaves, a sender with its value. True if it was not
    /// disconnected before.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.state.lock();
        if state.is_disconnected() {
            return false;
        }
        state.disconnect();
        drop(state);
        let wake = |list| wake_all(&self.state, self.state.lock(), list);
        let mut panics = wake(State::receivers);
        if !mutated("chan.close_leaves_senders") {
            panics = panics.and(wake(State::senders));
        }
        let panics = panics.and(wake(State::held_back));
        let panics = panics.and(wake_all(&self.state, self.state.lock(), State::polling));
        panics.and(wake_all(&self.state, self.state.lock(), State::observing)).go_on();
        true
    }

    /// Disconnects the channel, and wakes nobody: its last sender is about to go.
    pub(crate) fn disconnect(&self) {
        self.state.lock().disconnect();
    }

    pub(crate) fn is_disconnected(&self) -> bool {
        self.state.lock().is_disconnected()
    }

    /// Counts one more sender, if there is one.
    pub(crate) fn try_add_sender(&self) -> bool {
        try_add(&self.senders)
    }

    /// Counts one more receiver, if there is one.
    pub(crate) fn try_add_receiver(&self) -> bool {
        try_add(&self.receivers)
    }
}

#[inline]
fn try_add(handles: &AtomicUsize) -> bool {
    // Relaxed: as in `add_sender`, the count is above zero before and after.
    let more = |count: usize| match count {
        0 if !mutated("chan.weak_revives") => None,
        _ => Some(count + 1),
    };
    handles.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

impl<T> Sender<T> {
    /// Closes the channel: sends fail from now on and give their values back, those that wait
    /// included. What is in the buffer can still be received; then receives fail. Never blocks.
    /// True if the channel was not disconnected before.
    ///
    /// ```
    /// use gosched::chan::{self, SendError, RecvError};
    ///
    /// let (tx, rx) = chan::bounded(1);
    /// tx.send("in time").unwrap();
    /// assert!(rx.close(), "either end may");
    /// assert_eq!(tx.send("too late"), Err(SendError("too late")));
    /// assert_eq!(rx.recv(), Ok("in time"));
    /// assert_eq!(rx.recv(), Err(RecvError));
    /// ```
    pub fn close(&self) -> bool {
        self.channel.close()
    }

    /// True if the channel is disconnected: closed, or all receivers are gone. A send fails then.
    /// Never suspends.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.is_disconnected()
    }

    /// How many senders there are, this one included. Others may come and go meanwhile.
    #[must_use]
    pub fn sender_count(&self) -> usize {
        self.channel.senders.load(Ordering::Relaxed)
    }

    /// How many receivers there are. Others may come and go meanwhile.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.channel.receivers.load(Ordering::Relaxed)
    }

    /// Returns a sender that does not keep the channel connected.
    #[must_use]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { channel: Arc::clone(&self.channel) }
    }
}

impl<T> Receiver<T> {
    /// As [`Sender::close`].
    pub fn close(&self) -> bool {
        self.channel.close()
    }

    /// True if the channel is disconnected: closed, or all senders are gone. A receive fails then
    /// when the buffer is empty. Never suspends.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.is_disconnected()
    }

    /// How many senders there are. Others may come and go meanwhile. A channel that has none from
    /// the beginning, as those of the clock and [`never`](super::never()), counts one.
    #[must_use]
    pub fn sender_count(&self) -> usize {
        self.channel.senders.load(Ordering::Relaxed)
    }

    /// How many receivers there are, this one included. Others may come and go meanwhile.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.channel.receivers.load(Ordering::Relaxed)
    }

    /// Returns a receiver that does not keep the channel connected.
    #[must_use]
    pub fn downgrade(&self) -> WeakReceiver<T> {
        WeakReceiver { channel: Arc::clone(&self.channel) }
    }
}

/// A sender that does not keep its channel connected: [`Sender::downgrade`]. To send, it is
/// [upgraded](Self::upgrade).
///
/// For what sends now and then and should not keep receivers waiting: a registry, a timer, the
/// receiver itself.
///
/// ```
/// use gosched::chan;
///
/// let (tx, rx) = chan::bounded(1);
/// let weak = tx.downgrade();
/// weak.upgrade().unwrap().send(1).unwrap();
/// drop(tx);
/// assert!(weak.upgrade().is_none());
/// assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
/// ```
pub struct WeakSender<T> {
    channel: ChannelRef<T>,
}

// As `Sender`.
impl<T> std::panic::UnwindSafe for WeakSender<T> {}
impl<T> std::panic::RefUnwindSafe for WeakSender<T> {}

impl<T> WeakSender<T> {
    /// Returns a sender, if there still is one.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        // The `Arc` first, as in a sender's `clone`.
        let channel = Arc::clone(&self.channel);
        channel.try_add_sender().then(|| Sender::of(channel))
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakSender { .. }")
    }
}

/// A receiver that does not keep its channel connected: [`Receiver::downgrade`]. To receive, it is
/// [upgraded](Self::upgrade).
///
/// For what looks on, or hands out receivers, and should not have senders wait for nobody.
///
/// ```
/// use gosched::chan::{self, SendError};
///
/// let (tx, rx) = chan::bounded(1);
/// let weak = rx.downgrade();
/// tx.send(1).unwrap();
/// assert_eq!(weak.upgrade().unwrap().recv(), Ok(1));
/// drop(rx);
/// assert!(weak.upgrade().is_none());
/// assert_eq!(tx.send(2), Err(SendError(2)));
/// ```
pub struct WeakReceiver<T> {
    channel: ChannelRef<T>,
}

// As `Receiver`.
impl<T> std::panic::UnwindSafe for WeakReceiver<T> {}
impl<T> std::panic::RefUnwindSafe for WeakReceiver<T> {}

impl<T> WeakReceiver<T> {
    /// Returns a receiver, if there still is one.
    #[must_use]
    pub fn upgrade(&self) -> Option<Receiver<T>> {
        // The `Arc` first, as in a receiver's `clone`.
        let channel = Arc::clone(&self.channel);
        channel.try_add_receiver().then(|| Receiver::of(channel))
    }
}

impl<T> Clone for WeakReceiver<T> {
    fn clone(&self) -> Self {
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<T> fmt::Debug for WeakReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakReceiver { .. }")
    }
}
