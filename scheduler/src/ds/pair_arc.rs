//! A box with a count of its owners, for values that two share from the beginning: an `Arc` without
//! weak references, made for two owners at once, whose last owner pays no read-modify-write.
//!
//! A goroutine's packet belongs to the goroutine and to its handle. `Arc` takes one addition for
//! the second owner, one subtraction for each owner, and one more subtraction of the last owner for
//! the weak count: four of the thirteen read-modify-writes that a spawn and its join took. Here
//! there is one, by the first owner to release.
//!
//! # Why it holds
//!
//! The count is the number of [`PairArc`]s. It grows only by [`Clone`], which needs an owner. So an
//! owner that reads one is the only owner, and remains it as long as it does not clone. It may then
//! use the value as its own, or free it, without changing the count.
//!
//! Edge [pair_arc.gone]: an owner that drops its share releases; an owner that reads one, or is the
//! last to subtract, acquires. So all that the other owners did to the value comes before its end.
//!
//! # Safety
//!
//! The pointer is that of a leaked box, which exists until the last owner frees it. `PairArc<T>`
//! lends `&T` to each owner, and `&mut T` or the value itself to the only owner.
#![expect(unsafe_code, reason = "owns a box together with others")]

use std::borrow::Borrow;
use std::mem::{self, MaybeUninit};
use std::ops::Deref;
use std::ptr::NonNull;

use gosched_runtime_sys::signal::fatal::{Part, fatal};
use gosched_runtime_sys::sync::primitive::{AtomicUsize, Ordering, mutated};

/// The memory that the owners share. Opaque to others; only code that casts the type of an owner
/// names it.
pub(crate) struct Counted<T: ?Sized> {
    owners: AtomicUsize,
    value: T,
}

/// One of the owners of a value.
pub(crate) struct PairArc<T: ?Sized>(NonNull<Counted<T>>);

/// A value for two owners that is not complete. Dropped, it drops nothing that was written.
pub(crate) struct Unfilled<T>(Box<MaybeUninit<Counted<T>>>);

impl<T> Unfilled<T> {
    /// Returns the place of the value.
    #[inline]
    pub(crate) fn place(&self) -> *mut T {
        let counted = self.0.as_ptr().cast_mut();
        // SAFETY: a projection inside of the allocation.
        unsafe { &raw mut (*counted).value }
    }

    /// Returns the two owners.
    ///
    /// # Safety
    ///
    /// All of the value is written.
    #[inline]
    pub(crate) unsafe fn filled(self) -> [PairArc<T>; 2] {
        let counted = NonNull::from(Box::leak(self.0)).cast();
        [PairArc(counted), PairArc(counted)]
    }
}

// SAFETY: as for `Arc`: owners on several threads have `&T`, and any of them may come to drop the
// value.
unsafe impl<T: ?Sized + Send + Sync> Send for PairArc<T> {}
// SAFETY: as above; a `&PairArc` clones.
unsafe impl<T: ?Sized + Send + Sync> Sync for PairArc<T> {}

impl<T> PairArc<T> {
    /// Returns two owners of `value`.
    #[cfg(test)]
    pub(crate) fn pair(value: T) -> [Self; 2] {
        let counted =
            NonNull::from(Box::leak(Box::new(Counted { owners: AtomicUsize::new(2), value })));
        [Self(counted), Self(counted)]
    }

    /// Allocates a value for two owners. `init` writes a part of it, and the caller the rest.
    #[inline]
    pub(crate) fn unfilled(init: impl FnOnce(*mut T)) -> Unfilled<T> {
        let mut memory = Box::<Counted<T>>::new_uninit();
        let counted = memory.as_mut_ptr();
        // SAFETY: a projection inside of the allocation.
        let owners = unsafe { &raw mut (*counted).owners };
        // SAFETY: the place was just allocated.
        unsafe { owners.write(AtomicUsize::new(2)) };
        let unfilled = Unfilled(memory);
        init(unfilled.place());
        unfilled
    }

    /// Returns the same owner as a pointer, for [`from_raw`](Self::from_raw).
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<()> {
        mem::ManuallyDrop::new(self).0.cast()
    }

    /// Returns the owner that a pointer stands for.
    ///
    /// # Safety
    ///
    /// `raw` comes from [`into_raw`](Self::into_raw) of this type, up to lifetimes, and is made an
    /// owner again only once.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<()>) -> Self {
        Self(raw.cast())
    }

    /// Returns the value itself, if there is no other owner.
    pub(crate) fn try_unwrap(self) -> Result<T, Self> {
        if !self.is_unique() {
            return Err(self);
        }
        let counted = mem::ManuallyDrop::new(self).0;
        // SAFETY: it is a leaked box, and this was its only owner.
        Ok(unsafe { Box::from_raw(counted.as_ptr()) }.value)
    }
}

impl<T: ?Sized> PairArc<T> {
    /// True if there is no other owner, nor will be one until this owner clones.
    #[inline]
    pub(crate) fn is_unique(&self) -> bool {
        // ORDERING[pair_arc.gone]: pairs with the subtraction in `drop`: what the other owners did
        // comes before what this owner does now.
        let order =
            if mutated("pair_arc.alone_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        self.counted().owners.load(order) == 1
    }

    /// Returns the value, if there is no other owner.
    #[inline]
    pub(crate) fn get_mut_if_unique(&mut self) -> Option<&mut T> {
        if !self.is_unique() {
            return None;
        }
        // SAFETY: the box is there, and this is its only owner; no other one can arise while this
        // owner is borrowed.
        Some(unsafe { &mut self.0.as_mut().value })
    }

    /// Returns the same owner of the same value, under another type.
    ///
    /// # Safety
    ///
    /// `cast` returns the pointer that it gets, at most made wide or thin. The new type is the
    /// value's own, one of its traits, or the same with other lifetimes. It is `Send` and `Sync` if
    /// the value is sent or shared.
    #[inline]
    pub(crate) unsafe fn cast<U: ?Sized>(
        self,
        cast: fn(*mut Counted<T>) -> *mut Counted<U>,
    ) -> PairArc<U> {
        let counted = cast(mem::ManuallyDrop::new(self).0.as_ptr());
        // SAFETY: by contract `cast` returned the pointer that came from a `NonNull`.
        PairArc(unsafe { NonNull::new_unchecked(counted) })
    }

    #[inline]
    fn counted(&self) -> &Counted<T> {
        // SAFETY: the box is there while this owner is.
        unsafe { self.0.as_ref() }
    }

    #[cold]
    fn free(counted: NonNull<Counted<T>>) {
        // SAFETY: it is a leaked box, and the caller was its last owner.
        drop(unsafe { Box::from_raw(counted.as_ptr()) });
    }
}

impl<T: ?Sized> Borrow<T> for PairArc<T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: ?Sized> Deref for PairArc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T: ?Sized> Clone for PairArc<T> {
    fn clone(&self) -> Self {
        // Relaxed: this owner keeps the count above zero.
        let owners = self.counted().owners.fetch_add(1, Ordering::Relaxed);
        if owners > isize::MAX as usize {
            fatal(&[Part::Text(
                "gosched: more owners than there is memory for, most of which were forgotten\n",
            )]);
        }
        Self(self.0)
    }
}

impl<T: ?Sized> Drop for PairArc<T> {
    #[inline]
    fn drop(&mut self) {
        if self.is_unique() {
            return Self::free(self.0);
        }
        // ORDERING[pair_arc.gone]: pairs with the load in `is_unique`, and with the load below in
        // the owner that comes last.
        let order =
            if mutated("pair_arc.drop_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        if self.counted().owners.fetch_sub(1, order) == 1 {
            // ORDERING[pair_arc.gone]: pairs with the subtractions of the other owners. A load and
            // no fence, because ThreadSanitizer does not know fences.
            self.counted().owners.load(Ordering::Acquire);
            Self::free(self.0);
        }
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::{Counted, PairArc};

    #[test]
    fn the_last_owner_drops_the_value_once() {
        let value = Rc::new(());
        let [one, mut other] = PairArc::pair(value.clone());
        let third = one.clone();
        assert!(!one.is_unique() && other.get_mut_if_unique().is_none());
        drop(one);
        drop(third);
        assert_eq!(Rc::strong_count(&value), 2);
        assert!(other.get_mut_if_unique().is_some());
        drop(other);
        assert_eq!(Rc::strong_count(&value), 1);
    }

    #[test]
    fn the_only_owner_takes_the_value_out() {
        let [one, other] = PairArc::pair(Cell::new(5));
        one.set(6);
        let Err(one) = one.try_unwrap() else { panic!("there is another") };
        drop(other);
        assert_eq!(one.try_unwrap().map(Cell::into_inner).ok(), Some(6));
    }

    #[test]
    fn known_by_a_trait_it_is_the_same() {
        let value = Rc::new(7);
        let [one, other] = PairArc::pair(value.clone());
        // SAFETY: the pointer is made wide, and the value is its trait's.
        let shown: PairArc<dyn std::fmt::Debug> =
            unsafe { one.cast(|counted| counted as *mut Counted<_>) };
        assert_eq!(format!("{:?}", &*shown), "7");
        drop(other);
        drop(shown);
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
