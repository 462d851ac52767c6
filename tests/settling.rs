//! Where goroutines settle, and which unstarted goroutine starts first: the goroutines that one
//! spawns spread over all resident Ms, a goroutine stays beside its joiner, and none is left at the
//! bottom of a queue for good.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, ThreadId};

use gosched::{Runtime, chan, go};
use test_support::settled;

/// One goroutine spawns `n` that live long. Returns how many of them settled on each thread.
fn accept(procs: usize, n: usize) -> Vec<usize> {
    let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
    let (tx, begun) = chan::unbounded::<ThreadId>();
    let (last, stay) = chan::bounded::<()>(0);
    rt.handle().go(move || {
        for _ in 0..n {
            let (tx, stay) = (tx.clone(), stay.clone());
            go(move || {
                tx.send(thread::current().id()).expect("somebody counts");
                let _until_the_end = stay.recv();
            });
        }
    });
    let mut per_thread: HashMap<ThreadId, usize> = HashMap::new();
    for _ in 0..n {
        *per_thread.entry(begun.recv().expect("it begins")).or_default() += 1;
    }
    drop(last);
    per_thread.into_values().collect()
}

#[test]
fn an_acceptors_children_spread_over_all_home_ms() {
    for procs in [1, 2, 4, 8] {
        let evenly = |per_thread: &Vec<usize>| {
            let (least, most) = (per_thread.iter().min(), per_thread.iter().max());
            per_thread.len() == procs
                && least.zip(most).is_some_and(|(least, most)| most * 10 <= least * 13)
        };
        // An M that has lost its core for long lets the others take more than their share. So there
        // are a few tries.
        let mut seen = Vec::new();
        while !seen.last().is_some_and(evenly) {
            assert!(seen.len() < 10, "with {procs} Ps: {seen:?}");
            seen.push(accept(procs, 2000));
        }
    }
}

/// Each goroutine spawns another one and waits for its end. Returns how often the next one is on
/// another thread.
fn moves_in_a_chain(links: usize) -> usize {
    fn link(left: usize) -> Vec<ThreadId> {
        let mut threads = vec![thread::current().id()];
        if left > 0 {
            threads.extend(go(move || link(left - 1)).join().expect("the next one"));
        }
        threads
    }
    let rt = Runtime::builder(settled()).procs(2).build().expect("a runtime");
    let threads = rt.handle().go(move || link(links)).join().expect("a chain");
    threads.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// A goroutine that waits for another one's end does nothing before that, and does not count for
/// its thread's share. Otherwise a path of parents that is longer than the share would go on where
/// there are fewer, and then back, and threads that wait for each other would run a tree.
#[test]
fn those_that_join_leave_room_on_their_thread() {
    let mut seen = Vec::new();
    // Another thread takes the next one if this thread has lost its core.
    while seen.last().is_none_or(|moves| *moves > 2) {
        assert!(seen.len() < 10, "moves in a chain of 300: {seen:?}");
        seen.push(moves_in_a_chain(300));
    }
}

/// A P starts the newest G first, and here there always is a newer one, until the oldest has begun.
/// Returns whether it has begun while the one P stayed where it was: a goroutine whose P was
/// revoked leaves what it spawns to the global queue.
fn the_oldest_begins() -> bool {
    fn chain(until: &Arc<AtomicBool>) {
        if !until.load(Relaxed) {
            let until = until.clone();
            go(move || chain(&until));
        }
    }
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    let begun = Arc::new(AtomicBool::new(false));
    let two = rt.handle().go(move || {
        let oldest = begun.clone();
        let oldest = go(move || oldest.store(true, Relaxed));
        chain(&begun);
        oldest
    });
    two.join().expect("it makes two").join().expect("it begins");
    let stats = rt.stats();
    stats.retaken_blocked + stats.retaken_computing == 0
}

#[test]
fn newer_ones_that_keep_coming_keep_the_oldest_for_a_while_only() {
    assert!((0..20).any(|_| the_oldest_begins()), "each time only because its P was taken");
}
