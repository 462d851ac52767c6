//! A future that receives among goroutines, threads and other futures that receive from the same
//! channel: it has a value after a bounded number of theirs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::future::block_on;
use gosched::{chan, select};
use test_support::each_mode;

/// How many values the others may receive before. A future that starves sees any number of them.
const VALUES: usize = 1000;

/// How the others receive.
#[derive(Clone, Copy, Debug)]
enum Others {
    Park,
    Select,
    Poll,
    Async,
}

fn receive(rx: &chan::Receiver<usize>, how: Others) -> bool {
    let limit = Duration::from_millis(20);
    match how {
        Others::Park => rx.recv().is_ok(),
        Others::Select => select! {
            recv(rx) -> value => value.is_ok(),
            default(limit) => true,
        },
        Others::Poll => !matches!(rx.try_recv(), Err(chan::TryRecvError::Disconnected)),
        Others::Async => block_on(rx.recv_async()).is_ok(),
    }
}

fn has_its_turn(capacity: usize, how: Others) {
    each_mode(|rt, mode| {
        let (tx, rx) = chan::bounded::<usize>(capacity);
        let gs: Vec<_> = (0..2)
            .map(|_| {
                let rx = rx.clone();
                rt.handle().go(move || while receive(&rx, how) {})
            })
            .collect();
        let threads = [(); 2].map(|()| {
            let rx = rx.clone();
            thread::spawn(move || while receive(&rx, how) {})
        });
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicUsize::new(0));
        let sender = {
            let (stop, sent) = (stop.clone(), sent.clone());
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    tx.send(0).unwrap();
                    sent.fetch_add(1, SeqCst);
                    // Receivers have the time to wait again.
                    thread::sleep(Duration::from_micros(200));
                }
            })
        };
        while sent.load(SeqCst) < 20 {
            thread::yield_now();
        }
        let last = sent.load(SeqCst) + VALUES;
        let future = rt.handle().go({
            let rx = rx.clone();
            move || block_on(rx.recv_async()).is_ok()
        });
        while !future.is_finished() && sent.load(SeqCst) < last {
            thread::yield_now();
        }
        let had = future.is_finished();
        stop.store(true, SeqCst);
        sender.join().unwrap();
        drop(rx);
        gs.into_iter().for_each(|g| g.join().unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(had, "{how:?}, room for {capacity}, {mode:?}: it starves");
        assert!(future.join().unwrap());
    });
}

#[test]
fn among_those_that_park() {
    [0, 1].into_iter().for_each(|capacity| has_its_turn(capacity, Others::Park));
}

#[test]
fn among_those_that_select() {
    [0, 1].into_iter().for_each(|capacity| has_its_turn(capacity, Others::Select));
}

#[test]
fn among_those_that_poll() {
    [0, 1].into_iter().for_each(|capacity| has_its_turn(capacity, Others::Poll));
}

#[test]
fn among_futures() {
    [0, 1].into_iter().for_each(|capacity| has_its_turn(capacity, Others::Async));
}

/// A future that is kept and not polled, or dropped, keeps no value from a receiver.
#[test]
fn a_future_that_is_kept_keeps_no_value() {
    const SOON: Duration = Duration::from_secs(10);
    for (capacity, drops) in [(0, false), (1, false), (0, true), (1, true)] {
        let (tx, rx) = chan::bounded::<usize>(capacity);
        let mut future = Box::pin(rx.recv_async());
        let poll = |future: &mut Pin<Box<chan::RecvFuture<'_, usize>>>| {
            future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        assert!(poll(&mut future).is_pending());
        let began = Instant::now();
        // Until the future is not passed over any more.
        while began.elapsed() < Duration::from_millis(3) {
            thread::yield_now();
        }
        let receivers = [(); 2].map(|()| {
            let rx = rx.clone();
            thread::spawn(move || rx.recv())
        });
        let senders = [1, 2].map(|value| {
            let tx = tx.clone();
            thread::spawn(move || tx.send(value))
        });
        let kept = if drops {
            drop(future);
            None
        } else {
            Some(future)
        };
        while receivers.iter().any(|receiver| !receiver.is_finished()) {
            assert!(began.elapsed() < SOON, "they wait for a future that is not polled");
            thread::yield_now();
        }
        let mut values = receivers.map(|receiver| receiver.join().unwrap().unwrap());
        values.sort_unstable();
        assert_eq!(values, [1, 2]);
        senders.into_iter().for_each(|sender| sender.join().unwrap().unwrap());
        if let Some(mut kept) = kept {
            let sender = {
                let tx = tx.clone();
                thread::spawn(move || tx.send(3))
            };
            let received = loop {
                if let Poll::Ready(received) = poll(&mut kept) {
                    break received;
                }
                assert!(began.elapsed() < SOON, "the future is alive");
                thread::yield_now();
            };
            assert_eq!(received, Ok(3));
            sender.join().unwrap().unwrap();
        }
    }
}
