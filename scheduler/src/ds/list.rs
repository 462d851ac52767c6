//! An intrusive first-in-first-out list: queueing a node allocates nothing, because the node brings
//! its own link.
//!
//! A node is in at most one [`List`] or [`Inbox`](super::inbox::Inbox) at a time. Only the holder
//! of that container, by `&mut` or because it just took it, touches the links of the nodes in it.
//! So the link needs no atomics. It is a cell that loom watches, and a broken hand-over between two
//! containers is a data race in the model.
//!
//! A list does not own its nodes: it holds the *place in a queue* of nodes whose lifetime others
//! manage. Dropping a list that is not empty forgets its nodes. Rejected: `VecDeque` of owning
//! handles (grows while a lock is held, and an allocator that calls back into the scheduler would
//! find it half done); a doubly linked list (nothing in the scheduler leaves a run queue from the
//! middle).
//!
//! # Safety
//!
//! Putting a node in is `unsafe`: the caller promises that the node is alive until it is taken out,
//! and in no other container. Everything else is safe, because it only follows links that such
//! calls made.
#![expect(unsafe_code, reason = "intrusive links are raw pointers")]

use std::fmt;
use std::ptr::{self, NonNull};

use gosched_runtime_sys::sync::primitive::{UnsafeCell, const_fn};

/// The link of a node, which lets a container queue it without allocating.
pub(crate) struct Link {
    /// The node behind this one; null at the end; [`UNLINKED`] outside of any container (debug
    /// builds only).
    next: UnsafeCell<*mut ()>,
}

// SAFETY: the pointer is only a word here. The containers follow it, and they are Send only for
// nodes that may be shared and sent.
unsafe impl Send for Link {}
// SAFETY: the cell is private to this module, and its functions are unsafe: the caller has the
// container.
unsafe impl Sync for Link {}

/// A type whose values can be queued.
///
/// Nodes go from thread to thread (`Send`), and a container looks at a node's link while others
/// hold references to the node (`Sync`).
///
/// # Safety
///
/// `link` returns the same link each time, and no other value returns that link.
pub(crate) unsafe trait Linked: Sized + Send + Sync {
    /// The link of this node.
    fn link(&self) -> &Link;
}

/// Marks a link that is in no container. It is never followed, only compared, and only in debug
/// builds.
const UNLINKED: *mut () = ptr::without_provenance_mut(usize::MAX);

impl Link {
    const_fn! {
        /// The link of a node that is in no container.
        pub(crate) fn new() -> Self {
            Self { next: UnsafeCell::new(UNLINKED) }
        }
    }

    /// Sets the next node.
    ///
    /// # Safety
    ///
    /// The caller has the container that this node is in, or is about to be put in.
    pub(super) unsafe fn set(&self, next: *mut ()) {
        self.next.with_mut(|cell| {
            // SAFETY: by this function's contract nobody else accesses the cell.
            unsafe { *cell = next }
        });
    }

    /// Returns the next node.
    ///
    /// # Safety
    ///
    /// The caller has the container that this node is in.
    pub(super) unsafe fn get(&self) -> *mut () {
        self.next.with(|cell| {
            // SAFETY: by this function's contract nobody else writes to the cell.
            unsafe { *cell }
        })
    }

    /// True if the node is in no container, as far as this build keeps track.
    ///
    /// # Safety
    ///
    /// The caller is about to put the node in.
    pub(super) unsafe fn is_free(&self) -> bool {
        // SAFETY: the node is in no container, so only the caller touches its link.
        !cfg!(debug_assertions) || unsafe { self.get() } == UNLINKED
    }

    /// Marks the node as being in no container.
    ///
    /// # Safety
    ///
    /// The caller has just taken the node out.
    unsafe fn free(&self) {
        if cfg!(debug_assertions) {
            // SAFETY: the caller still has the container that the node came from.
            unsafe { self.set(UNLINKED) };
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// A list of nodes in the order in which they came.
#[must_use = "dropping a list forgets the nodes in it"]
pub(crate) struct List<T: Linked> {
    /// First and last node, where there are any.
    ends: Option<(NonNull<T>, NonNull<T>)>,
    len: usize,
}

// SAFETY: a list is the right to its nodes, and nodes are Send and Sync by the trait's bounds.
unsafe impl<T: Linked> Send for List<T> {}

impl<T: Linked> List<T> {
    /// A list without nodes.
    pub(crate) const fn new() -> Self {
        Self { ends: None, len: 0 }
    }

    /// A list of `len` nodes that are linked from `first` to `last`.
    ///
    /// # Safety
    ///
    /// The nodes are linked like that, the link of `last` is null, and the caller has the container
    /// that they come from and gives it up.
    pub(super) unsafe fn from_chain(first: NonNull<T>, last: NonNull<T>, len: usize) -> Self {
        Self { ends: Some((first, last)), len }
    }

    /// Returns the number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// True if there is no node.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Appends a node.
    ///
    /// # Safety
    ///
    /// The node is in no container, and stays alive until it is taken out.
    pub(crate) unsafe fn push_back(&mut self, node: NonNull<T>) {
        // SAFETY: the caller keeps the node alive.
        let link = unsafe { node.as_ref() }.link();
        // SAFETY: the node is about to be put in here.
        debug_assert!(unsafe { link.is_free() }, "a node is queued twice");
        // SAFETY: as above.
        unsafe { link.set(ptr::null_mut()) };
        // SAFETY: a chain of one.
        self.append(unsafe { Self::from_chain(node, node, 1) });
    }

    /// Removes and returns the first node.
    pub(crate) fn pop_front(&mut self) -> Option<NonNull<T>> {
        let (first, last) = self.ends?;
        // SAFETY: a node in the list is alive.
        let link = unsafe { first.as_ref() }.link();
        // SAFETY: `&mut self` has the container.
        let next = unsafe { link.get() };
        // SAFETY: the node leaves it here.
        unsafe { link.free() };
        self.ends = NonNull::new(next.cast::<T>()).map(|next| (next, last));
        self.len -= 1;
        Some(first)
    }

    /// Appends all nodes of another list, in their order, in constant time.
    pub(crate) fn append(&mut self, other: Self) {
        self.len += other.len;
        self.ends = match (self.ends, other.ends) {
            (ends, None) | (None, ends) => ends,
            (Some((first, middle)), Some((next, last))) => {
                // SAFETY: a node in the list is alive.
                let link = unsafe { middle.as_ref() }.link();
                // SAFETY: `&mut self` has the container that `middle` is in.
                unsafe { link.set(next.as_ptr().cast()) };
                Some((first, last))
            }
        };
    }
}

impl<T: Linked> Default for List<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Linked> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("len", &self.len).finish()
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::{Link, Linked, List};

    /// A node with a number.
    #[derive(Debug)]
    pub(in super::super) struct Node {
        value: usize,
        link: Link,
    }

    // SAFETY: it is the node's own link.
    unsafe impl Linked for Node {
        fn link(&self) -> &Link {
            &self.link
        }
    }

    impl Node {
        pub(in super::super) fn new(value: usize) -> Self {
            Self { value, link: Link::new() }
        }

        /// Takes the nodes out, and returns their numbers in order.
        pub(in super::super) fn values(mut list: List<Self>) -> Vec<usize> {
            // SAFETY: a test's nodes outlive its lists.
            std::iter::from_fn(|| list.pop_front())
                .map(|node| unsafe { node.as_ref() }.value)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::List;
    use super::testing::Node;

    /// A list of the nodes that the numbers name.
    fn list(nodes: &[Node], which: impl IntoIterator<Item = usize>) -> List<Node> {
        let mut list = List::new();
        for i in which {
            // SAFETY: the nodes outlive the test's lists, and no test names one twice.
            unsafe { list.push_back((&nodes[i]).into()) };
        }
        list
    }

    fn nodes() -> Vec<Node> {
        (0..6).map(Node::new).collect()
    }

    #[test]
    fn first_in_first_out() {
        let nodes = nodes();
        let queue = list(&nodes, [0, 1, 2]);
        assert_eq!(queue.len(), 3);
        assert_eq!(Node::values(queue), [0, 1, 2]);
    }

    #[test]
    fn a_list_emptied_can_be_filled_again() {
        let nodes = nodes();
        let mut queue = list(&nodes, [0]);
        assert!(queue.pop_front().is_some());
        assert!(queue.pop_front().is_none());
        assert!(queue.is_empty());
        queue.append(list(&nodes, [0, 1]));
        assert_eq!(Node::values(queue), [0, 1]);
    }

    #[test]
    fn append_keeps_both_orders_and_the_count() {
        let nodes = nodes();
        for (left, right) in [(0, 0), (0, 3), (3, 3), (2, 6)] {
            let mut queue = list(&nodes, 0..left);
            queue.append(list(&nodes, left..right));
            assert_eq!(queue.len(), right);
            assert_eq!(Node::values(queue), (0..right).collect::<Vec<_>>());
        }
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "queued twice")]
    fn debug_builds_notice_a_node_that_is_queued_twice() {
        let nodes = nodes();
        let mut queue = list(&nodes, [0]);
        // SAFETY: the node is in a container, and `push_back` must notice that before it writes
        // anything.
        unsafe { queue.push_back((&nodes[0]).into()) };
    }
}
