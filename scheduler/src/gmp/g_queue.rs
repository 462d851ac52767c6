//! Queues of Gs: a plain one with a single user, and an inbox that every thread may push to.
//!
//! # Safety
//!
//! A [`Runnable`] that goes in gives its G's ownership to the queue; one that comes out takes it.
//! The intrusive lists underneath demand no more: a node is alive, and in one list.
#![expect(unsafe_code, reason = "turns ownership tokens into intrusive list nodes and back")]

use std::fmt;

use crate::ds::inbox::Inbox;
use crate::ds::list::List;
use crate::gmp::g::{G, Runnable};

/// A FIFO of Gs.
#[derive(Default)]
pub(crate) struct Queue(List<G>);

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.0.len()).finish()
    }
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self(List::new())
    }

    #[inline]
    pub(crate) fn push_back(&mut self, g: Runnable) {
        // SAFETY: the token gives the G to this list. G records outlive the runtime's queues.
        unsafe { self.0.push_back(g.into_raw()) }
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Runnable> {
        let g = self.0.pop_front()?;
        // SAFETY: the list owned the G, and has just given it out.
        Some(unsafe { Runnable::from_raw(g) })
    }

    pub(crate) fn append(&mut self, other: Queue) {
        self.0.append(other.0);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The inbox of an M: other threads push Gs for it here.
#[derive(Debug)]
pub(crate) struct GInbox(Inbox<G>);

impl GInbox {
    pub(crate) fn new() -> Self {
        Self(Inbox::new())
    }

    pub(crate) fn push(&self, g: Runnable) {
        // SAFETY: the token gives the G to the inbox. G records outlive the inbox.
        unsafe { self.0.push(g.into_raw()) }
    }

    pub(crate) fn take_all(&self) -> Queue {
        Queue(self.0.take_all())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
