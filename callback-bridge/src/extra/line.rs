//! What a bridge was bound to, one after the other: the newest is where calls come in, and the
//! older ones lead nowhere any more.
//!
//! # Who owns what
//!
//! A line owns its first link, and each link the next one. So a link stays for as long as a line
//! that it is in, and a call that has read a link's address may look at it, however late. Nothing
//! is freed while threads call, and nobody has to find out whether one does. What is large does not
//! stay: it lies behind the link's door (`extra/room.rs`).
//!
//! Copies of a line begin with the same link, so what one of them appends is in all.
//!
//! # The shortcut
//!
//! A line knows one of its links without a walk, and a call reads no more than that. A link that is
//! not the newest has a closed door, which is where the call looks for the next one. So a shortcut
//! that was put back by a slow thread costs a walk, and nothing else.
//!
//! # A forked child
//!
//! No operation waits for another thread. `OnceLock` was rejected: one that a thread was setting at
//! the fork is never set in the child, and whoever wants to set it there waits for ever.
//!
//! # Safety
//!
//! A pointer is null or from `Arc::into_raw`, and owns one reference; the shortcut owns none, and
//! is to a link that the line owns. A pointer that is not null does not change before the drop.
#![expect(unsafe_code, reason = "follows links that an Arc owns")]

use gosched_runtime_sys::sync::primitive::{Ordering, StaticPtr, mutated};
use std::iter::successors;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

/// Has a link after it.
pub(crate) trait Link: Sized {
    /// The link after this one.
    fn next(&self) -> &Next<Self>;
}

/// The link after another one, once there is one.
pub(crate) struct Next<T: Link> {
    link: StaticPtr<T>,
    owned: PhantomData<Arc<T>>,
}

/// A line of links.
pub(crate) struct Line<T: Link> {
    first: Next<T>,
    /// Null at first.
    known: StaticPtr<T>,
}

impl<T: Link> Next<T> {
    /// Returns an end.
    pub(crate) const fn none() -> Self {
        Self { link: StaticPtr::null(), owned: PhantomData }
    }

    /// True if there is one.
    pub(crate) fn is_some(&self) -> bool {
        !self.address().is_null()
    }

    fn address(&self) -> *mut T {
        // ORDERING[line.linked]: partner is the exchange in `append`; what the link says becomes
        // visible.
        self.link.load(Ordering::Acquire)
    }

    fn get(&self) -> Option<&T> {
        // SAFETY: null, or owned by this.
        unsafe { self.address().as_ref() }
    }
}

impl<T: Link> Drop for Next<T> {
    fn drop(&mut self) {
        // One by one: a line that drops itself would do it on as many frames.
        let mut link = self.link.swap(ptr::null_mut(), Ordering::Relaxed);
        while !link.is_null() {
            // SAFETY: from `Arc::into_raw`, and owned by what it was taken out of.
            let owned = unsafe { Arc::from_raw(link) };
            let take = |last: T| last.next().link.swap(ptr::null_mut(), Ordering::Relaxed);
            link = Arc::into_inner(owned).map_or(ptr::null_mut(), take);
        }
    }
}

impl<T: Link> Line<T> {
    /// Returns an empty line.
    pub(crate) const fn new() -> Self {
        Self { first: Next::none(), known: StaticPtr::null() }
    }

    /// Returns a link, without a walk. It may not be the newest, or there may be one although this
    /// knows of none.
    #[inline]
    pub(crate) fn known(&self) -> Option<&T> {
        // ORDERING[line.known]: partner is the store in `newest`; what the link says becomes
        // visible.
        let known = self.known.load(Ordering::Acquire);
        // SAFETY: null, or owned by this line.
        unsafe { known.as_ref() }
    }

    /// Returns the newest link, and knows it from here on.
    pub(crate) fn newest(&self) -> Option<&T> {
        let begin = self.known().or_else(|| self.first.get());
        let newest = successors(begin, |link| link.next().get()).last()?;
        // ORDERING[line.known]: partner is the load in `known`; what `append` has published is
        // carried on.
        self.known.store(ptr::from_ref(newest).cast_mut(), Ordering::Release);
        Some(newest)
    }

    /// Returns all links, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        successors(self.first.get(), |link| link.next().get())
    }

    /// Appends a link after `last`, which is one of this line, or as the first one. False if
    /// another one is there; then this one is dropped.
    pub(crate) fn append(&self, last: Option<&T>, new: Arc<T>) -> bool {
        let place = last.map_or(&self.first, Link::next);
        let new = Arc::into_raw(new).cast_mut();
        let order =
            if mutated("line.append_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[line.linked]: partner is the load in `address`.
        if place.link.compare_exchange(ptr::null_mut(), new, order, Ordering::Relaxed).is_ok() {
            return true;
        }
        // SAFETY: from `into_raw`, and not handed on.
        drop(unsafe { Arc::from_raw(new) });
        false
    }

    /// Returns a share of a link of this line.
    ///
    /// # Panics
    ///
    /// If it is not of this line.
    pub(crate) fn share(&self, link: &T) -> Arc<T> {
        let mut place = &self.first;
        loop {
            let address = place.address();
            if ptr::eq(address, link) {
                // SAFETY: from `Arc::into_raw`, and owned by this line.
                unsafe { Arc::increment_strong_count(address) };
                // SAFETY: the count was raised for it.
                return unsafe { Arc::from_raw(address) };
            }
            place = place.get().expect("a link of this line").next();
        }
    }
}

impl<T: Link> Clone for Line<T> {
    /// Returns a line that begins with the same link. A copy of an empty line is another line.
    fn clone(&self) -> Self {
        let copy = Self::new();
        if let Some(first) = self.first.get() {
            copy.append(None, self.share(first));
        }
        copy
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;

    struct Numbered(usize, Next<Numbered>);

    impl Link for Numbered {
        fn next(&self) -> &Next<Self> {
            &self.1
        }
    }

    fn numbered(number: usize) -> Arc<Numbered> {
        Arc::new(Numbered(number, Next::none()))
    }

    fn numbers(line: &Line<Numbered>) -> Vec<usize> {
        line.iter().map(|link| link.0).collect()
    }

    #[test]
    fn copies_see_what_is_appended() {
        let line = Line::new();
        assert!(line.known().is_none() && line.newest().is_none());
        let unbound = line.clone();
        assert!(line.append(None, numbered(0)));
        assert!(!line.append(None, numbered(1)), "there is a first one");
        let copy = line.clone();
        let first = line.newest().expect("the first");
        assert!(copy.append(Some(first), numbered(2)));
        assert!(!line.append(Some(first), numbered(3)), "the copy was faster");
        assert_eq!(line.known().map(|link| link.0), Some(0));
        assert_eq!(line.newest().map(|link| link.0), Some(2));
        assert_eq!(line.known().map(|link| link.0), Some(2));
        assert_eq!(
            (numbers(&line), numbers(&copy), numbers(&unbound)),
            (vec![0, 2], vec![0, 2], vec![])
        );
    }

    #[test]
    fn links_go_with_the_last_line_that_has_them() {
        let line = Line::new();
        let (first, second) = (numbered(0), numbered(1));
        line.append(None, first.clone());
        line.append(Some(&*first), second.clone());
        let (copy, share) = (line.clone(), line.share(&second));
        drop(line);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 3));
        drop((copy, first));
        assert_eq!(Arc::strong_count(&second), 2, "it is in no line any more");
        drop(second);
        assert_eq!(Arc::strong_count(&share), 1);
    }

    #[test]
    fn a_long_line_is_dropped_on_one_frame() {
        let line = Line::new();
        let last = numbered(0);
        line.append(None, last.clone());
        let mut last = last;
        for number in 1..200_000 {
            let next = numbered(number);
            assert!(line.append(Some(&*last), next.clone()));
            last = next;
        }
        drop(line);
        assert_eq!(Arc::strong_count(&last), 1);
    }
}
