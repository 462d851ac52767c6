//! The shared half of each P that a runtime has ever had.

use std::ops::Index;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::gmp::p::{MAX_PROCS, PShared};

/// The shared halves of all Ps that a runtime has ever had, by number.
///
/// There are never more than [`MAX_PROCS`]. A shared half stays when its P is retired: its timers
/// hold deadlines that still have to fire. Whoever walks all Ps finds them.
pub(crate) struct AllPs {
    slots: Box<[OnceLock<Arc<PShared>>]>,
    /// One above the highest number in use. The slots of lower numbers may still be empty.
    made: AtomicUsize,
}

impl AllPs {
    pub(crate) fn new() -> Self {
        Self { slots: (0..MAX_PROCS).map(|_| OnceLock::new()).collect(), made: AtomicUsize::new(0) }
    }

    /// Adds the shared half of the P with the number `index`, which is about to be used.
    pub(crate) fn add(&self, index: usize, shared: Arc<PShared>) {
        let _first = self.slots[index].set(shared);
        self.made.fetch_max(index + 1, Relaxed);
    }

    /// Returns a number that is above all numbers in use.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.made.load(Relaxed)
    }

    /// Returns the shared half of a number, if it is there.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&PShared> {
        self.slots[index].get().map(|shared| &**shared)
    }

    /// Iterates over all shared halves.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PShared> {
        self.slots[..self.len()].iter().filter_map(|slot| Some(&**slot.get()?))
    }
}

impl Index<usize> for AllPs {
    type Output = PShared;

    fn index(&self, index: usize) -> &PShared {
        self.get(index).expect("the P of this number was used")
    }
}
