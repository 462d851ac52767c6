//! G records: carved in chunks, recycled, freed with their runtime.
//!
//! Each chunk is as large as all before it, up to [`LARGEST`]: small ones would lie between the
//! closures of the goroutines, and keep the holes that those leave from being used as one.
//!
//! That they stay mapped is what lets a waker or a signal handler be late (see `g`), and that they
//! can all be walked is what shutdown needs; a registry that every spawn and every end had to lock
//! is what this replaces.
//!
//! Nothing is allocated under the lock: an allocator that makes goroutines comes by here.
//!
//! # Safety
//!
//! A record is vacant, and then in one list of vacant records, or belongs to one G. Chunks are
//! freed by `Drop` alone.
#![expect(unsafe_code, reason = "hands out pointers into chunks that it owns")]

use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::list::List;
use crate::gmp::g::{G, Runnable};

/// How many records are moved between a P and the slab at a time, and how many the first chunk has.
pub(crate) const BATCH: usize = 64;

/// How many the largest chunk has: they are all written when it is carved, in half a millisecond.
const LARGEST: usize = 16_384;

struct Chunk {
    records: Box<[G]>,
    older: *mut Chunk,
}

/// All G records of a runtime.
pub(crate) struct Slab {
    vacant: Mutex<List<G>>,
    /// Never shrinks.
    newest: AtomicPtr<Chunk>,
    /// How many records there are.
    carved: AtomicUsize,
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self {
            vacant: Mutex::new(List::new()),
            newest: AtomicPtr::new(ptr::null_mut()),
            carved: AtomicUsize::new(0),
        }
    }

    /// Moves some vacant records into `to`, at least one.
    #[cold]
    pub(crate) fn refill(&self, to: &mut Vec<NonNull<G>>) {
        to.reserve(BATCH);
        let mut vacant = self.vacant.lock();
        to.extend((0..BATCH / 2).map_while(|_| vacant.pop_front()));
        drop(vacant);
        if to.is_empty() {
            let mut carved = self.carve();
            to.extend((0..BATCH).map_while(|_| carved.pop_front()));
            self.vacant.lock().append(carved);
        }
    }

    /// One vacant record, for who has no P.
    pub(crate) fn take(&self) -> Runnable {
        let vacant = self.vacant.lock().pop_front();
        let g = vacant.unwrap_or_else(|| {
            let mut carved = self.carve();
            let g = carved.pop_front().expect("a chunk has records");
            self.vacant.lock().append(carved);
            g
        });
        // SAFETY: it was vacant and is in no list any more.
        unsafe { Runnable::from_raw(g) }
    }

    /// Gives records back.
    #[cold]
    pub(crate) fn put(&self, records: impl Iterator<Item = NonNull<G>>) {
        let mut vacant = self.vacant.lock();
        for record in records {
            // SAFETY: in no list any more, and it lives as long as the slab.
            unsafe { vacant.push_back(record) };
        }
    }

    /// A new chunk's records.
    fn carve(&self) -> List<G> {
        let count = self.carved.load(Relaxed).clamp(BATCH, LARGEST);
        self.carved.fetch_add(count, Relaxed);
        let records = (0..count).map(|_| G::vacant()).collect();
        let chunk = Box::leak(Box::new(Chunk { records, older: self.newest.load(Relaxed) }));
        let mut carved = List::new();
        for record in &chunk.records {
            // SAFETY: in no list yet, and the chunk, which does not move, lives as long as the
            // slab.
            unsafe { carved.push_back(NonNull::from(record)) };
        }
        // ORDERING[slab.newest]: pairs with the load in `each`: the chunk is whole for who walks
        // them.
        while let Err(newest) =
            self.newest.compare_exchange_weak(chunk.older, &raw mut *chunk, Release, Relaxed)
        {
            chunk.older = newest;
        }
        carved
    }

    /// Calls `f` with every record, in use or not.
    pub(crate) fn each(&self, mut f: impl FnMut(NonNull<G>)) {
        // ORDERING[slab.newest]: pairs with `carve`; the older ones are behind it in the same way.
        let mut at = self.newest.load(Acquire);
        // SAFETY: null, or a chunk, which lives as long as the slab.
        while let Some(chunk) = unsafe { at.as_ref() } {
            chunk.records.iter().for_each(|g| f(NonNull::from(g)));
            at = chunk.older;
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        let mut at = *self.newest.get_mut();
        while !at.is_null() {
            // SAFETY: `carve` leaked it; the runtime ends, so no G is left and nobody reaches a
            // record.
            let chunk = unsafe { Box::from_raw(at) };
            at = chunk.older;
        }
    }
}
