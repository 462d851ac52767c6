//! The values of goroutine-locals, in the goroutine's own part, and their end.
//!
//! # Invariants
//!
//! - A value's place in memory does not change, and it is dropped by [`end`] alone: when its
//!   goroutine's closure has come to its end, so that nobody has a reference to it any more.
//! - The list is never borrowed while other code runs: it is taken out of its cell for a few moves,
//!   and what it grows by is allocated before, what was outgrown freed afterwards. An allocator, an
//!   initialiser and a drop may come back here.
//!
//! # Safety
//!
//! See the first invariant.
#![expect(unsafe_code, reason = "lends values that a list owns")]

use std::any::TypeId;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use gosched_runtime_sys::signal::fatal::{Part, fatal};

use crate::gmp::current;
use crate::gmp::g::{Cancelled, GOwned, LocalValue};

/// Calls `f` with the goroutine's value of the local at address `key`, made by `init` if there is
/// none. `None`: the calling thread is no goroutine.
pub(crate) fn with<T: 'static, R>(
    key: usize,
    init: fn() -> T,
    f: impl FnOnce(&T) -> R,
) -> Option<R> {
    let value = match find::<T>(key)? {
        Some(value) => value,
        None => insert(key, Box::new(init()))?,
    };
    // SAFETY: the goroutine has not ended, for it runs this.
    Some(f(unsafe { value.as_ref() }))
}

/// The goroutine's value, if there is one; if there is a goroutine.
fn find<T: 'static>(key: usize) -> Option<Option<NonNull<T>>> {
    current::with(|cx| Some(listed(cx?.owned()?, key)))
}

fn listed<T: 'static>(owned: &GOwned, key: usize) -> Option<NonNull<T>> {
    let locals = owned.locals.take();
    // The type as well: two constants of different types may have one address.
    let local = locals.iter().find(|local| local.key == (key, TypeId::of::<T>()));
    let value = local.map(|local| local.value.cast::<T>());
    owned.locals.set(locals);
    value
}

/// Lists a value that was just made.
fn insert<T: 'static>(key: usize, value: Box<T>) -> Option<NonNull<T>> {
    let mut value = Some(value);
    let mut room = Vec::new();
    loop {
        let (found, wanted) = current::with(|cx| {
            let owned = cx?.owned()?;
            if let Some(other) = listed(owned, key) {
                return Some((Some(other), 0));
            }
            let mut locals = owned.locals.take();
            if locals.capacity() == locals.len() && room.capacity() > locals.len() {
                room.append(&mut locals);
                mem::swap(&mut locals, &mut room);
            }
            let wanted = locals.len() + 1;
            let fits = value.take_if(|_| locals.capacity() >= wanted);
            let place = fits.map(|value| NonNull::from(Box::leak(value)));
            locals.extend(
                place.map(|place| LocalValue { key: (key, TypeId::of::<T>()), value: place }),
            );
            owned.locals.set(locals);
            Some((place, wanted))
        })?;
        if found.is_some() {
            // What is left over: room, or a value that the initialiser made by the way of its own.
            return found;
        }
        room = Vec::with_capacity((2 * wanted).max(4));
    }
}

/// The closure of goroutine `id` has come to its end: drops its locals, the one that was made last
/// first. They may wait, and make others; those are dropped as well, unless they go on making new
/// ones for ever. Does nothing where the calling goroutine is another one: that which could not be
/// started has none.
pub(crate) fn end(id: u64) {
    let count =
        current::with(|cx| cx?.g().filter(|g| g.id() == id).and_then(|_| Some(len(cx?.owned()?))));
    if let Some(count) = count.filter(|count| *count > 0) {
        drop_all(4 * count + 64);
    }
}

/// How many values the goroutine has.
pub(crate) fn len(owned: &GOwned) -> usize {
    let locals = owned.locals.take();
    let len = locals.len();
    owned.locals.set(locals);
    len
}

#[cold]
fn drop_all(at_most: usize) {
    for _ in 0..at_most {
        let last = current::with(|cx| {
            let owned = cx?.owned()?;
            let mut locals = owned.locals.take();
            let last = locals.pop();
            owned.locals.set(locals);
            last
        });
        let Some(last) = last else { break };
        // SAFETY: from a box, and off the list, and the closure that might have a reference has
        // come to its end.
        let last = unsafe { Box::from_raw(last.value.as_ptr()) };
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(last)));
        // A cancel only ends the wait that the drop was in.
        if let Err(payload) = dropped
            && !payload.is::<Cancelled>()
        {
            mem::forget(payload);
            fatal(&[Part::Text("gosched: a goroutine-local panicked while it was dropped\n")]);
        }
    }
    // What is left is leaked.
    drop(current::with(|cx| Some(cx?.owned()?.locals.take())));
}
