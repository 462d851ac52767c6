//! The waiter protocol, through the channel that runs on it: hand-over against cancel, disconnect
//! and each other.

use gosched_runtime_sys::sync::primitive::thread;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::time::Instant;

use super::models;
use crate::chan::clock::Clock;
use crate::chan::raw::Channel;
use crate::testing::TestWaiter;

type Chan = Arc<Channel<u32, TestWaiter>>;

fn channel(capacity: usize) -> Chan {
    Arc::new(Channel::new(Some(capacity)))
}

/// A thread that sends one value, and returns the outcome: see [`TestWaiter::send`].
fn sender(channel: &Chan, waiter: &TestWaiter, value: u32) -> thread::JoinHandle<Option<bool>> {
    let (channel, waiter) = (channel.clone(), waiter.clone());
    thread::spawn(move || {
        let sent = waiter.send(&channel, value);
        channel.remove_sender();
        sent
    })
}

/// A thread that receives one value, and returns the outcome: see [`TestWaiter::recv`].
fn receiver(channel: &Chan, waiter: &TestWaiter) -> thread::JoinHandle<Option<Option<u32>>> {
    let (channel, waiter) = (channel.clone(), waiter.clone());
    thread::spawn(move || {
        let received = waiter.recv(&channel);
        channel.remove_receiver();
        received
    })
}

fn nobody_waits(channel: &Chan) {
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

fn ended<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("its asserts hold")
}

/// Without a buffer a send and a receive meet, whichever comes first.
fn rendezvous() {
    let channel = channel(0);
    let sender = sender(&channel, &TestWaiter::new(), 7);
    let waiter = TestWaiter::new();
    assert_eq!(waiter.recv(&channel), Some(Some(7)));
    assert_eq!(waiter.recv(&channel), Some(None), "the sender is gone");
    assert_eq!(ended(sender), Some(true));
    nobody_waits(&channel);
}

/// A receiver that is cancelled has the value, or the sender gets it back.
fn cancelled_receiver() {
    let channel = channel(0);
    let waiter = TestWaiter::new();
    let receiver = receiver(&channel, &waiter);
    let canceller = thread::spawn(move || waiter.cancel());
    let sent = TestWaiter::new().send(&channel, 7);
    match ended(receiver) {
        Some(received) => assert_eq!((received, sent), (Some(7), Some(true))),
        None => assert_eq!(sent, Some(false), "the value was lost"),
    }
    ended(canceller);
    nobody_waits(&channel);
}

/// A sender that is cancelled did not send, and a sender that is not cancelled did.
fn cancelled_sender() {
    let channel = channel(0);
    let waiter = TestWaiter::new();
    let sender = sender(&channel, &waiter, 7);
    let canceller = thread::spawn(move || waiter.cancel());
    let received = TestWaiter::new().recv(&channel).expect("nobody cancels this one");
    assert_eq!(received.is_some(), ended(sender) == Some(true));
    ended(canceller);
    nobody_waits(&channel);
}

/// The waiter behind a cancelled one stays linked, whichever of cancel and hand-over comes first.
fn cancelled_neighbour() {
    let channel = channel(0);
    channel.add_receiver();
    let (first, second) = (TestWaiter::new(), TestWaiter::new());
    let behind = receiver(&channel, &second);
    let cancelled = receiver(&channel, &first);
    first.cancel();
    let sent = TestWaiter::new().send(&channel, 7);
    assert_eq!(sent, Some(true), "the second receiver waits for it");
    channel.remove_sender();
    let (cancelled, behind) = (ended(cancelled), ended(behind));
    assert!(matches!(
        (cancelled, behind),
        (Some(Some(7)), Some(None)) | (None | Some(None), Some(Some(7)))
    ));
    nobody_waits(&channel);
}

/// A full buffer: the waiting sender gets its value in behind the one in the buffer, or a cancel
/// takes its value out.
fn refill() {
    let channel = channel(1);
    assert_eq!(TestWaiter::new().send(&channel, 1), Some(true), "there is room");
    let waiter = TestWaiter::new();
    let sender = sender(&channel, &waiter, 2);
    let canceller = thread::spawn(move || waiter.cancel());
    let waiter = TestWaiter::new();
    assert_eq!(waiter.recv(&channel), Some(Some(1)));
    let second = waiter.recv(&channel).expect("nobody cancels this one");
    assert_eq!(second.is_some(), ended(sender) == Some(true));
    ended(canceller);
    nobody_waits(&channel);
}

/// A clock is set while a receiver waits that does not know of it: once to never, then to now.
fn set_while_one_waits() {
    let channel: Chan = Arc::new(Channel::of_clock(Clock::new(None, None, |_due| 7)));
    let receiver = receiver(&channel, &TestWaiter::new());
    assert!(!channel.set_clock(None, None), "nothing would have come");
    assert!(!channel.set_clock(Some(Instant::now()), None));
    assert_eq!(ended(receiver), Some(Some(7)));
    nobody_waits(&channel);
}

/// A due value is stopped while a receiver is about to take it: one of the two has it.
fn stopped_or_received() {
    let channel: Chan =
        Arc::new(Channel::of_clock(Clock::new(Some(Instant::now()), None, |_due| 7)));
    let stopper = {
        let channel = channel.clone();
        thread::spawn(move || channel.set_clock(None, None))
    };
    let received = channel.try_recv(|| ()).is_ok();
    assert_ne!(received, ended(stopper));
    assert!(channel.try_recv(|| ()).is_err(), "nothing is left");
}

/// A sender waits, or comes, while the channel is closed: the value is received or comes back, and
/// a receiver takes what is left.
fn closed(capacity: usize) {
    let channel = channel(capacity);
    let sender = sender(&channel, &TestWaiter::new(), 7);
    let closer = {
        let channel = channel.clone();
        thread::spawn(move || channel.close())
    };
    let waiter = TestWaiter::new();
    let received = waiter.recv(&channel).expect("nobody cancels it");
    let sent = ended(sender) == Some(true);
    let _before_the_senders_went = ended(closer);
    let left = waiter.recv(&channel).expect("nobody cancels it");
    assert_eq!(received.or(left), sent.then_some(7), "lost, or received and given back");
    nobody_waits(&channel);
}

fn closed_without_a_buffer() {
    closed(0);
}

fn closed_with_a_buffer() {
    closed(1);
}

/// Nobody receives: only the closer lets the sender go.
fn closed_while_one_sends() {
    let channel = channel(0);
    let sender = sender(&channel, &TestWaiter::new(), 7);
    channel.close();
    assert_eq!(ended(sender), Some(false));
    nobody_waits(&channel);
}

/// A weak sender is upgraded while the last sender goes: it sends, or comes too late.
fn upgraded() {
    let channel = channel(1);
    let weak = {
        let channel = channel.clone();
        thread::spawn(move || {
            let is_in_time = channel.try_add_sender();
            if is_in_time {
                assert_eq!(TestWaiter::new().send(&channel, 7), Some(true), "it is connected");
                channel.remove_sender();
            }
            is_in_time
        })
    };
    channel.remove_sender();
    let received = TestWaiter::new().recv(&channel).expect("nobody cancels it");
    assert_eq!(received.is_some(), ended(weak));
    nobody_waits(&channel);
}

/// A weak receiver is upgraded while the last receiver goes: it finds what was sent, or comes too
/// late.
fn upgraded_receiver() {
    let channel = channel(1);
    assert_eq!(TestWaiter::new().send(&channel, 7), Some(true), "there is room");
    let weak = {
        let channel = channel.clone();
        thread::spawn(move || {
            if channel.try_add_receiver() {
                let received = TestWaiter::new().recv(&channel).expect("nobody cancels it");
                assert_eq!(received, Some(7), "a receiver was there all the time");
                channel.remove_receiver();
            }
        })
    };
    channel.remove_receiver();
    ended(weak);
    nobody_waits(&channel);
}

models! {
    holds closed_without_a_buffer_holds = closed_without_a_buffer within 3 preemptions;
    holds closed_with_a_buffer_holds = closed_with_a_buffer within 2 preemptions;
    holds closed_while_one_sends_holds = closed_while_one_sends within 3 preemptions;
    holds upgraded_holds = upgraded within 3 preemptions;
    holds upgraded_receiver_holds = upgraded_receiver within 3 preemptions;
    holds set_while_one_waits_holds = set_while_one_waits within 3 preemptions;
    holds stopped_or_received_holds = stopped_or_received within 3 preemptions;
    holds rendezvous_holds = rendezvous within 3 preemptions;
    holds cancelled_receiver_holds = cancelled_receiver within 3 preemptions;
    holds cancelled_sender_holds = cancelled_sender within 3 preemptions;
    holds cancelled_neighbour_holds = cancelled_neighbour within 3 preemptions;
    holds refill_holds = refill within 3 preemptions;
    catches a_close_that_leaves_senders = "chan.close_leaves_senders"
        in closed_while_one_sends within 3 preemptions;
    catches a_weak_sender_that_revives = "chan.weak_revives" in upgraded within 3 preemptions;
    catches a_weak_receiver_that_revives = "chan.weak_revives"
        in upgraded_receiver within 3 preemptions;
    catches a_clock_that_is_set_in_silence = "clock.set_unheard"
        in set_while_one_waits within 3 preemptions;
    catches a_clock_that_seems_to_be_gone = "clock.seems_gone"
        in set_while_one_waits within 3 preemptions;
    catches a_done_before_the_slot = "waiter.done_before_slot" in rendezvous within 3 preemptions;
    catches a_relaxed_done = "waiter.done_relaxed" in cancelled_receiver within 3 preemptions;
    catches an_unlink_without_a_look = "waiter.unlink_unseen"
        in cancelled_neighbour within 3 preemptions;
}
