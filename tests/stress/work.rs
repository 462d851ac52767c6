//! The work of the drivers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use gosched::{Cancelled, JoinHandle, blocking, chan, go, lock_thread, scope, time, yield_now};

use crate::{Random, Shared};

/// Chooses work and does it, until it shall stop.
pub(crate) fn drive(shared: &Arc<Shared>, mut random: Random) {
    while !shared.stop.load(Relaxed) {
        shared.books.jobs.fetch_add(1, Relaxed);
        match random.below(13) {
            0 => compute(random.up_to_ms(12)),
            1 => std::thread::sleep(random.up_to_ms(4)),
            2 => blocking(|| std::thread::sleep(random.up_to_ms(4))),
            3 => time::sleep(random.up_to_ms(3)),
            4 => children(shared, random.below(20), random.below(3)),
            5 => borrowers(shared, random.below(8)),
            6 => rendezvous(shared, random.below(200)),
            7 => locks(shared, random.below(50)),
            8 => cancels(shared, random.up_to_ms(1)),
            9 => gives_up(shared, random.up_to_ms(2)),
            10 => keeps_its_thread(random.up_to_ms(1)),
            11 => shared.rt.set_procs(1 + random.below(6) as usize).expect("a number that may be"),
            _ => (0..random.below(100)).for_each(|_| yield_now()),
        }
    }
}

fn compute(duration: Duration) {
    let began = Instant::now();
    while began.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// A goroutine that is in the books.
fn counted<T: Send + 'static>(
    shared: &Arc<Shared>,
    f: impl FnOnce(&Shared) -> T + Send + 'static,
) -> JoinHandle<T> {
    struct Ends(Arc<Shared>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.books.ended.fetch_add(1, Relaxed);
        }
    }
    shared.books.made.fetch_add(1, Relaxed);
    let ends = Ends(shared.clone());
    go(move || f(&ends.0))
}

/// Children that each send an item, and compute for a while.
fn children(shared: &Arc<Shared>, n: u64, ms: u64) {
    let child = |item| {
        counted(shared, move |shared| {
            compute(Duration::from_millis(ms));
            shared.books.sent.fetch_add(1, Relaxed);
            shared.items.send(item).expect("the collector is there");
        })
    };
    let all: Vec<_> = (0..n).map(child).collect();
    all.into_iter().for_each(|child| child.join().expect("no panic"));
}

fn borrowers(shared: &Shared, n: u64) {
    let mut sums = vec![0; n as usize];
    scope(|s| {
        for (i, sum) in sums.iter_mut().enumerate() {
            shared.books.made.fetch_add(1, Relaxed);
            s.go(move || {
                yield_now();
                *sum = i as u64 + 1;
                shared.books.ended.fetch_add(1, Relaxed);
            });
        }
    });
    assert_eq!(sums.iter().sum::<u64>(), n * (n + 1) / 2, "each has written");
}

fn rendezvous(shared: &Arc<Shared>, n: u64) {
    let (tx, rx) = chan::bounded(0);
    let sender =
        counted(shared, move |_| (0..n).for_each(|item| tx.send(item).expect("it is awaited")));
    assert!(rx.iter().eq(0..n), "in order, and each once");
    sender.join().expect("no panic");
}

/// A lock that is held over a suspension.
fn locks(shared: &Shared, n: u64) {
    for _ in 0..n {
        let mut counter = shared.counter.lock().expect("nobody panicked with it");
        *counter += 1;
        if counter.is_multiple_of(8) {
            yield_now();
        }
        drop(counter);
        shared.books.locked.fetch_add(1, Relaxed);
    }
}

/// A goroutine that waits for ever, or is cancelled before that.
fn cancels(shared: &Arc<Shared>, after: Duration) {
    let (_never, gate) = chan::bounded::<()>(0);
    let waits = counted(shared, move |_| gate.recv());
    time::sleep(after);
    let _it_has_not_ended = waits.cancel();
    let payload = waits.join().expect_err("nothing else ends it");
    assert!(payload.is::<Cancelled>());
    shared.books.cancelled.fetch_add(1, Relaxed);
}

/// A send with a time limit: the item arrives or comes back.
fn gives_up(shared: &Arc<Shared>, limit: Duration) {
    let (tx, rx) = chan::bounded(0);
    let receiver = counted(shared, move |_| rx.recv_timeout(limit).ok());
    let sent = tx.send_timeout(7_u64, limit);
    let given_back = sent.is_err();
    drop(tx);
    assert_eq!(receiver.join().expect("no panic").is_none(), given_back, "it is in one place");
    if given_back {
        shared.books.given_back.fetch_add(1, Relaxed);
    }
}

fn keeps_its_thread(duration: Duration) {
    let _lock = lock_thread();
    let here = std::thread::current().id();
    time::sleep(duration);
    yield_now();
    assert_eq!(std::thread::current().id(), here, "it is locked to it");
}
