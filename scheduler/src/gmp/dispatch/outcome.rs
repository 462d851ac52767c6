//! How a search for a P, or for an M to run one, ends.

use gosched_runtime_sys::sync::note::Note;

use super::remote::NextP;

/// How a wait for a P ended.
pub(crate) enum WaitedForP<P> {
    /// The M has a P.
    Got(NextP<P>),
    /// The M has no P, and looks for work again: there may be some.
    Retry,
    /// No waker needed this M for as long as it was to wait.
    Expired,
    /// The runtime has ended.
    Closed,
}

/// How a sleep on a note ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slept {
    /// The note was woken, or may have been.
    Woken,
    /// The M must look at the timers.
    Look,
    /// The M has slept for as long as it was to.
    Expired,
}

/// Sleeps until the note is woken: a sleep without timers. See
/// [`Dispatch::sleep`](super::Dispatch::sleep).
pub(crate) fn until_woken(note: &Note) -> Slept {
    note.sleep();
    Slept::Woken
}

/// Which M will run a P.
pub(crate) enum Started<P> {
    /// An M that was asleep or in the line.
    Woken,
    /// No M sleeps: a new M is needed for this P.
    NeedM(Box<P>),
    /// No P is idle any more. Every M that has one looks at all queues before it releases the P.
    NoP,
}

/// What became of an M that was to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kicked {
    /// It was given an idle P and woken, or it is awake and watches for work.
    Given,
    /// It stands in the line.
    InLine,
    /// No such M sleeps. The one that was meant may run a goroutine.
    Nobody,
}
