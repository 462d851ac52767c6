//! Stack bounds as a value: the system reports them, [`thread`](crate::thread) keeps them and hands
//! them out.

/// Where a thread's stack lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackBounds {
    /// The lowest usable address.
    pub low: usize,
    /// One past the highest address.
    pub high: usize,
    /// Bytes of guard below `low`; 0 where the system does not say (the main thread's stack grows
    /// downwards).
    pub guard: usize,
}

impl StackBounds {
    /// True if the address lies in the stack, guard excluded.
    pub fn contains(&self, address: usize) -> bool {
        (self.low..self.high).contains(&address)
    }
}
