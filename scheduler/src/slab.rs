//! G records: carved in chunks, recycled, freed with their runtime.
//!
//! That they stay mapped is what lets a waker or a signal handler be late (see `g`), and that they can all be walked is
//! what shutdown needs; a registry that every spawn and every end had to lock is what this replaces.
//!
//! # Safety
//!
//! A record is vacant, and then in one list of vacant records, or belongs to one G.
#![expect(unsafe_code, reason = "hands out pointers into chunks that it owns")]

use std::ptr::NonNull;

use gosched_runtime_sys::primitive::Mutex;

use crate::g::{G, Runnable};

/// How many records are carved, and moved between a P and the slab, at a time.
pub(crate) const BATCH: usize = 64;

struct State {
    chunks: Vec<NonNull<[G]>>,
    vacant: Vec<NonNull<G>>,
}

// SAFETY: the pointers are what is not `Send`; the slab owns the chunks, and vacant records belong to whoever has the list.
unsafe impl Send for State {}

/// All G records of a runtime.
pub(crate) struct Slab(Mutex<State>);

impl Slab {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { chunks: Vec::new(), vacant: Vec::new() }))
    }

    /// Moves a batch of vacant records into `to`.
    #[cold]
    pub(crate) fn refill(&self, to: &mut Vec<NonNull<G>>) {
        let mut state = self.0.lock();
        if state.vacant.is_empty() {
            let chunk: Box<[G]> = (0..BATCH).map(|_| G::vacant()).collect();
            let chunk = NonNull::from(Box::leak(chunk));
            state.chunks.push(chunk);
            state.vacant.extend((0..BATCH).map(|i| {
                // SAFETY: `i` is inside the chunk.
                unsafe { chunk.cast::<G>().add(i) }
            }));
        }
        let keep = state.vacant.len().saturating_sub(BATCH / 2);
        to.extend(state.vacant.drain(keep..));
    }

    /// One vacant record, for who has no P.
    pub(crate) fn take(&self) -> Runnable {
        let mut one = Vec::with_capacity(BATCH);
        self.refill(&mut one);
        let g = one.pop().expect("a refill brings at least one");
        self.0.lock().vacant.append(&mut one);
        // SAFETY: it was vacant and is in no list any more.
        unsafe { Runnable::from_raw(g) }
    }

    /// Gives records back.
    #[cold]
    pub(crate) fn put(&self, records: impl Iterator<Item = NonNull<G>>) {
        self.0.lock().vacant.extend(records);
    }

    /// Calls `f` with every record, in use or not.
    pub(crate) fn each(&self, mut f: impl FnMut(NonNull<G>)) {
        let chunks = self.0.lock().chunks.clone();
        for chunk in chunks {
            for i in 0..BATCH {
                // SAFETY: `i` is inside the chunk.
                f(unsafe { chunk.cast::<G>().add(i) });
            }
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        for chunk in self.0.lock().chunks.drain(..) {
            // SAFETY: `refill` leaked it from a box; the runtime ends, so no G is left and nobody reaches a record.
            drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
    }
}
