//! An executor's waker that unwinds: nobody else who was to be woken with it stays behind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use gosched::Runtime;
use gosched::cancel::Token;
use gosched::chan;
use gosched::sync::{Barrier, Notify, WaitGroup};
use test_support::settled;

/// Unwinds with its number.
struct Unwinds(usize);

impl Wake for Unwinds {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new(self.0));
    }
}

/// Counts how often it was called.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

fn unwound_with(outcome: Result<(), Box<dyn Any + Send>>) -> Option<usize> {
    outcome.err().and_then(|payload| payload.downcast_ref().copied())
}

/// Of futures that wait, two have wakers that unwind when `act` lets all go.
#[track_caller]
fn lets_all_go<F: Future>(future: impl Fn() -> F, act: impl FnOnce()) {
    let counts: [Arc<Counts>; 5] = Default::default();
    let mut futures: Vec<Pin<Box<F>>> = (0..5).map(|_| Box::pin(future())).collect();
    for (n, (future, count)) in futures.iter_mut().zip(&counts).enumerate() {
        let waker = if n % 2 == 0 { count.clone().into() } else { Arc::new(Unwinds(n)).into() };
        assert!(poll(future.as_mut(), &waker).is_pending());
    }
    let unwound = catch_unwind(AssertUnwindSafe(act));
    let woken: Vec<_> = counts.iter().map(|count| count.0.load(Relaxed)).collect();
    assert_eq!(woken, [1, 0, 1, 0, 1]);
    assert_eq!(unwound_with(unwound), Some(1), "the first one's panic goes on");
    for future in &mut futures {
        assert!(poll(future.as_mut(), Waker::noop()).is_ready());
    }
}

#[test]
fn the_last_sender_goes() {
    let (tx, rx) = chan::bounded::<u32>(1);
    lets_all_go(|| rx.recv_async(), || drop(tx));
}

/// A goroutine that sends waits behind the futures, in the same list.
#[test]
fn the_last_receiver_goes() {
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    let (tx, rx) = chan::bounded::<u32>(0);
    let sends = tx.clone();
    let mut sender = None;
    lets_all_go(
        || tx.send_async(1),
        || {
            sender = Some(rt.handle().go(move || sends.send(2).is_err()));
            while rt.stats().waiting == 0 {
                thread::yield_now();
            }
            drop(rx);
        },
    );
    assert!(sender.expect("it was made").join().expect("no panic"));
}

/// A value that goes lets a sender put its own there, and a receiver look for that.
#[test]
fn a_value_is_received() {
    let (tx, rx) = chan::bounded::<u32>(1);
    let counts: [Arc<Counts>; 3] = Default::default();
    let woken = || counts.each_ref().map(|count| count.0.load(Relaxed));
    let mut receives = counts.each_ref().map(|_| Box::pin(rx.recv_async()));
    for (receive, count) in receives.iter_mut().zip(&counts) {
        assert!(poll(receive.as_mut(), &count.clone().into()).is_pending());
    }
    tx.send(1).expect("there is room");
    let mut sends = Box::pin(tx.send_async(2));
    assert!(poll(sends.as_mut(), &Arc::new(Unwinds(7)).into()).is_pending());
    assert_eq!(woken(), [1, 1, 0], "one for the value, and one for what is offered");
    assert_eq!(rx.try_recv(), Ok(1), "an executor's panic costs the receiver no value");
    assert_eq!(woken(), [1, 1, 1]);
    assert_eq!(poll(receives[2].as_mut(), Waker::noop()), Poll::Ready(Ok(2)));
}

#[test]
fn everybody_is_notified() {
    let notify = Notify::new();
    lets_all_go(|| notify.notified(), || notify.notify_waiters());
}

#[test]
fn a_group_is_done() {
    let group = WaitGroup::new();
    group.add(1);
    lets_all_go(|| group.wait_async(), || group.done());
}

#[test]
fn the_last_one_comes_to_a_barrier() {
    let barrier = Barrier::new(6);
    lets_all_go(|| barrier.wait_async(), || _ = barrier.wait());
}

/// Its children are cancelled, too.
#[test]
fn a_token_is_cancelled() {
    let token = Token::new();
    let children = [token.child(), token.child(), token.child().child()];
    lets_all_go(|| token.wait_async(), || token.cancel());
    assert!(children.iter().all(Token::is_cancelled));
}
