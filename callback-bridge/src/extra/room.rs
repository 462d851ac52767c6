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
//! Nobody has to wait for that. A room may be *retired*: then the owner takes the content if nobody
//! is inside, or else the last one who goes out does. All of them look under one lock, after they
//! have gone out, so of two that go out at the same time the second one finds nobody. The room is
//! retired only after the fence that closes the door: a look before it may miss a call that has
//! come in. Whoever goes out before that finds the room not retired, and the owner, who locks
//! later, sees that it is gone.
//!
//! # Safety
//!
//! The content is read from inside, and taken once, from behind a closed door.
#![expect(unsafe_code, reason = "a cell that a door guards")]

use crate::extra::door::{Door, IsClosed, Place, Places};
use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{UnsafeCell, mutated};
use std::fmt;
use std::ptr::NonNull;

/// A door, and what is behind it.
pub(crate) struct Room<T> {
    pub(crate) door: Door,
    content: UnsafeCell<Option<T>>,
    retired: Mutex<bool>,
}

// SAFETY: those inside share the content, and one thread takes it out when they have gone.
unsafe impl<T: Send + Sync> Sync for Room<T> {}

impl<T> Room<T> {
    /// Returns one with an open door.
    pub(crate) fn new(content: T) -> Self {
        let content = UnsafeCell::new(Some(content));
        Self { door: Door::new(), content, retired: Mutex::new(false) }
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

    /// Closes the door, and retires the room. Returns the content if nobody is inside; else
    /// [`take_if_left`](Self::take_if_left) returns it to somebody.
    pub(crate) fn retire(&self, places: &Places) -> Option<T> {
        if mutated("room.retire_early") {
            *self.retired.lock() = true;
        }
        self.door.close();
        if mutated("room.retire_late") && self.door.inside(places) > 0 {
            *self.retired.lock() = true;
            return None;
        }
        *self.retired.lock() = true;
        self.take_if_left(places)
    }

    /// Takes the content out of a retired room that nobody is inside of, unless that was done.
    /// Called after the caller has gone out of a closed door.
    pub(crate) fn take_if_left(&self, places: &Places) -> Option<T> {
        let retired = self.retired.lock();
        if !*retired || self.door.inside(places) > 0 {
            return None;
        }
        // SAFETY: closed, and nobody is inside; the lock is held.
        unsafe { self.take() }
    }
}

impl<T> fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("door", &self.door).finish_non_exhaustive()
    }
}
