//! Channels: what waits and what does not, order, closing, and each value once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gosched::chan::{self, Receiver, RecvError, SendError, TryRecvError, TrySendError};
use gosched::yield_now;

use crate::other_side::{Pair, Side, each_side};

/// TestChan, its first part: what must wait, waits, and tries say so.
#[test]
fn the_empty_and_the_full_wait() {
    each_side(|pair| {
        for capacity in [0, 1, 3] {
            let (tx, rx) = chan::bounded::<usize>(capacity);
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
            let (begins, begun) = chan::bounded(1);
            let passed = Arc::new(AtomicBool::new(false));
            let theirs = (rx.clone(), Arc::clone(&passed));
            // The other side receives what nobody has sent yet, then sends what nobody has room
            // for.
            let (back, backed) = chan::bounded::<usize>(capacity);
            let part = async move |side: Side| {
                let (rx, passed) = theirs;
                begins.try_send(()).expect("there is room");
                let got = side.recv(&rx).await;
                passed.store(true, Ordering::SeqCst);
                for n in 0..=capacity {
                    side.send(&back, n).await.expect("it is received");
                }
                passed.store(false, Ordering::SeqCst);
                got
            };
            let ours = move || {
                begun.recv().expect("the other side begins");
                (0..20).for_each(|_| yield_now());
                assert!(!passed.load(Ordering::SeqCst), "received what was not sent");
                tx.send(7).expect("it is received");
                // One more than there is room for: the last is not sent before the first is
                // received.
                while !(passed.load(Ordering::SeqCst) && backed.len() == capacity) {
                    yield_now();
                }
                (0..20).for_each(|_| yield_now());
                assert!(passed.load(Ordering::SeqCst), "sent where there was no room");
                (0..=capacity).for_each(|n| assert_eq!(backed.recv(), Ok(n)));
                assert!(rx.is_empty());
            };
            assert_eq!(pair.beside(part, ours).0, Ok(7));
        }
    });
}

/// TestChan and `fifo.go`: order, in both directions, with every size of buffer.
#[test]
fn values_come_out_in_the_order_in_which_they_were_sent() {
    const VALUES: usize = 500;
    each_side(|pair| {
        for capacity in [0, 1, 7, VALUES] {
            let (to_them, at_them) = chan::bounded(capacity);
            let (to_us, at_us) = chan::bounded(capacity);
            let part = async move |side: Side| {
                for n in 0..VALUES {
                    assert_eq!(side.recv(&at_them).await, Ok(n));
                }
                for n in 0..VALUES {
                    side.send(&to_us, n).await.expect("it is received");
                }
            };
            let ours = move || {
                (0..VALUES).for_each(|n| to_them.send(n).expect("it is received"));
                assert!(at_us.iter().eq(0..VALUES));
            };
            pair.beside(part, ours);
        }
    });
}

/// TestChan: a closed channel gives what is left, then says that it is closed, for ever.
#[test]
fn closing_lets_the_rest_through() {
    each_side(|pair| {
        let (tx, rx) = chan::bounded(3);
        (0..3).for_each(|n| tx.send(n).expect("there is room"));
        let part = async move |side: Side| {
            let mut got = Vec::new();
            for _ in 0..6 {
                got.push(side.recv(&rx).await);
            }
            assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
            got
        };
        let (got, ()) = pair.beside(part, move || drop(tx));
        assert_eq!(got, [Ok(0), Ok(1), Ok(2), Err(RecvError), Err(RecvError), Err(RecvError)]);
    });
}

/// Closing wakes whoever waits: receivers, and here, where receivers close too, senders, with their
/// value.
#[test]
fn closing_wakes_whoever_waits() {
    each_side(|pair| {
        for capacity in [0, 1] {
            let (tx, rx) = chan::bounded::<usize>(capacity);
            let (begins, begun) = chan::bounded(0);
            let (back, backed) = chan::bounded(capacity);
            let part = async move |side: Side| {
                side.send(&begins, ()).await.expect("it is received");
                let nothing = side.recv(&rx).await;
                (0..capacity).for_each(|n| back.try_send(n).expect("there is room"));
                side.send(&begins, ()).await.expect("it is received");
                (nothing, side.send(&back, 9).await)
            };
            let ours = move || {
                begun.recv().expect("it is sent");
                yield_now();
                drop(tx);
                begun.recv().expect("it is sent");
                yield_now();
                drop(backed);
            };
            assert_eq!(pair.beside(part, ours).0, (Err(RecvError), Err(SendError(9))));
        }
    });
}

/// How often each value came.
struct Counts(Vec<AtomicUsize>);

impl Counts {
    fn new(values: usize) -> Arc<Self> {
        Arc::new(Self((0..values).map(|_| AtomicUsize::new(0)).collect()))
    }

    fn count(&self, value: usize) {
        self.0[value].fetch_add(1, Ordering::Relaxed);
    }

    fn assert_once_each(&self) {
        let other = self.0.iter().position(|count| count.load(Ordering::Relaxed) != 1);
        assert_eq!(other, None, "it came not at all, or twice");
    }
}

/// Four send and four receive, two of each goroutines: each value arrives once.
fn many_to_many(pair: Pair, capacity: usize) {
    const EACH: usize = 300;
    let (tx, rx) = chan::bounded(capacity);
    let counts = Counts::new(4 * EACH);
    let mut others = Vec::new();
    let mut ours = Vec::new();
    for n in 0..4 {
        let (tx, rx, counts) = (tx.clone(), rx.clone(), Arc::clone(&counts));
        let values = n * EACH..(n + 1) * EACH;
        if n % 2 == 0 {
            others.push(pair.start(async move |side: Side| {
                for value in values {
                    side.send(&tx, value).await.expect("it is received");
                }
            }));
            ours.push(pair.rt.handle().go(move || rx.iter().for_each(|value| counts.count(value))));
        } else {
            ours.push(
                pair.rt
                    .handle()
                    .go(move || values.for_each(|value| tx.send(value).expect("it is received"))),
            );
            others.push(pair.start(async move |side: Side| {
                while let Ok(value) = side.recv(&rx).await {
                    counts.count(value);
                }
            }));
        }
    }
    drop((tx, rx));
    ours.into_iter().for_each(|one| one.join().expect("no panic"));
    others.into_iter().for_each(|one| one.join());
    counts.assert_once_each();
}

/// TestChan, its last part.
#[test]
fn each_value_arrives_once_between_many_and_many() {
    each_side(|pair| [0, 2].into_iter().for_each(|capacity| many_to_many(pair, capacity)));
}

/// TestMultiConsumer: workers pass on what they take from one channel; nothing is lost on the way,
/// whoever they are.
#[test]
fn each_value_passes_one_of_many_consumers() {
    const VALUES: usize = 1_500;
    const WORKERS: usize = 3;
    each_side(|pair| {
        let (work, queue) = chan::bounded(3 * WORKERS);
        let (done, results) = chan::bounded(3 * WORKERS);
        let others: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (queue, done) = (queue.clone(), done.clone());
                pair.start(async move |side: Side| {
                    while let Ok(value) = side.recv(&queue).await {
                        side.send(&done, value).await.expect("it is received");
                    }
                })
            })
            .collect();
        let ours: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (queue, done) = (queue.clone(), done.clone());
                pair.rt.handle().go(move || {
                    queue.iter().for_each(|value| done.send(value).expect("it is received"))
                })
            })
            .collect();
        drop((queue, done));
        let counts = Counts::new(VALUES);
        let theirs = Arc::clone(&counts);
        let feeds = pair
            .rt
            .handle()
            .go(move || (0..VALUES).for_each(|n| work.send(n).expect("it is received")));
        pair.rt.run(move || results.iter().for_each(|value| theirs.count(value)));
        feeds.join().expect("no panic");
        ours.into_iter().for_each(|one| one.join().expect("no panic"));
        others.into_iter().for_each(|one| one.join());
        counts.assert_once_each();
    });
}

/// TestNonblockRecvRace: there is a value, then there is none but the channel is closed; in between
/// is no moment at which a try may say that nothing is there yet.
#[test]
fn a_try_is_never_told_that_nothing_is_there() {
    each_side(|pair| {
        let (rounds, round) = chan::bounded::<Receiver<usize>>(0);
        let part = async move |side: Side| {
            while let Ok(rx) = side.recv(&round).await {
                assert_ne!(rx.try_recv(), Err(TryRecvError::Empty), "it is ready all the time");
            }
        };
        let ours = move || {
            for n in 0..400 {
                let (tx, rx) = chan::bounded(1);
                tx.send(n).expect("there is room");
                rounds.send(rx.clone()).expect("it is received");
                drop(tx);
                // Whichever of both takes it.
                let _value = rx.recv();
            }
        };
        pair.beside(part, ours);
    });
}

/// The same for sends: there is room, then nobody to receive any more.
#[test]
fn a_try_is_never_told_that_there_is_no_room() {
    each_side(|pair| {
        let (rounds, round) = chan::bounded(0);
        let part = async move |side: Side| {
            while let Ok(tx) = side.recv(&round).await {
                assert!(
                    !matches!(chan::Sender::try_send(&tx, 1), Err(TrySendError::Full(_))),
                    "there is room"
                );
            }
        };
        let ours = move || {
            for _ in 0..400 {
                let (tx, rx) = chan::bounded::<u32>(1);
                rounds.send(tx).expect("it is received");
                drop(rx);
            }
        };
        pair.beside(part, ours);
    });
}

/// TestChan: how many there are and how many there may be is the same at both ends.
#[test]
fn both_ends_know_how_much_there_is() {
    each_side(|pair| {
        let (tx, rx) = chan::bounded(10);
        let theirs = tx.clone();
        let part = async move |side: Side| {
            for n in 0..7 {
                side.send(&theirs, n).await.expect("there is room");
            }
            (theirs.len(), theirs.capacity(), theirs.is_full())
        };
        assert_eq!(pair.start(part).join(), (7, Some(10), false));
        assert_eq!((rx.len(), rx.capacity(), tx.len()), (7, Some(10), 7));
    });
}

/// TestChanSendInterface and `zerosize.go`: whatever a value is, it arrives as it was.
#[test]
fn values_of_any_shape_travel() {
    type Function = Box<dyn Fn(usize) -> usize + Send>;
    each_side(|pair| {
        for capacity in [0, 1] {
            let ((a_tx, a), (b_tx, b)) = (chan::bounded(capacity), chan::bounded(capacity));
            let (c_tx, c) = chan::bounded::<Function>(capacity);
            let (d_tx, d) = chan::bounded::<Receiver<&str>>(capacity);
            let part = async move |side: Side| {
                let nothing: () = side.recv(&a).await.expect("it is sent");
                let large: [u64; 300] = side.recv(&b).await.expect("it is sent");
                let function = side.recv(&c).await.expect("it is sent");
                let channel = side.recv(&d).await.expect("it is sent");
                let word = side.recv(&channel).await.expect("it is sent");
                (nothing, large[299], function(4), word)
            };
            let ours = move || {
                a_tx.send(()).expect("it is received");
                b_tx.send(std::array::from_fn(|n| n as u64)).expect("it is received");
                let five = 5;
                c_tx.send(Box::new(move |n| n + five)).expect("it is received");
                let (tx, rx) = chan::bounded(0);
                d_tx.send(rx).expect("it is received");
                tx.send("word").expect("it is received");
            };
            assert_eq!(pair.beside(part, ours).0, ((), 299, 9, "word"));
        }
    });
}
