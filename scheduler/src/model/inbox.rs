//! The inbox between two senders and its taker.
//!
//! # Safety
//!
//! Plain cells stand for what the protocol hands over; loom reports an access that the protocol
//! does not order.
#![expect(unsafe_code, reason = "the model reads and writes plain cells, which loom checks")]

use gosched_runtime_sys::sync::primitive::{Arc, UnsafeCell, thread};
use std::ptr::NonNull;

use super::models;
use crate::ds::inbox::Inbox;
use crate::ds::list::{Link, Linked, List};

/// A node, and the number that its sender wrote into it without atomics.
struct Node {
    link: Link,
    sender: usize,
    number: UnsafeCell<usize>,
}

// SAFETY: it is the node's own link.
unsafe impl Linked for Node {
    fn link(&self) -> &Link {
        &self.link
    }
}

// SAFETY: the sender writes the number before the node is in, and the taker reads it after the node
// is out.
unsafe impl Sync for Node {}
// SAFETY: nothing in it is bound to a thread.
unsafe impl Send for Node {}

struct World {
    inbox: Inbox<Node>,
    nodes: [[Node; 2]; 2],
}

impl World {
    fn new() -> Arc<Self> {
        let node = |sender| Node { link: Link::new(), sender, number: UnsafeCell::new(0) };
        Arc::new(Self {
            inbox: Inbox::new(),
            nodes: [0, 1].map(|sender| [node(sender), node(sender)]),
        })
    }

    /// Sends the first `count` of a sender's nodes, with the numbers 1, 2, ...
    fn send(&self, sender: usize, count: usize) {
        for (node, number) in self.nodes[sender][..count].iter().zip(1..) {
            // SAFETY: the node is not in yet.
            node.number.with_mut(|cell| unsafe { *cell = number });
            // SAFETY: the world outlives the threads, and each node is sent once.
            unsafe { self.inbox.push(NonNull::from(node)) };
        }
    }
}

/// Reads the numbers of a list. `seen` is the last number of each sender, and the next one must
/// follow.
fn read(mut list: List<Node>, seen: &mut [usize; 2]) {
    while let Some(node) = list.pop_front() {
        // SAFETY: the world keeps the nodes.
        let node = unsafe { node.as_ref() };
        // SAFETY: the node is out, so its number is the taker's; loom reports it if not.
        let number = node.number.with(|number| unsafe { *number });
        assert_eq!(number, seen[node.sender] + 1, "lost, seen twice, or out of order");
        seen[node.sender] = number;
    }
}

/// One sender sends two nodes, another sends one, and the taker takes twice meanwhile and once at
/// the end.
fn two_send() {
    let world = World::new();
    let senders = [(0, 2), (1, 1)].map(|(sender, count)| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.send(sender, count))
    });
    let mut seen = [0, 0];
    read(world.inbox.take_all(), &mut seen);
    read(world.inbox.take_all(), &mut seen);
    for sender in senders {
        sender.join().unwrap();
    }
    read(world.inbox.take_all(), &mut seen);
    assert_eq!(seen, [2, 1]);
    assert!(world.inbox.is_empty());
}

models! {
    holds two_senders = two_send within 3 preemptions;
    catches a_push_that_publishes_nothing = "inbox.push_relaxed" in two_send within 3 preemptions;
    catches a_push_over_another = "inbox.push_stores" in two_send within 3 preemptions;
    catches a_taker_that_acquires_nothing = "inbox.take_relaxed" in two_send within 3 preemptions;
}
