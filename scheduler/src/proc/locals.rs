//! The values of goroutine-locals, in the goroutine's own part, and their end.
//!
//! `local` calls [`with`] for each access to a value, and a goroutine's packet and its last code
//! (`start::run_to_end`) call [`end`]. The goroutine owns its values: a list in its own part, which
//! the goroutine alone reads and writes.
//!
//! # Invariants
//!
//! - A value's place in memory does not change, and [`end`] alone drops it: when its goroutine's
//!   closure has ended, so that no reference to it is left. A coroutine of another library may keep
//!   one. So each reference is counted, and with one left the process ends with a message
//!   (`cancel::check_left`).
//! - The list is never borrowed while other code runs. It is taken out of its cell for a few moves;
//!   memory for it is allocated before, and freed afterwards. An allocator, an initialiser and a
//!   drop may re-enter this file.
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
use crate::proc::cancel::{Raised, check_left};

/// Calls `f` with the goroutine's value of the local at address `key`, which `init` makes if there
/// is none. `None` if the calling thread runs no goroutine.
pub(crate) fn with<T: 'static, R>(
    key: usize,
    init: fn() -> T,
    f: impl FnOnce(&T) -> R,
) -> Option<R> {
    let value = match find::<T>(key)? {
        Some(value) => value,
        None => insert(key, Box::new(init()))?,
    };
    let _borrowed = Raised::begin(|owned| &owned.borrows);
    // SAFETY: the goroutine does not drop it while the count of borrows is raised.
    Some(f(unsafe { value.as_ref() }))
}

/// Returns the goroutine's value, if it has one; the outer `None` says that there is no goroutine.
fn find<T: 'static>(key: usize) -> Option<Option<NonNull<T>>> {
    current::with(|cx| Some(listed(cx?.owned()?, key)))
}

/// Returns the value in the list of `owned`, if it is there.
fn listed<T: 'static>(owned: &GOwned, key: usize) -> Option<NonNull<T>> {
    let locals = owned.locals.take();
    // The key has the type as well: two constants of different types may have one address.
    let local = locals.iter().find(|local| local.key == (key, TypeId::of::<T>()));
    let value = local.map(|local| local.value.cast::<T>());
    owned.locals.set(locals);
    value
}

/// Puts a new value into the list, and returns its place.
///
/// If the initialiser has put one there already, returns that one's place and drops the new value.
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
            // What is dropped here is the spare room, or the value that came second.
            return found;
        }
        room = Vec::with_capacity((2 * wanted).max(4));
    }
}

/// Drops the locals of goroutine `id`, whose closure has ended; the one that was made last goes
/// first. Ends the process if the goroutine has not left what it entered.
///
/// A drop may wait, and make other values. Those are dropped as well, unless the drops go on making
/// new ones for ever. Does nothing if the calling goroutine is another one: a goroutine that could
/// not be started has no values.
pub(crate) fn end(id: u64) {
    let count = current::with(|cx| {
        let cx = cx?;
        cx.g().filter(|g| g.id() == id)?;
        let owned = cx.owned()?;
        check_left(id, owned);
        Some(len(owned))
    });
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
            let cx = cx?;
            let owned = cx.owned()?;
            // The drop before this one may have left a coroutine behind.
            check_left(cx.g()?.id(), owned);
            let mut locals = owned.locals.take();
            let last = locals.pop();
            owned.locals.set(locals);
            last
        });
        let Some(last) = last else { break };
        // SAFETY: it comes from a box and is off the list, and nothing has borrowed it: the count
        // of borrows is zero.
        let last = unsafe { Box::from_raw(last.value.as_ptr()) };
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(last)));
        // A cancel ends only the wait that the drop was in.
        if let Err(payload) = dropped
            && !payload.is::<Cancelled>()
        {
            mem::forget(payload);
            fatal(&[Part::Text("gosched: a goroutine-local panicked while it was dropped\n")]);
        }
    }
    // Values that are left are leaked.
    drop(current::with(|cx| Some(cx?.owned()?.locals.take())));
}
