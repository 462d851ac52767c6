//! Channels that are closed, counted, and held weakly.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use gosched::callback::{Binding, Bridge};
use gosched::cancel::Token;
use gosched::chan::{
    self, Receiver, RecvError, RecvTimeoutError, Select, SendError, SendTimeoutError, Sender,
    TryRecvError, TrySendError,
};
use gosched::future::block_on;
use gosched::{Runtime, go, select, time, yield_now};
use test_support::{each_mode, modes};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_is_in_the_buffer_is_received_and_no_more_is_sent() {
    for (tx, rx) in [chan::bounded(4), chan::unbounded()] {
        (1..=3).for_each(|n| tx.send(n).expect("there is room"));
        assert!(!tx.is_closed() && !rx.is_closed());
        assert!(tx.close());
        assert!(!rx.close() && !tx.close(), "it is closed once");
        assert!(tx.is_closed() && rx.is_closed());
        assert_eq!(tx.send(4), Err(SendError(4)));
        assert_eq!(tx.try_send(4), Err(TrySendError::Disconnected(4)));
        assert_eq!(tx.send_timeout(4, MINUTE), Err(SendTimeoutError::Disconnected(4)));
        assert_eq!(tx.clone().send(5), Err(SendError(5)), "nor by a new sender");
        assert_eq!(rx.clone().iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(rx.recv(), Err(RecvError));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(rx.recv_timeout(MINUTE), Err(RecvTimeoutError::Disconnected));
        select! {
            recv(rx) -> nothing => assert!(nothing.is_err()),
            default => unreachable!("a closed channel is ready"),
        }
        let mut list = Select::new();
        list.send(&tx, 6);
        assert_eq!(list.try_select().expect("it is ready").send(&tx), Err(SendError(6)));
    }
}

#[test]
fn the_other_side_gone_is_closed() {
    let (tx, rx) = chan::bounded::<u8>(0);
    drop(rx);
    assert!(tx.is_closed() && !tx.close());
    let (tx, rx) = chan::bounded::<u8>(0);
    drop(tx);
    assert!(rx.is_closed() && !rx.close());
}

#[test]
fn all_who_wait_leave() {
    each_mode(|rt, _| {
        for close_by_receiver in [false, true] {
            let (tx, rx) = chan::bounded::<usize>(0);
            let (full, _kept) = chan::bounded::<usize>(1);
            full.send(0).expect("there is room");
            let bridge = Bridge::new(rt).with_binding(Binding::PerCall);
            let back = AtomicUsize::new(0);
            thread::scope(|threads| {
                threads.spawn(|| assert_eq!(rx.recv(), Err(RecvError)));
                threads.spawn(|| assert_eq!(block_on(rx.recv_async()), Err(RecvError)));
                threads.spawn(|| {
                    let SendError(value) = full.send(1).expect_err("it is closed");
                    back.fetch_add(value, Relaxed);
                });
                threads.spawn(|| {
                    let SendError(value) = block_on(full.send_async(10)).expect_err("closed");
                    back.fetch_add(value, Relaxed);
                });
                threads.spawn(|| {
                    let outcome = bridge.enter(|| full.send_timeout(100, MINUTE));
                    let error = outcome.expect("let in").expect_err("it is closed");
                    back.fetch_add(error.into_inner(), Relaxed);
                });
                rt.run(|| {
                    let waits: Vec<_> = (0..3)
                        .map(|_| {
                            let (rx, full) = (rx.clone(), full.clone());
                            go(move || {
                                select! {
                                    recv(rx) -> nothing => (nothing.is_err(), 0),
                                    send(full, 1000) -> sent => {
                                        (true, sent.expect_err("it is closed").0)
                                    }
                                }
                            })
                        })
                        .collect();
                    (0..20).for_each(|_| yield_now());
                    if close_by_receiver {
                        rx.close()
                    } else {
                        tx.close()
                    };
                    full.close();
                    for wait in waits {
                        assert!(wait.join().expect("no panic").0);
                    }
                });
            });
            assert_eq!(back.load(Relaxed), 111, "each value came back");
        }
    });
}

#[test]
fn futures_that_wait_are_ready() {
    let (tx, rx) = chan::bounded(0);
    let mut context = Context::from_waker(Waker::noop());
    let mut receives = Box::pin(rx.recv_async());
    assert!(receives.as_mut().poll(&mut context).is_pending());
    tx.close();
    assert_eq!(receives.as_mut().poll(&mut context), Poll::Ready(Err(RecvError)));
    let mut sends = Box::pin(tx.send_async(5));
    assert_eq!(sends.as_mut().poll(&mut context), Poll::Ready(Err(SendError(5))));
}

#[test]
fn a_channel_of_the_clock_is_closed_too() {
    each_mode(|rt, _| {
        rt.run(|| {
            let ticks = chan::tick(Duration::from_nanos(1));
            ticks.recv().expect("it ticks");
            let theirs = chan::after(MINUTE);
            let waits = {
                let theirs = theirs.clone();
                go(move || theirs.recv())
            };
            yield_now();
            assert!(ticks.close() && theirs.close());
            assert_eq!(waits.join().expect("no panic"), Err(RecvError));
            // One may have been in the buffer.
            let _last = ticks.try_recv();
            assert_eq!(ticks.recv(), Err(RecvError));
        });
    });
}

#[test]
fn both_ends_are_counted() {
    let (tx, rx) = chan::bounded::<u8>(1);
    let (more, also) = (tx.clone(), rx.clone());
    assert_eq!((tx.sender_count(), rx.receiver_count()), (2, 2));
    assert_eq!((rx.sender_count(), tx.receiver_count()), (2, 2));
    let weak = tx.downgrade();
    assert_eq!(tx.sender_count(), 2, "a weak one does not count");
    let upgraded = weak.upgrade().expect("there are two");
    assert_eq!(upgraded.sender_count(), 3);
    drop((more, also, tx));
    assert_eq!((rx.sender_count(), rx.receiver_count()), (1, 1));
    drop(upgraded);
    assert_eq!(rx.sender_count(), 0);
    assert!(rx.is_closed() && weak.upgrade().is_none() && weak.clone().upgrade().is_none());
}

#[test]
fn a_weak_sender_keeps_nobody_waiting() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let weak = tx.downgrade();
            let (begun, has_begun) = chan::bounded(0);
            let receiver = go(move || {
                begun.send(()).expect("awaited");
                rx.iter().sum::<u32>()
            });
            has_begun.recv().expect("it begins");
            let theirs = weak.clone();
            let sender = go(move || theirs.upgrade().map(|tx| tx.send(5).expect("received")));
            sender.join().expect("no panic").expect("there is a sender");
            drop(tx);
            assert_eq!(receiver.join().expect("no panic"), 5);
            assert!(weak.upgrade().is_none());
        });
    });
}

#[test]
fn a_weak_receiver_keeps_nobody_waiting() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let weak = rx.downgrade();
            assert_eq!(rx.receiver_count(), 1, "a weak one does not count");
            let theirs = weak.clone();
            let receiver = go(move || theirs.upgrade().map(|rx| rx.recv()));
            tx.send(5).expect("received");
            assert_eq!(receiver.join().expect("no panic"), Some(Ok(5)));
            let (begun, has_begun) = chan::bounded(0);
            let sender = go(move || {
                begun.send(()).expect("awaited");
                tx.send(6)
            });
            has_begun.recv().expect("it begins");
            drop(rx);
            assert_eq!(sender.join().expect("no panic"), Err(chan::SendError(6)));
            assert!(weak.upgrade().is_none());
        });
    });
}

/// A value. Its drop counts.
struct Item(Arc<AtomicUsize>);

impl Drop for Item {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn produce(tx: &Sender<Item>, drops: &Arc<AtomicUsize>, way: usize) -> usize {
    let mut sent = 0;
    loop {
        let item = Item(drops.clone());
        let outcome = match way {
            0 => tx.send(item).map_err(drop),
            1 => tx.send_timeout(item, MINUTE).map_err(drop),
            2 => block_on(tx.send_async(item)).map_err(drop),
            _ => {
                let mut slot = Some(item);
                select! {
                    offer(tx, slot) -> sent => sent.map_err(drop),
                }
            }
        };
        if outcome.is_err() {
            return sent;
        }
        sent += 1;
    }
}

fn consume(rx: &Receiver<Item>, way: usize) -> usize {
    let mut received = 0;
    loop {
        let got = match way {
            0 => rx.recv().ok(),
            1 => block_on(rx.recv_async()).ok(),
            _ => {
                select! {
                    recv(rx) -> got => got.ok(),
                }
            }
        };
        if got.is_none() {
            return received;
        }
        received += 1;
    }
}

/// Whoever closes, and whenever: what was sent is received, and what was not came back.
#[test]
fn nothing_is_lost_by_a_close() {
    for mode in modes() {
        for capacity in [0, 1, 8] {
            let rt = Runtime::builder(mode).procs(4).build().expect("a runtime");
            let (drops, made) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
            for round in 0..20_u64 {
                let (tx, rx) = chan::bounded::<Item>(capacity);
                rt.run(|| {
                    let token = Token::new();
                    let producers: Vec<_> = (0..4)
                        .map(|way| {
                            let (tx, drops) = (tx.clone(), drops.clone());
                            go(move || produce(&tx, &drops, way))
                        })
                        .collect();
                    let consumers: Vec<_> = (0..3)
                        .map(|way| {
                            let rx = rx.clone();
                            go(move || consume(&rx, way))
                        })
                        .collect();
                    // Receives and is cancelled.
                    let (theirs, cancelled) = (rx.clone(), token.clone());
                    let disturbs = go(move || {
                        let mut received = 0;
                        let _cancelled = cancelled.run(|| {
                            while theirs.recv().is_ok() {
                                received += 1;
                            }
                        });
                        received
                    });
                    time::sleep(Duration::from_micros(50 * round));
                    token.cancel();
                    if round % 2 == 0 {
                        tx.close()
                    } else {
                        rx.close()
                    };
                    let sent: usize = producers.into_iter().map(|one| one.join().unwrap()).sum();
                    let received: usize =
                        consumers.into_iter().map(|one| one.join().unwrap()).sum();
                    assert_eq!(sent, received + disturbs.join().expect("no panic"));
                    // Each producer has one value that it could not send.
                    made.fetch_add(sent + 4, Relaxed);
                });
                assert_eq!(drops.load(Relaxed), made.load(Relaxed), "one was lost, or came twice");
            }
        }
    }
}
