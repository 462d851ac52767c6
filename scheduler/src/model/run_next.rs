//! The place for the node that runs next, between its owner and two thieves.
//!
//! # Safety
//!
//! Plain cells stand for what the protocol hands over; loom reports an access that the protocol
//! does not order.
#![expect(unsafe_code, reason = "the model reads and writes plain cells, which loom checks")]

use std::ptr::NonNull;

use gosched_runtime_sys::sync::primitive::{Arc, UnsafeCell, thread};

use super::models;
use crate::ds::run_next::RunNext;

/// What its holder writes without atomics: how often it was held.
struct Node(UnsafeCell<usize>);

struct World {
    next: RunNext<Node>,
    nodes: [Node; 2],
}

// SAFETY: a node's cell is touched by the thread that took the node out, or has not put it in yet.
unsafe impl Sync for World {}
// SAFETY: the pointer leads into the world's own nodes.
unsafe impl Send for World {}

/// Holds the node for a moment. Returns 1.
fn hold(node: NonNull<Node>) -> usize {
    // SAFETY: the world outlives the threads.
    let node = unsafe { node.as_ref() };
    // SAFETY: the holder of a node is one thread; loom reports it if not.
    node.0.with_mut(|held| unsafe { *held += 1 });
    1
}

/// The owner puts two nodes in, one after the other, and takes what is left. Two thieves take.
fn two_are_put() {
    let world = Arc::new(World {
        next: RunNext::new(),
        nodes: [Node(UnsafeCell::new(0)), Node(UnsafeCell::new(0))],
    });
    let thieves = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.next.take().map_or(0, hold))
    });
    let mut held = 0;
    for node in &world.nodes {
        hold(NonNull::from(node));
        held += world.next.put(NonNull::from(node)).map_or(0, hold);
    }
    held += world.next.take().map_or(0, hold);
    for thief in thieves {
        held += thief.join().unwrap();
    }
    assert_eq!(held, 2, "lost, or handed out twice");
    assert!(world.next.is_empty());
}

models! {
    holds each_node_comes_out_once = two_are_put;
    catches a_put_that_publishes_nothing = "run_next.put_relaxed" in two_are_put;
    catches a_put_over_a_thief = "run_next.put_stores" in two_are_put;
    catches a_thief_that_acquires_nothing = "run_next.take_relaxed" in two_are_put;
}
