//! The scheduler's data structures, without goroutines: revocable slot, queues, park word, timers.
#![expect(unsafe_code, reason = "queues nodes by pointer")]

use std::hint::black_box;
use std::ptr::NonNull;

use criterion::Criterion;

use crate::ds::inbox::Inbox;
use crate::ds::list::{Link, Linked, List};
use crate::ds::parker::Parker;
use crate::ds::revocable::Revocable;
use crate::ds::timers::Timers;

pub(crate) fn measure(criterion: &mut Criterion) {
    slot(criterion);
    queue(criterion);
    inbox(criterion);
    parker(criterion);
    timers(criterion, 10);
    timers(criterion, 100_000);
}

/// What each operation pays to acquire its P.
fn slot(criterion: &mut Criterion) {
    let slot = Revocable::new();
    let taken = slot.acquire().expect("nobody has it in hand");
    slot.release(taken.or_else(|| Some(Box::new(0_u64))));
    criterion.bench_function("table/enter, leave", |bencher| {
        bencher.iter(|| {
            let taken = black_box(&slot).acquire().expect("nobody has it in hand");
            slot.release(black_box(taken));
        });
    });
}

struct Node(Link);

// SAFETY: it is the node's own link.
unsafe impl Linked for Node {
    fn link(&self) -> &Link {
        &self.0
    }
}

/// Nodes that outlive every queue they are put in.
fn nodes(count: usize) -> Vec<NonNull<Node>> {
    let nodes: &'static [Node] = (0..count).map(|_| Node(Link::new())).collect::<Vec<_>>().leak();
    nodes.iter().map(NonNull::from).collect()
}

/// The run queue's own part: the first node goes to the end, as in a yield.
fn queue(criterion: &mut Criterion) {
    let mut queue = List::new();
    for node in nodes(16) {
        // SAFETY: it is in no queue, and never freed.
        unsafe { queue.push_back(node) };
    }
    criterion.bench_function("run queue/pop, push", |bencher| {
        bencher.iter(|| {
            let first = black_box(&mut queue).pop_front().expect("there are 16");
            // SAFETY: it was just taken out, and is never freed.
            unsafe { queue.push_back(first) };
        });
    });
}

/// The run queue's inbox, without another thread.
fn inbox(criterion: &mut Criterion) {
    let (inbox, node) = (Inbox::new(), nodes(1)[0]);
    criterion.bench_function("run queue/inbox push, take", |bencher| {
        bencher.iter(|| {
            // SAFETY: it is in no queue, being taken out below, and is never freed.
            unsafe { black_box(&inbox).push(node) };
            inbox.take_all().pop_front()
        });
    });
}

fn parker(criterion: &mut Criterion) {
    let parker = Parker::new();
    criterion.bench_function("park word/park, claim", |bencher| {
        bencher.iter(|| {
            let parker = black_box(&parker);
            parker.prepare();
            (parker.commit(true), parker.notify())
        });
    });
}

/// Among so many other timers that are due later and earlier.
fn timers(criterion: &mut Criterion, others: u64) {
    let timers = Timers::new();
    for other in 0..others {
        // Scattered over 2^32 by an odd factor. They stay in the heap until the end.
        let _kept =
            timers.add(other.wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF, ()).expect("there is memory");
    }
    let mut at = 0_u64;
    criterion.bench_function(&format!("timers/add, remove among {others}"), |bencher| {
        bencher.iter(|| {
            at = at.wrapping_add(0x85EB_CA6B) & 0xFFFF_FFFF;
            let timer = timers.add(at, ()).expect("there is memory");
            timers.remove(timer)
        });
    });
}
