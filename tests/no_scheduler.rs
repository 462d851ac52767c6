//! Futures of channels and selects where there is no runtime: polled by hand, and by plain threads
//! that are woken. `cargo xtask miri` runs this file under Miri, so nothing here
//! switches a stack or calls C.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use gosched::chan::{self, RecvError, Select};
use gosched::{select_async, select_biased_async};
use gosched_runtime_sys::sync::note::Note;

/// Wakes a thread, and counts how often.
struct Count(Note, AtomicUsize);

impl Count {
    fn new() -> Arc<Self> {
        Arc::new(Self(Note::new(), AtomicUsize::new(0)))
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.wake();
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a future on the calling thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let count = Count::new();
    let waker = Waker::from(count.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        count.0.sleep();
    }
}

#[test]
fn a_select_future_takes_what_is_there() {
    let (tx, rx) = chan::bounded(1);
    let (_full, other) = chan::bounded::<String>(1);
    tx.try_send("seven".to_owned()).expect("there is room");
    let mut select = Select::new();
    select.recv(&other);
    let number = select.recv(&rx);
    let Poll::Ready(chosen) = poll(pin!(select.select_async())) else { panic!("it is there") };
    assert_eq!(chosen.index(), number);
    assert_eq!(chosen.recv(&rx), Ok("seven".to_owned()));
}

#[test]
fn a_select_future_waits_in_all_lists_and_leaves_them() {
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..3).map(|_| chan::bounded::<String>(1)).unzip();
    for turn in 0..3 {
        let mut select = Select::new();
        for rx in &rxs {
            let _number = select.recv(rx);
        }
        {
            let mut waits = pin!(select.select_async());
            let waker = Count::new();
            let context = &mut Context::from_waker(Waker::noop());
            assert!(waits.as_mut().poll(context).is_pending());
            // The waker of the last poll is the one that is woken.
            let by = Waker::from(waker.clone());
            assert!(waits.as_mut().poll(&mut Context::from_waker(&by)).is_pending());
            txs[turn].try_send(format!("{turn}")).expect("there is room");
            assert_eq!(waker.1.load(Ordering::Relaxed), 1);
            let Poll::Ready(chosen) = poll(waits.as_mut()) else { panic!("it has come") };
            assert_eq!(chosen.index(), turn);
            assert_eq!(chosen.recv(&rxs[turn]), Ok(format!("{turn}")));
        }
        // One that is dropped while it waits has taken nothing.
        let mut select = Select::new();
        for rx in &rxs {
            let _number = select.recv(rx);
        }
        assert!(poll(pin!(select.select_async())).is_pending());
        txs[turn].try_send("stays".to_owned()).expect("there is room");
        assert_eq!(rxs[turn].try_recv(), Ok("stays".to_owned()));
    }
}

#[test]
fn a_select_that_was_served_and_dropped_has_lost_nothing() {
    let (tx, rx) = chan::bounded::<String>(0);
    let (_open, never) = chan::bounded::<String>(0);
    let mut waits = Box::pin(async {
        select_async! {
            recv(rx) -> value => value,
            recv(never) -> value => value,
        }
    });
    assert!(poll(waits.as_mut()).is_pending());
    let mut sends = Box::pin(tx.send_async("one".to_owned()));
    let sent = poll(sends.as_mut()).is_ready();
    drop(waits);
    let received = poll(pin!(rx.recv_async()));
    assert!(sent || received == Poll::Ready(Ok("one".to_owned())), "it is in neither");
}

#[test]
fn sends_and_receives_of_selects_meet_on_two_threads() {
    const COUNT: usize = if cfg!(miri) { 20 } else { 2000 };
    let (left_tx, left) = chan::bounded::<Box<usize>>(0);
    let (right_tx, right) = chan::bounded::<Box<usize>>(1);
    let other = thread::spawn(move || {
        block_on(async {
            for number in 0..COUNT {
                select_async! {
                    send(left_tx, Box::new(number)) -> sent => sent.expect("it is received"),
                    send(right_tx, Box::new(number)) -> sent => sent.expect("it is received"),
                }
            }
        });
    });
    let sum = block_on(async {
        let (mut sum, mut open) = (0, 2);
        let (mut left, mut right) = (left, right);
        while open > 0 {
            let got = select_biased_async! {
                recv(left) -> got => got.inspect_err(|RecvError| left = chan::never()),
                recv(right) -> got => got.inspect_err(|RecvError| right = chan::never()),
            };
            got.map_or_else(|RecvError| open -= 1, |number| sum += *number);
        }
        sum
    });
    other.join().expect("all were sent");
    assert_eq!(sum, COUNT * (COUNT - 1) / 2);
}
