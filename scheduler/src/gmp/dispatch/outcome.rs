//! How a search for a P, or for somebody to run one, ends.

use gosched_runtime_sys::sync::note::Note;

use super::remote::NextP;

/// How a wait for a P ended.
pub(crate) enum WaitedForP<P> {
    /// With a P.
    Got(NextP<P>),
    /// There may be something to do after all; no P yet.
    Retry,
    /// Nobody needed this M for as long as it was to wait.
    Expired,
    /// The runtime has ended.
    Closed,
}

/// How a sleep on a note ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slept {
    /// The note was woken, or may have been.
    Woken,
    /// The M is to look after the timers.
    Look,
    /// It has slept for as long as it was to.
    Expired,
}

/// How an M sleeps where there are no timers; see [`Dispatch::sleep`](super::Dispatch::sleep).
pub(crate) fn until_woken(note: &Note) -> Slept {
    note.sleep();
    Slept::Woken
}

/// Who will run an idle P.
pub(crate) enum Started<P> {
    /// An M that was asleep.
    Woken,
    /// Nobody sleeps: a new M is needed for this P.
    NeedM(Box<P>),
    /// There is no idle P (any more): everybody who has one looks at all queues before letting go.
    NoP,
}
