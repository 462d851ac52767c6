//! An inbox: any thread puts nodes in without waiting; one taker takes all nodes out at once, in
//! the order in which they came.
//!
//! # What the outside needs
//!
//! Threads of all sorts send woken Gs to the M on which these Gs are settled. No node is lost or
//! seen twice. Two nodes from one sender come out in the order in which they went in. The taker
//! sees what each sender wrote before its push.
//!
//! # Why it holds
//!
//! The word points to the newest node, and each link to the node before: a stack. A sender adds a
//! node by compare-exchange; the taker swaps the whole chain for null. A sender that succeeds has
//! linked its node to the node that was newest at that moment, because the exchange compares with
//! the word as it is. What became of that node in the meantime does not matter: nothing is ever
//! taken from the middle and no sender follows a link, so there is no A-B-A. The taker reverses the
//! chain. The result is first-in-first-out over the order of the exchanges, and so for each sender
//! too.
//!
//! Edge [inbox.push]: the sender's exchange releases, the taker's swap acquires. The swap reads the
//! newest node only. But the exchanges of older senders head release sequences that the later
//! exchanges continue, so the swap synchronises with all of them. The same edge hands over the
//! links, which are plain cells.
//!
//! # What it does not do
//!
//! It wakes nobody. A sender that then reads whether the taker sleeps needs a `fence(SeqCst)`
//! between the push and that read. The taker needs another fence between the store that says that
//! it sleeps and its last [`is_empty`](Inbox::is_empty). That handshake belongs to the owner of the
//! word in which the taker says that it sleeps.
//!
//! # Rejected
//!
//! - A linked queue with a stub node (Vyukov): nodes come out in order without a reversal, but a
//!   sender that loses its core at the wrong moment hides all later nodes. The taker here always
//!   gets all that is in.
//! - A lock around a list: 20 ns more on each wake-up from another core, and a holder that lost its
//!   core blocks wakers.
//!
//! # Safety
//!
//! As in [`super::list`]: putting a node in is `unsafe`, and the caller promises that the node is
//! alive and in no other container.
#![expect(unsafe_code, reason = "intrusive links are raw pointers")]

use std::fmt;
use std::ptr::{self, NonNull};

use gosched_runtime_sys::sync::primitive::{AtomicPtr, Ordering, const_fn, mutated};

use super::list::{Linked, List};

/// The inbox of one taker. (Two takers at once would each get some of the nodes: still sound, but
/// with no order between them.)
pub(crate) struct Inbox<T: Linked> {
    /// The node that came last; its link leads to the node before.
    newest: AtomicPtr<T>,
}

impl<T: Linked> Inbox<T> {
    const_fn! {
        /// An empty inbox.
        pub(crate) fn new() -> Self {
            Self { newest: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// Puts a node in. From then on the taker may do with it what it likes.
    ///
    /// # Safety
    ///
    /// The node is in no container, and stays alive until it is taken out.
    #[inline]
    pub(crate) unsafe fn push(&self, node: NonNull<T>) {
        // SAFETY: the caller keeps the node alive, and nobody can take it out before it is in.
        let link = unsafe { node.as_ref() }.link();
        // SAFETY: the node is about to be put in here.
        debug_assert!(unsafe { link.is_free() }, "a node is queued twice");
        // ORDERING[inbox.push]: partner is the swap in `take_all`: it sees the link, and what the
        // sender wrote before.
        let published =
            if mutated("inbox.push_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // The first guess is an empty inbox: mostly true, and a load before the exchange would
        // fetch the line twice.
        let mut before: *mut T = ptr::null_mut();
        loop {
            // SAFETY: the node is not in yet, so the link is the caller's.
            unsafe { link.set(before.cast()) };
            if mutated("inbox.push_stores") {
                self.newest.store(node.as_ptr(), published);
                return;
            }
            match self.newest.compare_exchange_weak(
                before,
                node.as_ptr(),
                published,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(other) => before = other,
            }
        }
    }

    /// Takes all nodes out, in the order in which they came.
    #[inline]
    pub(crate) fn take_all(&self) -> List<T> {
        if self.is_empty() {
            return List::new();
        }
        // ORDERING[inbox.push]: partner is the exchange in `push`.
        let acquired =
            if mutated("inbox.take_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        let newest = self.newest.swap(ptr::null_mut(), acquired);
        // SAFETY: the swap took the chain out, so it is this thread's alone.
        unsafe { in_order(newest) }
    }

    /// True if no node is in. Only a hint, except to a taker that fenced after it said that it
    /// sleeps.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.load(Ordering::Relaxed).is_null()
    }
}

/// Turns a chain from newest to oldest into a list from oldest to newest.
///
/// # Safety
///
/// The chain was taken out of an inbox by the caller.
unsafe fn in_order<T: Linked>(newest: *mut T) -> List<T> {
    let Some(last) = NonNull::new(newest) else { return List::new() };
    let (mut node, mut newer, mut len) = (last, ptr::null_mut::<T>(), 1);
    loop {
        // SAFETY: a node that was put in is alive until the taker passes it on.
        let link = unsafe { node.as_ref() }.link();
        // SAFETY: the chain is the caller's.
        let older = unsafe { link.get() };
        // SAFETY: as above.
        unsafe { link.set(newer.cast()) };
        let Some(older) = NonNull::new(older.cast::<T>()) else { break };
        (newer, node, len) = (node.as_ptr(), older, len + 1);
    }
    // SAFETY: the loop linked the oldest node to `last`, whose link it made null; the chain is the
    // caller's.
    unsafe { List::from_chain(node, last, len) }
}

impl<T: Linked> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("empty", &self.is_empty()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::list::testing::Node;
    use super::Inbox;

    #[test]
    fn nodes_come_out_in_the_order_in_which_they_came() {
        let nodes: Vec<Node> = (0..3).map(Node::new).collect();
        let inbox = Inbox::new();
        assert!(inbox.take_all().is_empty());
        for round in 0..2 {
            for node in &nodes {
                // SAFETY: the vector outlives the inbox's use of it, and the round before took the
                // nodes out.
                unsafe { inbox.push(node.into()) };
            }
            assert!(!inbox.is_empty());
            let taken = inbox.take_all();
            assert_eq!(taken.len(), 3);
            assert_eq!(Node::values(taken), [0, 1, 2], "round {round}");
            assert!(inbox.is_empty());
        }
    }
}
