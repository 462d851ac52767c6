//! A place for one value: how values travel through a channel.
//!
//! A value that is passed from function to function is copied by each of them in a debug build, and
//! by some in a release build. A goroutine's stack has room for few copies of a large value. So a
//! value is moved into a [`Place`] once, in the frame of the public function; everything below
//! passes the place. Between two places, and between a place and the buffer, the bytes are copied
//! directly, with nothing in between.
//!
//! The parts that build a public result are functions of their own and not inlined into a frame
//! that waits: their copies are on the stack for their own time only.
//!
//! # Safety
//!
//! The layout of an enum with `repr(C, u8)` is that of a struct of the tag and the payload, which
//! [`Layout`] spells out.

#![expect(unsafe_code, reason = "moves a value without a copy on the stack")]

use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// A value, or room for it.
#[repr(C, u8)]
pub(crate) enum Place<T> {
    Empty = EMPTY,
    Full(T) = FULL,
}

const EMPTY: u8 = 0;
const FULL: u8 = 1;

/// What a [`Place`] is in memory.
#[repr(C)]
struct Layout<T> {
    tag: u8,
    value: MaybeUninit<T>,
}

impl<T> Place<T> {
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    #[inline(always)]
    fn layout(&mut self) -> &mut Layout<T> {
        // SAFETY: that is the layout of the enum. The tag stays one of the two, and the callers set
        // it to FULL only for a value that is there.
        unsafe { &mut *ptr::from_mut(self).cast() }
    }

    /// Moves the value of a full place to `to`.
    ///
    /// # Safety
    ///
    /// The place is full, and `to` is valid for a write and holds nothing.
    #[inline(always)]
    pub(super) unsafe fn move_out(&mut self, to: *mut T) {
        debug_assert!(self.is_full(), "there is a value");
        let layout = self.layout();
        let from = layout.value.as_ptr();
        // SAFETY: a full place has an initialised value, and this function's contract.
        unsafe { ptr::copy_nonoverlapping(from, to, 1) };
        layout.tag = EMPTY;
    }

    /// Moves the value at `from` into an empty place.
    ///
    /// # Safety
    ///
    /// The place is empty. At `from` is a value, which is not used afterwards.
    #[inline(always)]
    pub(super) unsafe fn move_in(&mut self, from: *const T) {
        debug_assert!(!self.is_full(), "there is room");
        let layout = self.layout();
        let to = layout.value.as_mut_ptr();
        // SAFETY: this function's contract.
        unsafe { ptr::copy_nonoverlapping(from, to, 1) };
        layout.tag = FULL;
    }

    /// Moves the value, if there is one, into `to`, which is empty.
    #[inline(always)]
    pub(crate) fn move_to(&mut self, to: &mut Self) {
        debug_assert!(!to.is_full(), "the value there would be leaked");
        if self.is_full() {
            let to = to.layout();
            // SAFETY: it is full, and the other one is empty.
            unsafe { self.move_out(to.value.as_mut_ptr()) };
            to.tag = FULL;
        }
    }

    /// Takes the value as an `R`, which is one.
    ///
    /// # Safety
    ///
    /// The place is full, and an `R` is a `T` and nothing else (`repr(transparent)`).
    #[inline]
    pub(super) unsafe fn take_as<R>(&mut self) -> R {
        let layout = self.layout();
        layout.tag = EMPTY;
        // SAFETY: this function's contract.
        unsafe { layout.value.as_ptr().cast::<R>().read() }
    }

    /// Moves what is in `slot`, if anything is, into an empty place.
    #[inline]
    pub(super) fn take_from(&mut self, slot: &mut Option<T>) {
        assert!(!self.is_full(), "a place holds one value");
        if let Some(value) = slot.as_mut() {
            let value: *const T = value;
            // SAFETY: the place is empty. The value is overwritten, and not dropped, right after.
            unsafe { self.move_in(value) };
            // SAFETY: a reference is valid for a write.
            unsafe { ptr::write(slot, None) };
        }
    }

    /// Takes the value, if there is one.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<T> {
        if !self.is_full() {
            return None;
        }
        // SAFETY: it is full.
        Some(unsafe { self.take_as() })
    }
}

/// True for values that travel through a place on the heap: some copies of one would be a
/// noticeable part of a goroutine's stack, and an allocation costs less than the copy that it
/// saves.
#[cfg(not(debug_assertions))]
pub(super) const fn is_large<T>() -> bool {
    size_of::<T>() > 4096
}

/// Moves an argument into a place, and runs what follows with it.
///
/// In a debug build the place is on the heap whatever the value's size: each branch would have a
/// copy of its own in the frame.
macro_rules! in_place {
    ($T:ty, $value:ident, |$place:ident| $run:expr) => {{
        #[cfg(debug_assertions)]
        {
            let $place = &mut *$crate::chan::place::Place::<$T>::boxed_full($value);
            $run
        }
        #[cfg(not(debug_assertions))]
        if $crate::chan::place::is_large::<$T>() {
            let $place = &mut *$crate::chan::place::Place::<$T>::boxed_full($value);
            $run
        } else {
            let $place = &mut $crate::chan::place::Place::<$T>::Full($value);
            $run
        }
    }};
}
pub(super) use in_place;

/// Runs what follows with an empty place.
macro_rules! with_room {
    ($T:ty, |$place:ident| $run:expr) => {{
        #[cfg(debug_assertions)]
        {
            let $place = &mut *$crate::chan::place::Place::<$T>::boxed();
            $run
        }
        #[cfg(not(debug_assertions))]
        if $crate::chan::place::is_large::<$T>() {
            let $place = &mut *$crate::chan::place::Place::<$T>::boxed();
            $run
        } else {
            let $place = &mut $crate::chan::place::Place::<$T>::Empty;
            $run
        }
    }};
}
pub(super) use with_room;

impl<T> Place<T> {
    /// Returns an empty place on the heap.
    pub(super) fn boxed() -> Box<Self> {
        let mut place = Box::<Self>::new_uninit();
        // SAFETY: the enum begins with its tag, a byte.
        unsafe { place.as_mut_ptr().cast::<u8>().write(EMPTY) };
        // SAFETY: an empty place is its tag, and nothing else.
        unsafe { place.assume_init() }
    }

    /// Moves `value` into a place on the heap.
    ///
    /// By way of a box of its own: to put an argument into a box is the one way to move it that has
    /// no copy on the stack in any build.
    #[inline(never)]
    pub(super) fn boxed_full(value: T) -> Box<Self> {
        let (value, mut place) = (Box::into_raw(Box::new(value)), Self::boxed());
        // SAFETY: the place is empty. The value is not used after this.
        unsafe { place.move_in(value) };
        // SAFETY: it came out of a box; what it held has been moved.
        drop(unsafe { Box::from_raw(value.cast::<MaybeUninit<T>>()) });
        place
    }
}

/// Where a place is: what a waiter's node carries.
///
/// # Safety
///
/// A node leads to a place that stays valid, and untouched by its owner, while the node is linked,
/// and until it is `done`.
pub(crate) struct PlaceRef<T>(NonNull<Place<T>>);

impl<T> Clone for PlaceRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PlaceRef<T> {}

// SAFETY: the value in the place goes to the thread that follows the pointer, under a lock.
unsafe impl<T: Send> Send for PlaceRef<T> {}

impl<T> PlaceRef<T> {
    #[inline(always)]
    pub(crate) fn new(place: &mut Place<T>) -> Self {
        Self(place.into())
    }

    /// Returns the place.
    ///
    /// # Safety
    ///
    /// As the type says; and nobody else uses the place while what is returned is used.
    #[inline(always)]
    pub(crate) unsafe fn get<'a>(self) -> &'a mut Place<T> {
        // SAFETY: this function's contract.
        unsafe { &mut *self.0.as_ptr() }
    }
}

/// The place of a case of a select: borrowed from the frame of a `select!`, or the case's own.
pub(super) struct CasePlace<'a, T> {
    place: PlaceRef<T>,
    is_own: bool,
    _borrowed: PhantomData<&'a mut Place<T>>,
}

impl<'a, T> CasePlace<'a, T> {
    pub(super) fn borrowed(place: &'a mut Place<T>) -> Self {
        Self { place: PlaceRef::new(place), is_own: false, _borrowed: PhantomData }
    }

    pub(super) fn own(place: Box<Place<T>>) -> Self {
        let place = PlaceRef::new(Box::leak(place));
        Self { place, is_own: true, _borrowed: PhantomData }
    }

    pub(super) fn at(&self) -> PlaceRef<T> {
        self.place
    }

    /// Returns the place.
    ///
    /// # Safety
    ///
    /// No other thread can reach it: no node that leads to it is linked, or the lock of the list is
    /// held, in which it is. Nobody else uses it while what is returned is used.
    #[expect(clippy::mut_from_ref, reason = "the place is another object, and the caller's alone")]
    pub(super) unsafe fn get(&self) -> &mut Place<T> {
        // SAFETY: this function's contract.
        unsafe { self.place.get() }
    }
}

impl<T> Drop for CasePlace<'_, T> {
    fn drop(&mut self) {
        if self.is_own {
            // SAFETY: `own` made it a box, which nobody else frees.
            drop(unsafe { Box::from_raw(self.place.0.as_ptr()) });
        }
    }
}

impl<T> fmt::Debug for PlaceRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlaceRef { .. }")
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_value_is_in_one_place() {
        let value = Arc::new(5);
        let (mut one, mut two) = (Place::Full(value.clone()), Place::Empty);
        one.move_to(&mut two);
        assert_eq!((one.is_full(), two.is_full(), Arc::strong_count(&value)), (false, true, 2));
        one.move_to(&mut Place::Empty);
        drop(one);
        assert_eq!(two.take().as_deref(), Some(&5));
        assert_eq!((two.take(), Arc::strong_count(&value)), (None, 1));
        let full = Place::Full(value.clone());
        drop(full);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_place_on_the_heap_holds_a_value_too() {
        let value = Arc::new(5);
        let mut place = Place::boxed_full(value.clone());
        let mut other = Place::boxed();
        place.move_to(&mut other);
        drop(place);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(other);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn any_layout_will_do() {
        #[repr(align(64))]
        #[derive(Debug, PartialEq)]
        struct Aligned(u8);
        let (mut one, mut two) = (Place::Full(Aligned(3)), Place::Empty);
        one.move_to(&mut two);
        assert_eq!(two.take(), Some(Aligned(3)));
        let (mut one, mut two) = (Place::Full(()), Place::Empty);
        one.move_to(&mut two);
        assert_eq!((one.take(), two.take()), (None, Some(())));
    }
}
