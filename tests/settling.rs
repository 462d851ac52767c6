//! Where goroutines settle, and which unstarted goroutine starts first: the goroutines that one
//! spawns spread over all resident Ms, a goroutine stays beside its joiner, and none is left at the
//! bottom of a queue for good.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use gosched::goroutine::Builder;
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
            Builder::new().talks().go(move || {
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

/// Makes a goroutine at one place in the program, and returns the thread on which it runs.
fn begins_on() -> ThreadId {
    go(|| thread::current().id()).join().expect("no panic")
}

#[test]
fn what_is_made_at_a_new_place_begins_apart_until_it_is_known_to_end_soon() {
    for procs in [1, 2, 4] {
        let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
        let begun_beside_the_root = rt.run(|| {
            let root = thread::current().id();
            assert_ne!(begins_on(), root, "the root has settled here");
            (0..10_000).any(|_| begins_on() == root)
        });
        assert!(begun_beside_the_root, "{procs} Ps");
        // The thread of the first one learns of its end a moment after the root.
        assert!((1..100).contains(&rt.stats().begun_apart), "{}", rt.stats());
    }
}

/// Makes two goroutines at new places, one after the other. True if they begin on one thread, which
/// is not the root's.
fn a_pair_begins_together() -> bool {
    let rt = Runtime::builder(settled()).procs(2).build().expect("a runtime");
    rt.run(|| {
        let ((ping, pinged), (pong, ponged)) = (chan::bounded(0), chan::bounded(0));
        let answers = go(move || {
            pinged.iter().for_each(|n: u32| pong.send(n).expect("it is awaited"));
            thread::current().id()
        });
        let asks = go(move || {
            for n in 0..10 {
                ping.send(n).expect("it listens");
                assert_eq!(ponged.recv(), Ok(n));
            }
            thread::current().id()
        });
        let [asks, answers] = [asks, answers].map(|one| one.join().expect("no panic"));
        assert_ne!(asks, thread::current().id(), "the root is older");
        asks == answers
    })
}

/// A thread that has lost its core for long leaves the second one to another thread, so there are a
/// few tries.
#[test]
fn what_one_goroutine_makes_at_a_time_begins_together() {
    assert!((0..20).any(|_| a_pair_begins_together()), "each time apart");
}

/// Makes goroutines that talk, some that compute, and one more that talks. Returns whether that one
/// begins where none computes.
fn one_that_talks_keeps_clear(procs: usize) -> bool {
    let rt = Runtime::builder(settled()).procs(procs).build().expect("a runtime");
    let (last, stay) = chan::bounded::<()>(0);
    let (begun, begins) = chan::unbounded();
    let waits = |builder: Builder| {
        let (begun, stay) = (begun.clone(), stay.clone());
        drop(builder.runtime(&rt.handle()).go(move || {
            begun.send(thread::current().id()).expect("somebody counts");
            assert!(stay.recv().is_err());
        }));
        begins.recv().expect("it begins")
    };
    let talk: HashSet<_> = (0..3 * procs).map(|_| waits(Builder::new().talks())).collect();
    let compute: HashSet<_> = (0..5).map(|_| waits(Builder::new().computes())).collect();
    assert!(talk.is_disjoint(&compute), "{talk:?}, {compute:?}");
    let clear = !compute.contains(&waits(Builder::new().talks()));
    drop(last);
    clear
}

/// If no other thread comes in time, one on which others compute takes what talks. So there are a
/// few tries.
#[test]
fn what_is_said_to_compute_begins_where_none_talks() {
    for procs in [1, 2, 4] {
        assert!((0..10).any(|_| one_that_talks_keeps_clear(procs)), "{procs} Ps");
    }
}

/// The program says nothing, and the runtime finds it out.
#[test]
fn a_place_is_known_by_what_it_has_made() {
    let rt = Runtime::builder(settled()).procs(2).build().expect("a runtime");
    let make = |ns| {
        let computes = move || {
            let began = Instant::now();
            while began.elapsed() < Duration::from_nanos(ns) {
                std::hint::spin_loop();
            }
        };
        rt.handle().go(computes).join().expect("no panic");
    };
    make(20_000_000);
    // The thread notes it when the goroutine has ended, and may be later than the joiner.
    let began = Instant::now();
    while rt.stats().computing_places == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "it is not found out");
        thread::yield_now();
    }
    for _ in 0..1_000 {
        make(1);
        if rt.stats().computing_places == 0 {
            return;
        }
    }
    panic!("it is not forgiven");
}
