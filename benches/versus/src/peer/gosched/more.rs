//! gosched: the workloads that no other Rust runtime with stacks can do: channels with many
//! receivers and a limit, waiting for several channels, a hundred thousand goroutines at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::chan::{self, Receiver};
use gosched::{go, goroutine, select, time, yield_now};

use super::place::Place;
use crate::peer::measure::{Figures, memory, ns_per_op, workers};
use crate::peer::stackful::Stackful;

/// Runs the workload. `None` if there is no such workload.
pub(crate) fn run(place: &Place, workload: &str) -> Option<Figures> {
    Some(match workload {
        "prodcons" => producers_consumers(place, 1_000_000),
        "parked100k" => parked(100_000),
        "parked1m" => parked(1_000_000),
        "select" => selecting(place, 400_000),
        _ => return None,
    })
}

/// Four goroutines send to four, over a channel of capacity 128.
fn producers_consumers(r: &Place, items: u64) -> Figures {
    let (tx, rx) = chan::bounded::<u64>(128);
    let began = Instant::now();
    let consumers: Vec<_> = (0..4)
        .map(|place| {
            let rx = rx.clone();
            r.go_at(place, move || rx.iter().map(|_| 1).sum::<u64>())
        })
        .collect();
    for place in 0..4 {
        let tx = tx.clone();
        // Half of the senders and half of the receivers are on each side.
        drop(r.go_at(place / 2, move || {
            (0..items / 4).for_each(|value| tx.send(value).expect("somebody receives"));
        }));
    }
    drop((tx, rx));
    assert_eq!(consumers.into_iter().map(Place::join).sum::<u64>(), items);
    ns_per_op(items, began)
}

/// Bytes of stack for those that only wait: what one says who wants a million.
const SMALL_STACK: usize = 192 << 10;

/// Returns what each of so many waiting goroutines takes. One goroutine for each worker spawns
/// them, because a settled goroutine stays where it begins.
fn parked(goroutines: u64) -> Figures {
    let before = memory();
    let (never, nothing) = chan::bounded::<()>(0);
    let waiting = Arc::new(AtomicU64::new(0));
    let makers = workers() as u64;
    for _ in 0..makers {
        let (nothing, waiting) = (nothing.clone(), waiting.clone());
        drop(go(move || make(goroutines / makers, &nothing, &waiting)));
    }
    until(&waiting, goroutines / makers * makers);
    // The last goroutines are on their way into the channel.
    time::sleep(Duration::from_millis(20));
    let figures = vec![("bytes_per_g", (memory() - before) / goroutines as f64)];
    // They wait until the process ends.
    std::mem::forget(never);
    figures
}

fn make(goroutines: u64, nothing: &Receiver<()>, waiting: &Arc<AtomicU64>) {
    let mine = Arc::new(AtomicU64::new(0));
    for n in 0..goroutines {
        let (nothing, waiting, begun) = (nothing.clone(), waiting.clone(), mine.clone());
        let small = goroutine::Builder::new().stack_size(SMALL_STACK);
        drop(small.go(move || {
            begun.fetch_add(1, Relaxed);
            waiting.fetch_add(1, Relaxed);
            nothing.recv()
        }));
        // An unstarted goroutine keeps its closure on the heap.
        if n % 1024 == 0 {
            until(&mine, n);
        }
    }
}

fn until(counter: &AtomicU64, n: u64) {
    while counter.load(Relaxed) < n {
        yield_now();
    }
}

/// One goroutine receives from four channels, whichever is ready first.
fn selecting(r: &Place, items: u64) -> Figures {
    let channels = [(); 4].map(|()| chan::bounded::<u64>(16));
    let began = Instant::now();
    for (place, (tx, _)) in channels.iter().enumerate() {
        let tx = tx.clone();
        drop(r.go_at(place + 1, move || {
            (0..items / 4).for_each(|value| tx.send(value).expect("somebody receives"));
        }));
    }
    // The senders stay here, because a channel without a sender is always ready.
    let receivers = channels.each_ref().map(|(_, rx)| rx.clone());
    let sum = Place::join(r.go_at(0, move || (0..items).map(|_| receive(&receivers)).sum::<u64>()));
    assert_eq!(sum, (0..items / 4).sum::<u64>() * 4);
    ns_per_op(items, began)
}

fn receive([a, b, c, d]: &[Receiver<u64>; 4]) -> u64 {
    let sent = select! {
        recv(a) -> value => value,
        recv(b) -> value => value,
        recv(c) -> value => value,
        recv(d) -> value => value,
    };
    sent.expect("the senders are kept")
}
