//! Where goroutines settle: what one makes spreads over all home Ms.

use std::collections::HashMap;
use std::thread::{self, ThreadId};

use gosched::{Runtime, chan, go};
use test_support::settled;

/// One goroutine makes `n` that live long; how many of them settled on each thread.
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
            per_thread.len() == procs && least.zip(most).is_some_and(|(least, most)| most * 10 <= least * 13)
        };
        // An M that has lost its core for long lets the others take more than their share: there are a few tries.
        let mut seen = Vec::new();
        while !seen.last().is_some_and(evenly) {
            assert!(seen.len() < 10, "with {procs} Ps: {seen:?}");
            seen.push(accept(procs, 2000));
        }
    }
}
