//! No destructor of a value and no function of a waker runs under a lock of the scheduler: a debug
//! build finds it where the user's code itself asks.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use gosched::chan::{self, Select, SendError};
use gosched::time::timeout;
use gosched::{go, select};
use gosched_runtime_sys::sync::held;
use test_support::each_mode;

use crate::until;

/// A value that looks in its drop.
struct Looks;

impl Drop for Looks {
    fn drop(&mut self) {
        held::assert_none();
    }
}

/// A waker that looks when it is called, and when it is dropped.
struct OfExecutor(Looks);

impl Wake for OfExecutor {
    fn wake(self: Arc<Self>) {
        held::assert_none();
    }
}

fn waker() -> Waker {
    Arc::new(OfExecutor(Looks)).into()
}

fn poll<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(&waker()))
}

#[test]
fn futures_are_polled_and_dropped() {
    for capacity in [0, 1] {
        let (tx, rx) = chan::bounded(capacity);
        let mut receives = [(); 3].map(|()| Box::pin(rx.recv_async()));
        for receive in &mut receives {
            assert!(poll(receive).is_pending());
            assert!(poll(receive).is_pending());
        }
        let mut sends = [(); 3].map(|()| Box::pin(tx.send_async(Looks)));
        let sent = sends.iter_mut().filter_map(|send| match poll(send) {
            Poll::Ready(sent) => Some(sent.is_ok()),
            Poll::Pending => None,
        });
        assert_eq!(sent.count(), capacity);
        // If they have waited for long, the value is reserved for the first for a while.
        let received = loop {
            if let Poll::Ready(received) = poll(&mut receives[1]) {
                break received;
            }
        };
        assert!(received.is_ok());
        drop(receives);
        drop(rx);
        for mut send in sends.into_iter().skip(1) {
            if let Poll::Ready(Err(SendError(back))) = poll(&mut send) {
                drop(back);
            }
        }
    }
}

#[test]
fn ends_go_with_values_and_waiters() {
    each_mode(|rt, _| {
        let (tx, rx) = chan::bounded(1);
        assert!(tx.send(Looks).is_ok());
        let mut send = Box::pin(tx.send_async(Looks));
        assert!(poll(&mut send).is_pending());
        let theirs = tx.clone();
        let sender = rt.handle().go(move || theirs.send(Looks).is_err());
        until(|| rt.stats().waiting == 1 || sender.is_finished());
        drop(rx);
        assert!(sender.join().expect("no panic"));
        let (tx, rx) = chan::unbounded::<Looks>();
        let mut receive = Box::pin(rx.recv_async());
        assert!(poll(&mut receive).is_pending());
        drop(tx);
        assert!(matches!(poll(&mut receive), Poll::Ready(Err(_))));
    });
}

#[test]
fn waits_are_given_up_with_values() {
    each_mode(|rt, _| {
        rt.run(|| {
            go(|| {
                let (tx, rx) = chan::bounded(0);
                let soon = Duration::from_millis(1);
                assert!(tx.send_timeout(Looks, soon).is_err());
                assert!(timeout(soon, || tx.send(Looks)).is_err());
                let mut slot = Some(Looks);
                let limited = timeout(soon, || {
                    select! {
                        send(tx, Looks) -> sent => unreachable!("{}", sent.is_ok()),
                        offer(tx, slot) -> sent => unreachable!("{}", sent.is_ok()),
                    }
                });
                assert!(limited.is_err() && slot.is_some());
                assert!(rx.recv_timeout(soon).is_err());
            })
            .join()
            .expect("its asserts hold");
        });
    });
}

#[test]
fn operations_of_a_select_are_forgotten_and_misunderstood() {
    let (tx, rx) = chan::bounded(4);
    let (_other_tx, other) = chan::bounded::<Looks>(1);
    for _ in 0..4 {
        assert!(tx.send(Looks).is_ok());
    }
    let (full, kept) = chan::bounded(0);
    let mut list = Select::new();
    list.recv(&rx);
    mem::forget(list.select());
    drop(list.select());
    let chosen = list.select();
    assert!(catch_unwind(AssertUnwindSafe(|| chosen.recv(&other))).is_err());
    mem::forget(list.select());
    assert!(list.try_select().is_err());
    let sends = list.send(&full, Looks);
    list.remove(sends);
    list.send(&full, Looks);
    drop(kept);
    mem::forget(list.select());
    drop(list);
}
