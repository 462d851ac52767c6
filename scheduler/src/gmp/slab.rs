//! G records: carved in chunks, recycled, freed with their runtime.
//!
//! Each chunk is as large as all chunks before it, up to [`LARGEST`]. Small chunks would lie
//! between the closures of the goroutines. They would keep the allocator from merging the holes
//! that freed closures leave.
//!
//! Records stay mapped, so a waker or a signal handler may be late (see `g`). Shutdown walks all
//! records. Rejected: a registry of goroutines, which every spawn and every end would have to lock.
//!
//! Nothing is allocated under the lock: an allocator that spawns goroutines enters this code again.
//!
//! # Safety
//!
//! A record is vacant, and then in one list of vacant records, or belongs to one G. Only `Drop`
//! frees chunks.
#![expect(unsafe_code, reason = "hands out pointers into chunks that it owns")]

use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::list::List;
use crate::gmp::g::{G, Runnable};

/// How many records move between a P and the slab at a time, and how many the first chunk has.
pub(crate) const BATCH: usize = 64;

/// How many records the largest chunk has. Carving writes them all, in half a millisecond.
const LARGEST: usize = 16_384;

struct Chunk {
    records: Box<[G]>,
    older: *mut Chunk,
}

/// All G records of a runtime.
pub(crate) struct Slab {
    vacant: Mutex<List<G>>,
    /// The head of the list of chunks, which only grows.
    newest: AtomicPtr<Chunk>,
    /// The number of records in all chunks.
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

    /// Moves at least one vacant record into `to`.
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

    /// Returns one vacant record, for a caller without a P.
    pub(crate) fn take(&self) -> Runnable {
        let vacant = self.vacant.lock().pop_front();
        let g = vacant.unwrap_or_else(|| {
            let mut carved = self.carve();
            let g = carved.pop_front().expect("a chunk has records");
            self.vacant.lock().append(carved);
            g
        });
        // SAFETY: the record was vacant and is in no list any more.
        unsafe { Runnable::from_raw(g) }
    }

    /// Gives vacant records back.
    #[cold]
    pub(crate) fn put(&self, records: impl Iterator<Item = NonNull<G>>) {
        let mut vacant = self.vacant.lock();
        for record in records {
            // SAFETY: the record is in no list, and lives as long as the slab.
            unsafe { vacant.push_back(record) };
        }
    }

    /// Makes a chunk. Returns its records.
    fn carve(&self) -> List<G> {
        let count = self.carved.load(Relaxed).clamp(BATCH, LARGEST);
        self.carved.fetch_add(count, Relaxed);
        let records = (0..count).map(|_| G::vacant()).collect();
        let chunk = Box::leak(Box::new(Chunk { records, older: self.newest.load(Relaxed) }));
        let mut carved = List::new();
        for record in &chunk.records {
            // SAFETY: the record is in no list yet. The chunk does not move, and lives as long as
            // the slab.
            unsafe { carved.push_back(NonNull::from(record)) };
        }
        // ORDERING[slab.newest]: publishes the whole chunk; pairs with the load in `each`.
        while let Err(newest) =
            self.newest.compare_exchange_weak(chunk.older, &raw mut *chunk, Release, Relaxed)
        {
            chunk.older = newest;
        }
        carved
    }

    /// Calls `f` with every record, in use or vacant.
    pub(crate) fn each(&self, mut f: impl FnMut(NonNull<G>)) {
        // ORDERING[slab.newest]: pairs with the exchange in `carve`. The exchanges form one release
        // sequence, so the older chunks are whole, too.
        let mut at = self.newest.load(Acquire);
        // SAFETY: the pointer is null or points to a chunk, which lives as long as the slab.
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
            // SAFETY: `carve` leaked the chunk. The runtime ends, so no G is left and nothing
            // reaches a record.
            let chunk = unsafe { Box::from_raw(at) };
            at = chunk.older;
        }
    }
}
