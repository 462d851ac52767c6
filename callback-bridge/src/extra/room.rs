//! What lies behind a door: there for those inside, and taken out when nobody is inside and nobody
//! will be.
//!
//! C keeps the address of a callback for as long as it likes, and a bridge may be bound anew while
//! threads call. So what a late call reads before it came in stays, and is small; what is large is
//! in here: the handle of a runtime.
//!
//! # The protocol
//!
//! Whoever comes in looks at the content afterwards, never before. The owner closes the door, sees
//! that nobody is inside, and takes the content. A call that comes later finds the door closed and
//! goes out without a look. It may be seen in its place for a moment, so a look that finds somebody
//! inside says little, and one that finds nobody says all.
//!
//! # Safety
//!
//! The content is read from inside, and taken once, from behind a closed door.
#![expect(unsafe_code, reason = "a cell that a door guards")]

use crate::extra::door::{Door, IsClosed, Place};
use gosched_runtime_sys::sync::primitive::{UnsafeCell, mutated};
use std::fmt;
use std::ptr::NonNull;

/// A door, and what is behind it.
pub(crate) struct Room<T> {
    pub(crate) door: Door,
    content: UnsafeCell<Option<T>>,
}

// SAFETY: those inside share the content, and one thread takes it out when they have gone.
unsafe impl<T: Send + Sync> Sync for Room<T> {}

impl<T> Room<T> {
    /// Returns one with an open door.
    pub(crate) fn new(content: T) -> Self {
        Self { door: Door::new(), content: UnsafeCell::new(Some(content)) }
    }

    /// Comes in by a place, and returns what is there. As [`Door::come_in`].
    ///
    /// # Safety
    ///
    /// The content is not used after [`Door::go_out`].
    #[inline]
    pub(crate) unsafe fn come_in(&self, place: &Place) -> Result<&T, IsClosed> {
        let early = mutated("room.read_first").then(|| self.there());
        self.door.come_in(place)?;
        let there = early.unwrap_or_else(|| self.there());
        // SAFETY: inside, until the caller goes out.
        Ok(unsafe { there.as_ref() })
    }

    /// Comes in without a place, and returns what is there. As [`Door::count_in`].
    ///
    /// # Safety
    ///
    /// The content is not used after [`Door::count_out`].
    pub(crate) unsafe fn count_in(&self) -> Result<&T, IsClosed> {
        self.door.count_in()?;
        // SAFETY: inside, until the caller goes out.
        Ok(unsafe { self.content() })
    }

    /// Returns what is there.
    ///
    /// # Safety
    ///
    /// The caller is inside, and does not use it after it has gone out.
    #[inline]
    pub(crate) unsafe fn content(&self) -> &T {
        // SAFETY: as the caller says; the content is taken when nobody is inside.
        unsafe { self.there().as_ref() }
    }

    #[inline]
    fn there(&self) -> NonNull<T> {
        self.content.with(|content| {
            // SAFETY: those inside read, and whoever writes has seen that there are none.
            let content = unsafe { &*content };
            content.as_ref().map(NonNull::from).expect("it is there for those inside")
        })
    }

    /// Takes the content out.
    ///
    /// # Safety
    ///
    /// The door was closed, and nobody has been inside of it since some moment after that. One
    /// thread at a time does this.
    pub(crate) unsafe fn take(&self) -> Option<T> {
        self.content.with_mut(|content| {
            // SAFETY: as the caller says, nobody else reads or writes.
            unsafe { (*content).take() }
        })
    }
}

impl<T> fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("door", &self.door).finish_non_exhaustive()
    }
}
