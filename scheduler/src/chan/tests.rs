//! Channels between plain threads, and, through [`TestWaiter`], with waits that are cancelled.

mod goroutines;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::raw::Channel;
use super::{
    Receiver, RecvError, Select, SendError, Sender, TryRecvError, TrySendError, bounded, unbounded,
};
use crate::testing::TestWaiter;

/// Threads that start a given number of rounds: fewer where every step is interpreted.
const ROUNDS: usize = if cfg!(miri) { 5 } else { 500 };

/// A small generator (xorshift64*); its seed is printed, and read from `GOSCHED_SEED`.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = std::env::var("GOSCHED_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("GOSCHED_SEED={seed}");
        Self(seed | 1)
    }

    fn split(&mut self) -> Self {
        Self(self.below(u64::MAX) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

/// Counts its drops in a list that outlives it.
struct Counted(Arc<Vec<AtomicUsize>>, usize);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0[self.1].fetch_add(1, Ordering::Relaxed);
    }
}

fn counters(n: usize) -> Arc<Vec<AtomicUsize>> {
    Arc::new((0..n).map(|_| AtomicUsize::new(0)).collect())
}

fn assert_dropped_once(drops: &[AtomicUsize]) {
    for (n, drops) in drops.iter().enumerate() {
        assert_eq!(drops.load(Ordering::Relaxed), 1, "drops of value {n}");
    }
}

fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn values_come_out_in_order() {
    for capacity in [0, 1, 3, 64] {
        let (tx, rx) = bounded(capacity);
        thread::scope(|s| {
            s.spawn(move || (0..ROUNDS).for_each(|n| tx.send(n).expect("the receiver is there")));
            assert!(rx.iter().eq(0..ROUNDS), "capacity {capacity}");
        });
    }
    let (tx, rx) = unbounded();
    (0..ROUNDS).for_each(|n| tx.send(n).expect("the receiver is there"));
    drop(tx);
    assert!(rx.into_iter().eq(0..ROUNDS));
}

#[test]
fn a_rendezvous_waits_for_the_receiver() {
    let (tx, rx) = bounded(0);
    let receiving = AtomicBool::new(false);
    thread::scope(|s| {
        let receiving = &receiving;
        let (done, all_done) = bounded(0);
        s.spawn(move || {
            for n in 0..ROUNDS {
                tx.send(n).expect("the receiver is there");
                assert!(receiving.swap(false, Ordering::Relaxed), "sent before anybody received");
                done.send(()).expect("the receiver is there");
            }
        });
        for n in 0..ROUNDS {
            receiving.store(true, Ordering::Relaxed);
            assert_eq!(rx.recv(), Ok(n));
            assert_eq!(all_done.recv(), Ok(()));
        }
    });
}

#[test]
fn waiting_senders_are_served_in_order_and_not_overtaken() {
    for capacity in [0, 2] {
        let (tx, rx) = bounded(capacity);
        (0..capacity).for_each(|n| tx.send(n).expect("there is room"));
        thread::scope(|s| {
            for n in capacity..capacity + 5 {
                let sender = tx.clone();
                s.spawn(move || sender.send(n).expect("the receiver is there"));
                until(|| rx.channel.waiting().0 == n - capacity + 1);
            }
            for n in 0..capacity + 5 {
                if n < 5 {
                    assert_eq!(
                        tx.try_send(99),
                        Err(TrySendError::Full(99)),
                        "overtook a waiting sender"
                    );
                }
                assert_eq!(rx.recv(), Ok(n));
            }
        });
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn waiting_receivers_are_served_in_order() {
    let (tx, rx) = bounded(4);
    thread::scope(|s| {
        let receivers: Vec<_> = (0..4)
            .map(|n| {
                let receiver = rx.clone();
                let thread = s.spawn(move || receiver.recv());
                until(|| tx.channel.waiting().1 == n + 1);
                thread
            })
            .collect();
        for n in 0..4 {
            assert_eq!(tx.try_send(n), Ok(()));
            assert!(tx.is_empty(), "handed over, not buffered");
        }
        for (n, receiver) in receivers.into_iter().enumerate() {
            assert_eq!(receiver.join().expect("no panic"), Ok(n));
        }
    });
}

#[test]
fn without_receivers_sends_give_the_value_back() {
    let (tx, rx) = bounded(1);
    tx.send(0).expect("there is room");
    thread::scope(|s| {
        let waiting: Vec<_> = (1..4)
            .map(|n| {
                let sender = tx.clone();
                let thread = s.spawn(move || sender.send(n));
                until(|| tx.channel.waiting().0 == n);
                thread
            })
            .collect();
        let other = rx.clone();
        drop(rx);
        assert_eq!(tx.channel.waiting().0, 3, "one receiver is left");
        drop(other);
        for (n, sender) in (1..).zip(waiting) {
            assert_eq!(sender.join().expect("no panic"), Err(SendError(n)));
        }
    });
    assert_eq!(tx.send(9), Err(SendError(9)));
    assert_eq!(tx.try_send(9), Err(TrySendError::Disconnected(9)));
    assert!(tx.is_empty(), "what was buffered is gone");
}

#[test]
fn without_senders_receivers_drain_the_buffer_first() {
    let (tx, rx) = unbounded();
    tx.send(1).expect("the receiver is there");
    tx.clone().send(2).expect("the receiver is there");
    drop(tx);
    assert_eq!((rx.recv(), rx.try_recv()), (Ok(1), Ok(2)));
    assert_eq!((rx.recv(), rx.try_recv()), (Err(RecvError), Err(TryRecvError::Disconnected)));

    let (tx, rx) = bounded::<u32>(0);
    thread::scope(|s| {
        let waiting: Vec<_> =
            (0..3).map(|_| rx.clone()).map(|receiver| s.spawn(move || receiver.recv())).collect();
        until(|| tx.channel.waiting().1 == 3);
        drop(tx);
        for receiver in waiting {
            assert_eq!(receiver.join().expect("no panic"), Err(RecvError));
        }
    });
}

#[test]
fn every_value_is_dropped_once() {
    let drops = counters(7);
    let value = |n| Counted(Arc::clone(&drops), n);
    let (tx, rx) = bounded(3);
    for n in 0..3 {
        assert!(tx.send(value(n)).is_ok());
    }
    drop(tx.try_send(value(3)));
    assert_eq!(drops[3].load(Ordering::Relaxed), 1, "it came back");
    drop(rx.recv());
    assert!(tx.send(value(4)).is_ok());
    thread::scope(|s| {
        let sender = s.spawn(|| tx.send(value(5)));
        until(|| rx.channel.waiting().0 == 1);
        drop(rx);
        let SendError(back) = sender.join().expect("no panic").expect_err("the receiver went");
        assert_eq!((back.1, drops[5].load(Ordering::Relaxed)), (5, 0));
    });
    drop(tx.send(value(6)));
    assert_dropped_once(&drops);
}

/// Uses the channel that it lies in when it is dropped.
struct Meddler(Option<Sender<Meddler>>);

impl Drop for Meddler {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            assert!(sender.try_send(Meddler(None)).is_err_and(|error| error.is_disconnected()));
        }
    }
}

#[test]
fn values_are_dropped_outside_the_lock() {
    let (tx, rx) = bounded(2);
    assert!(tx.send(Meddler(Some(tx.clone()))).is_ok());
    assert!(tx.send(Meddler(Some(tx.clone()))).is_ok());
    drop(rx);
    assert!(tx.is_empty());
}

#[test]
fn tries_have_no_false_results() {
    const ROOM: usize = 100;
    let (tx, rx) = bounded(ROOM);
    let count = |hit: &(dyn Fn() -> bool + Sync)| -> usize {
        thread::scope(|s| {
            let threads: Vec<_> =
                (0..4).map(|_| s.spawn(|| (0..ROOM / 2).filter(|_| hit()).count())).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        })
    };
    assert_eq!(count(&|| tx.try_send(1).is_ok()), ROOM, "twice as many were tried");
    assert!(tx.is_full() && rx.is_full() && !rx.is_empty());
    assert_eq!(count(&|| rx.try_recv().is_ok()), ROOM);
    assert!(rx.is_empty() && tx.is_empty() && !tx.is_full());
}

#[test]
fn tries_meet_who_waits() {
    let (tx, rx) = bounded(0);
    assert_eq!(
        (tx.try_send(1), rx.try_recv()),
        (Err(TrySendError::Full(1)), Err(TryRecvError::Empty))
    );
    thread::scope(|s| {
        let receiver = s.spawn(|| rx.recv());
        until(|| tx.channel.waiting().1 == 1);
        assert_eq!(tx.try_send(1), Ok(()));
        assert_eq!(receiver.join().expect("no panic"), Ok(1));
        let sender = s.spawn(|| tx.send(2));
        until(|| rx.channel.waiting().0 == 1);
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [2]);
        assert_eq!(sender.join().expect("no panic"), Ok(()));
    });
}

#[test]
fn sizes() {
    let (tx, rx) = bounded(2);
    assert_eq!((tx.capacity(), rx.capacity(), tx.len()), (Some(2), Some(2), 0));
    tx.send(()).expect("there is room");
    assert_eq!((tx.len(), rx.len(), tx.is_full(), rx.is_empty()), (1, 1, false, false));
    let (tx, rx) = bounded::<()>(0);
    assert!(tx.is_full() && tx.is_empty() && rx.is_full() && rx.is_empty());
    let (tx, rx) = unbounded::<()>();
    assert_eq!((tx.capacity(), rx.capacity(), tx.is_full()), (None, None, false));
}

/// The same random steps, on one thread, with crossbeam's channel as the oracle.
#[test]
fn random_tries_agree_with_crossbeam() {
    let mut random = Random::new();
    for _ in 0..ROUNDS {
        let capacity = [None, Some(0), Some(1), Some(2), Some(7)][random.below(5) as usize];
        let (tx, rx) = capacity.map_or_else(unbounded, bounded);
        let (their_tx, their_rx) =
            capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
        let (mut txs, mut rxs) = (vec![(tx, their_tx)], vec![(rx, their_rx)]);
        for n in 0..40 {
            match random.below(16) {
                0..7 if !txs.is_empty() => {
                    let (tx, theirs) = &txs[random.below(txs.len() as u64) as usize];
                    let expected =
                        theirs.try_send(n).map_err(|error| (error.is_full(), error.into_inner()));
                    assert_eq!(
                        tx.try_send(n).map_err(|error| (error.is_full(), error.into_inner())),
                        expected
                    );
                    // What crossbeam counts in a channel that nobody receives from is its own
                    // affair.
                    if !rxs.is_empty() {
                        assert_eq!((tx.len(), tx.is_full()), (theirs.len(), theirs.is_full()));
                    }
                }
                7..13 if !rxs.is_empty() => {
                    let (rx, theirs) = &rxs[random.below(rxs.len() as u64) as usize];
                    let expected = theirs.try_recv().map_err(|error| error.is_empty());
                    assert_eq!(rx.try_recv().map_err(|error| error.is_empty()), expected);
                    assert_eq!((rx.len(), rx.is_empty()), (theirs.len(), theirs.is_empty()));
                }
                13 => txs.extend(txs.first().cloned()),
                14 if random.below(3) == 0 => drop(txs.pop()),
                15 if random.below(3) == 0 => drop(rxs.pop()),
                _ => rxs.extend(rxs.first().cloned()),
            }
        }
    }
}

/// Random selects with a default, on one thread, with crossbeam's channels as the oracle: what was
/// done, theirs can do, too, with the same result; and when nothing was ready, nothing is there.
#[test]
fn random_selects_agree_with_crossbeam() {
    let mut random = Random::new();
    let mut done = [0; 2];
    for _ in 0..ROUNDS {
        let pairs: Vec<_> = (0..3)
            .map(|_| {
                let capacity = [None, Some(0), Some(1), Some(3)][random.below(4) as usize];
                let (tx, rx) = capacity.map_or_else(unbounded, bounded);
                let theirs =
                    capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
                (tx, rx, theirs.0, theirs.1)
            })
            .collect();
        let mut live: [(Option<Sender<u64>>, _); 3] = Default::default();
        for (n, (tx, _, their_tx, _)) in pairs.iter().enumerate() {
            live[n] = (Some(tx.clone()), Some(their_tx.clone()));
        }
        let (rxs, their_rxs): (Vec<_>, Vec<_>) =
            pairs.into_iter().map(|(_, rx, _, their_rx)| (rx, their_rx)).unzip();
        for value in 0..40 {
            let cases: Vec<_> = (0..1 + random.below(4))
                .map(|_| (random.below(3) as usize, random.below(2) == 0))
                .collect();
            let (mut ours, mut theirs) = (Select::new(), crossbeam_channel::Select::new());
            let mut numbered = Vec::new();
            for (channel, sends) in cases {
                match &live[channel] {
                    (Some(tx), Some(their_tx)) if sends => {
                        ours.send(tx, value);
                        theirs.send(their_tx);
                        numbered.push((channel, true));
                    }
                    _ => {
                        ours.recv(&rxs[channel]);
                        theirs.recv(&their_rxs[channel]);
                        numbered.push((channel, false));
                    }
                }
            }
            match ours.try_select() {
                Err(_) => {
                    assert!(theirs.try_ready().is_err(), "something was ready");
                    done[0] += 1;
                }
                Ok(chosen) => {
                    let (channel, sends) = numbered[chosen.index()];
                    if let (Some(tx), Some(their_tx)) = &live[channel]
                        && sends
                    {
                        assert_eq!((chosen.send(tx), their_tx.try_send(value)), (Ok(()), Ok(())));
                    } else {
                        assert_eq!(
                            chosen.recv(&rxs[channel]).ok(),
                            their_rxs[channel].try_recv().ok()
                        );
                    }
                    done[1] += 1;
                }
            }
            if random.below(30) == 0 {
                drop((ours, theirs));
                live[random.below(3) as usize] = (None, None);
            }
        }
    }
    assert!(done.iter().all(|times| *times > ROUNDS), "{done:?}: one of the two hardly happened");
}

/// Sends its values in order, each in one of the two ways.
fn produce(tx: &Sender<(usize, usize)>, producer: usize, values: usize, mut random: Random) {
    for message in (0..values).map(|n| (producer, n)) {
        if random.below(2) == 0 {
            tx.send(message).expect("receivers are there");
        } else {
            until(|| tx.try_send(message).is_ok());
        }
    }
}

/// Receives, each time in one of the two ways, until the channel is disconnected.
fn consume(rx: &Receiver<(usize, usize)>, mut random: Random) -> Vec<(usize, usize)> {
    let mut seen = Vec::new();
    loop {
        let next = if random.below(2) == 0 {
            rx.try_recv()
        } else {
            rx.recv().map_err(TryRecvError::from)
        };
        match next {
            Ok(message) => seen.push(message),
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(TryRecvError::Disconnected) => return seen,
        }
    }
}

#[test]
fn many_threads_receive_each_value_once_and_in_order() {
    let mut random = Random::new();
    for capacity in [Some(0), Some(1), Some(5), None] {
        let (tx, rx) = capacity.map_or_else(unbounded, bounded);
        let seen: Vec<_> = thread::scope(|s| {
            let consumers: Vec<_> = (0..3)
                .map(|_| (rx.clone(), random.split()))
                .map(|(rx, random)| s.spawn(move || consume(&rx, random)))
                .collect();
            for (producer, tx) in [tx.clone(), tx.clone(), tx].into_iter().enumerate() {
                let random = random.split();
                s.spawn(move || produce(&tx, producer, ROUNDS, random));
            }
            consumers.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        for (consumer, producer) in (0..9).map(|n| (n / 3, n % 3)) {
            let in_order =
                seen[consumer].iter().filter(|message| message.0 == producer).is_sorted();
            assert!(in_order, "capacity {capacity:?}: order of {producer} at {consumer}");
        }
        let mut all = seen.concat();
        all.sort_unstable();
        let sent = (0..3).flat_map(|producer| (0..ROUNDS).map(move |n| (producer, n)));
        assert!(
            all.into_iter().eq(sent),
            "capacity {capacity:?}: a value is missing or came twice"
        );
    }
}

/// Waits are cancelled at random moments: each value is received, given back or dropped with the
/// wait it was sent in.
#[test]
fn cancelled_waits_lose_no_value() {
    let mut random = Random::new();
    for _ in 0..ROUNDS {
        let capacity = random.below(2) as usize;
        let channel = Channel::<Counted, TestWaiter>::new(Some(capacity));
        let drops = counters(4);
        let waiters: Vec<_> = (0..8).map(|_| TestWaiter::new()).collect();
        (1..4).for_each(|_| channel.add_sender());
        (1..4).for_each(|_| channel.add_receiver());
        let (sent, received) = thread::scope(|s| {
            let (channel, drops) = (&channel, &drops);
            let senders: Vec<_> = (0..4)
                .map(|n| (n, waiters[n].clone()))
                .map(|(n, waiter)| {
                    s.spawn(move || {
                        let sent =
                            waiter.send(channel, Counted(Arc::clone(drops), n)) == Some(true);
                        channel.remove_sender();
                        sent
                    })
                })
                .collect();
            let receivers: Vec<_> = (4..8)
                .map(|n| waiters[n].clone())
                .map(|waiter| {
                    s.spawn(move || {
                        let received = waiter.recv(channel).flatten().map(|value| value.1);
                        channel.remove_receiver();
                        received
                    })
                })
                .collect();
            for _ in 0..random.below(6) {
                waiters[random.below(8) as usize].cancel();
            }
            let sent: Vec<_> =
                senders.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            let received: Vec<_> =
                receivers.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            (sent, received)
        });
        assert_eq!(channel.waiting(), (0, 0), "nobody is left behind");
        for (n, sent) in sent.into_iter().enumerate() {
            let times = received.iter().filter(|value| **value == Some(n)).count();
            assert!(
                times == usize::from(sent) || (times == 0 && capacity > 0),
                "value {n}: {times} times, {sent}"
            );
        }
        assert_dropped_once(&drops);
    }
}
