//! An executor's waker that unwinds: every other waiter that was to be woken with it is still
//! woken.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use gosched::Runtime;
use gosched::cancel::Token;
use gosched::chan::{self, Select, SendError};
use gosched::sync::{Barrier, Notify, WaitGroup};
use test_support::{each_mode, settled};

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

/// Two of the waiting futures have wakers that unwind when `act` wakes all.
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

/// A value that leaves lets a sender put its own there, and a receiver look for that.
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
    // If the futures have waited for long, the value is reserved for the first for a while.
    let received = loop {
        if let Ok(received) = rx.try_recv() {
            break received;
        }
    };
    assert_eq!(received, 1, "an executor's panic costs the receiver no value");
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

/// The children of the token are cancelled, too.
#[test]
fn a_token_is_cancelled() {
    let token = Token::new();
    let children = [token.child(), token.child(), token.child().child()];
    lets_all_go(|| token.wait_async(), || token.cancel());
    assert!(children.iter().all(Token::is_cancelled));
}

/// Its drop unwinds, its call does nothing.
struct DropUnwinds;

impl Wake for DropUnwinds {
    fn wake(self: Arc<Self>) {}
}

impl Drop for DropUnwinds {
    fn drop(&mut self) {
        if !thread::panicking() {
            resume_unwind(Box::new(9_usize));
        }
    }
}

/// A waker that is dropped unwinds: the goroutine whose value was taken goes on, and the value
/// arrives.
#[test]
fn a_waker_is_dropped_when_a_value_is_taken() {
    /// False if the first future had waited for so long that the value was reserved for it.
    fn attempt(rt: &Runtime) -> bool {
        let (tx, rx) = chan::bounded::<u32>(0);
        let (mut first, mut second) = (Box::pin(rx.recv_async()), Box::pin(rx.recv_async()));
        let waits = Arc::new(Counts::default());
        assert!(poll(first.as_mut(), &waits.clone().into()).is_pending());
        {
            // The node has the last clone when this one goes.
            let bad: Waker = Arc::new(DropUnwinds).into();
            assert!(poll(second.as_mut(), &bad).is_pending());
        }
        let sender = rt.handle().go(move || tx.send(5));
        while waits.0.load(Relaxed) == 0 {
            thread::yield_now();
        }
        // The second one is polled for a reason of its own, with another waker.
        let polled = catch_unwind(AssertUnwindSafe(|| poll(second.as_mut(), Waker::noop())));
        let at_once = matches!(polled, Ok(Poll::Ready(_)));
        let polled = if at_once { polled.unwrap() } else { poll(first.as_mut(), Waker::noop()) };
        assert_eq!(polled, Poll::Ready(Ok(5)));
        assert_eq!(sender.join().expect("no panic"), Ok(()));
        at_once
    }
    each_mode(|rt, _| assert!((0..1000).any(|_| attempt(rt)), "the first always waits for long"));
}

/// A future is polled again with another waker, or dropped: the first waker's panic goes on, and
/// the future waits with the second, or is off its list.
#[test]
fn a_waker_is_dropped_when_it_is_replaced() {
    let (tx, rx) = chan::bounded::<u32>(1);
    let count = Arc::new(Counts::default());
    let mut receive = Box::pin(rx.recv_async());
    {
        let bad: Waker = Arc::new(DropUnwinds).into();
        assert!(poll(receive.as_mut(), &bad).is_pending());
    }
    let again = catch_unwind(AssertUnwindSafe(|| {
        assert!(poll(receive.as_mut(), &count.clone().into()).is_pending());
    }));
    assert_eq!(unwound_with(again), Some(9));
    tx.send(1).expect("there is room");
    assert_eq!(count.0.load(Relaxed), 1, "the second waker waits");
    assert_eq!(poll(receive.as_mut(), Waker::noop()), Poll::Ready(Ok(1)));
    let mut sends = Box::pin(tx.send_async(2));
    assert_eq!(poll(sends.as_mut(), Waker::noop()), Poll::Ready(Ok(())));
    let mut sends = Box::pin(tx.send_async(3));
    {
        let bad: Waker = Arc::new(DropUnwinds).into();
        assert!(poll(sends.as_mut(), &bad).is_pending());
    }
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(sends)));
    assert_eq!(unwound_with(dropped), Some(9));
    assert_eq!((rx.recv(), rx.try_recv().is_err()), (Ok(2), true), "it is off the list");
}

/// Unwinds, and counts how often it was called.
struct CountsAndUnwinds(Arc<Counts>);

impl Wake for CountsAndUnwinds {
    fn wake(self: Arc<Self>) {
        self.0.0.fetch_add(1, Relaxed);
        resume_unwind(Box::new(3_usize));
    }
}

/// A select that begins to wait lets a future go for each of its sends: all of them, and then it
/// unwinds with its values.
#[test]
fn a_select_wakes_all_futures_that_its_sends_are_for() {
    let counts: [Arc<Counts>; 2] = Default::default();
    let wakers = counts.each_ref().map(|n| Waker::from(Arc::new(CountsAndUnwinds(n.clone()))));
    let ((tx1, rx1), (tx2, rx2)) = (chan::bounded::<u32>(0), chan::bounded::<u32>(0));
    let (mut first, mut second) = (Box::pin(rx1.recv_async()), Box::pin(rx2.recv_async()));
    assert!(poll(first.as_mut(), &wakers[0]).is_pending());
    assert!(poll(second.as_mut(), &wakers[1]).is_pending());
    let mut select = Select::new();
    let (one, two) = (select.send(&tx1, 1), select.send(&tx2, 2));
    let unwound = catch_unwind(AssertUnwindSafe(|| drop(select.select())));
    assert_eq!(unwound_with(unwound), Some(3));
    assert_eq!(counts.each_ref().map(|count| count.0.load(Relaxed)), [1, 1]);
    assert_eq!((select.take_back(one, &tx1), select.take_back(two, &tx2)), (1, 2));
}

/// A value that a select has received is the caller's, whatever a waker does.
#[test]
fn a_select_receives_a_value_whose_sender_unwinds() {
    let (tx, rx) = chan::bounded::<u32>(0);
    let mut sends = Box::pin(tx.send_async(4));
    assert!(poll(sends.as_mut(), &Arc::new(Unwinds(1)).into()).is_pending());
    let mut select = Select::new();
    select.recv(&rx);
    assert_eq!(select.select().recv(&rx), Ok(4));
    let mut sends = Box::pin(tx.send_async(5));
    assert!(poll(sends.as_mut(), &Arc::new(Unwinds(1)).into()).is_pending());
    assert_eq!(rx.recv(), Ok(5));
}

/// The values that nobody received are dropped after all senders were woken, and the first panic
/// goes on.
#[test]
fn the_last_receiver_goes_with_values() {
    struct Value(Arc<Counts>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.0.fetch_add(1, Relaxed);
            if !thread::panicking() {
                resume_unwind(Box::new(6_usize));
            }
        }
    }
    let dropped = Arc::new(Counts::default());
    let (tx, rx) = chan::bounded(1);
    assert!(tx.send(Value(dropped.clone())).is_ok());
    let mut sends = Box::pin(tx.send_async(Value(dropped.clone())));
    assert!(poll(sends.as_mut(), &Arc::new(Unwinds(1)).into()).is_pending());
    let unwound = catch_unwind(AssertUnwindSafe(|| drop(rx)));
    assert_eq!(unwound_with(unwound), Some(1), "the first");
    assert_eq!(dropped.0.load(Relaxed), 1);
    let Poll::Ready(Err(SendError(back))) = poll(sends.as_mut(), Waker::noop()) else {
        unreachable!("the receiver is gone")
    };
    std::mem::forget(back);
}
