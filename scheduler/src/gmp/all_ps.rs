//! The shared half of each P that a runtime has ever had.

use std::ops::Index;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::gmp::p::{MAX_PROCS, PShared};

/// The shared halves of all Ps that a runtime has ever had, by number; there are never more than
/// [`MAX_PROCS`]. None goes: timers that were put into that of a P stay there when the P is
/// retired, for whoever looks at all of them.
pub(crate) struct AllPs {
    slots: Box<[OnceLock<Arc<PShared>>]>,
    /// The numbers given out; those that were given out last may not be there yet.
    made: AtomicUsize,
}

impl AllPs {
    pub(crate) fn new() -> Self {
        Self { slots: (0..MAX_PROCS).map(|_| OnceLock::new()).collect(), made: AtomicUsize::new(0) }
    }

    /// The P of this number has been made, and is about to be used.
    pub(crate) fn add(&self, index: usize, shared: Arc<PShared>) {
        let _first = self.slots[index].set(shared);
        self.made.fetch_max(index + 1, Relaxed);
    }

    /// All numbers are below this.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.made.load(Relaxed)
    }

    /// That of a number, if it is there.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&PShared> {
        self.slots[index].get().map(|shared| &**shared)
    }

    /// All of them.
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
