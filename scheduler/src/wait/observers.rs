//! Those who wait until something could be done, and do not do it.
//!
//! # What the outside needs
//!
//! Whoever else waits is handed what it waits for, so that nobody can be faster. An observer wants
//! to know, and nothing else. Three promises:
//!
//! 1. An observer takes nothing from anybody: what is to be had after its wait is what would be to
//!    be had without it, and those who wait to do something are served as if it were not there.
//! 2. Of an event all are told who observe when it happens. One that is told and does nothing keeps
//!    the others from nothing.
//! 3. Where nobody observes, an event costs a look at an empty list.
//!
//! # How
//!
//! Observers have a list of their own under the lock of what they observe. A step that makes
//! something ready, and has served nobody with it, takes the first observer off and owes it the
//! wake-up, as it would owe that of a waiter. The observer is left a [`Mark`], the moment of the
//! event. When it has been woken, and before it does anything else, it takes the next one off that
//! had come before that moment, and leaves it the same mark. So each step wakes one, and all are
//! woken. One that observes again comes after the mark: the chain ends.
//!
//! A link of the chain is a node that was served. Its owner sees that it was, whatever else ended
//! its wait, and passes the news on. An observer of several things is a select: it wins its race as
//! every select does, and a node that has lost is passed over.
//!
//! An observer that has been woken looks again, under the locks. If somebody was faster, it waits
//! again.
//!
//! # Rejected
//!
//! - Observers in the lists of those who wait, with nothing to be handed: a waker would have to
//!   pass them over to find somebody to serve, and yet wake them.
//! - Waking all in the step that makes something ready: they are any number, and nothing of that
//!   size can be owed.
//! - Waking all after the step, with the lock taken anew for each: each caller of a step would have
//!   a second thing to do when the lock is free.

use gosched_runtime_sys::sync::primitive::mutated;

use super::case_node::CaseNode;
use super::waiter::{Mark, Unpark, WaitList, Wakeup};

/// Observers of one thing, under its lock.
pub(crate) struct Observers<K>(WaitList<Mark, K>);

/// The node of one observer: with the moment of the event that it was told of.
pub(crate) type Observer<K> = CaseNode<Mark, K>;

impl<K: Unpark> Observers<K> {
    pub(crate) const fn new() -> Self {
        Self(WaitList::new())
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Something has become ready: takes the first observer off, to be woken.
    #[cold]
    pub(crate) fn tell(&mut self) -> Option<Wakeup<K>> {
        let mark = self.0.mark();
        Some(self.0.pop()?.replace(mark))
    }

    /// Takes the next one off, to be woken, for an observer that was told. None also if it was told
    /// together with all others.
    pub(crate) fn pass_on(&mut self, told: &Observer<K>) -> Option<Wakeup<K>> {
        let mark = told.replace(None)?;
        if mutated("observers.keeps_news") {
            return None;
        }
        Some(self.0.pop_before(mark)?.replace(mark))
    }

    /// Returns the list, for those that wait in it, and for those that wake all of it.
    pub(crate) fn list(&mut self) -> &mut WaitList<Mark, K> {
        &mut self.0
    }
}
