//! A token's cancel, against threads that wait for it, come under it or leave it, and against a
//! child that is made meanwhile.
//!
//! # Safety
//!
//! The future's node is pinned, and leaves its list.

#![expect(unsafe_code, reason = "polls with a pinned node")]

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, thread};
use std::mem::ManuallyDrop;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::task::Poll;

use super::executor::Executor;
use super::models;
use crate::cancel::CancelScope;
use crate::chan::TryRecvError;
use crate::chan::raw::Channel;
use crate::ds::timers::NEVER;
use crate::testing::TestWaiter;
use crate::wait::polled::PolledNode;
use crate::wait::token::run::Listing;
use crate::wait::token::subject::Listed;
use crate::wait::token::{Call, Child, DoneChannel, TokenInner};

type Token = Arc<TokenInner<TestWaiter>>;

fn beside(token: &Token, f: fn(&Token)) -> thread::JoinHandle<()> {
    let token = token.clone();
    thread::spawn(move || f(&token))
}

/// Waits for the token itself.
fn wait(token: &Token) {
    let waiter = TestWaiter::new();
    assert!(token.wait(None, || waiter.begin()));
}

/// The same as a future.
fn wait_polled(token: &Token) {
    // Not dropped by a failed model, whose lock is gone then.
    let node = ManuallyDrop::new(Box::pin(PolledNode::new(None)));
    Executor::new().block_on(|waker| {
        // SAFETY: pinned, and left below.
        if unsafe { token.poll(&node, waker) } { Poll::Ready(()) } else { Poll::Pending }
    });
    token.leave(&node);
    drop(ManuallyDrop::into_inner(node));
}

/// Waits under the token for what never comes.
fn wait_under(token: &Token) {
    let (waiter, channel) = (TestWaiter::new(), Channel::<u32, TestWaiter>::new(Some(0)));
    let listed = Listed::new(CancelScope::Token(1), NEVER);
    let entered = Listing::new(token, &listed);
    if entered.enter(Some(waiter.clone())) {
        assert_eq!(waiter.recv(&channel), None, "nobody sends");
    }
    drop(entered);
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

/// Comes under the token and leaves it.
fn pass_under(token: &Token) {
    let listed = Listed::new(CancelScope::Token(1), NEVER);
    let entered = Listing::new(token, &listed);
    let _either = entered.enter(Some(TestWaiter::new()));
    drop(entered);
}

/// A thread that waits for the token learns of the cancel, whichever comes first.
fn waiting() {
    let token: Token = TokenInner::new(None);
    let waiter = beside(&token, wait);
    TokenInner::cancel(&token);
    waiter.join().expect("its asserts hold");
}

/// A future that waits for the token is ready.
fn polled() {
    let token: Token = TokenInner::new(None);
    let waiter = beside(&token, wait_polled);
    TokenInner::cancel(&token);
    waiter.join().expect("its asserts hold");
}

/// A thread that waits under the token ends its wait.
fn under() {
    let token: Token = TokenInner::new(None);
    let subject = beside(&token, wait_under);
    TokenInner::cancel(&token);
    subject.join().expect("its asserts hold");
}

/// Two are under the token, one of which leaves, perhaps as the first in the list: the other's wait
/// ends all the same, and both are off the list.
fn two_under() {
    let token: Token = TokenInner::new(None);
    let others = [beside(&token, pass_under), beside(&token, wait_under)];
    TokenInner::cancel(&token);
    others.into_iter().for_each(|other| other.join().expect("its asserts hold"));
}

/// The second of two leaves after the first did, whose place in the list it got.
fn two_leave() {
    let token: Token = TokenInner::new(None);
    let others = [beside(&token, pass_under), beside(&token, pass_under)];
    others.into_iter().for_each(|other| other.join().expect("it does not panic"));
    TokenInner::cancel(&token);
}

/// A child that is made while its parent is cancelled is cancelled, too.
fn child() {
    let parent: Token = TokenInner::new(None);
    let maker = beside(&parent, |parent| {
        let child = TokenInner::new(Some(parent.clone()));
        parent.adopt(Child::Token(Arc::downgrade(&child)));
        let waiter = TestWaiter::new();
        assert!(child.wait(None, || waiter.begin()));
    });
    TokenInner::cancel(&parent);
    maker.join().expect("its asserts hold");
}

/// What is to be called at a cancel is called once, whether it came before or after.
fn called() {
    let token: Token = TokenInner::new(None);
    let calls = Arc::new(AtomicU32::new(0));
    let lister = {
        let (token, calls) = (token.clone(), calls.clone());
        thread::spawn(move || {
            let call = Arc::new(Call::new(move || _ = calls.fetch_add(1, Ordering::Relaxed)));
            token.adopt(Child::Call(Arc::downgrade(&call)));
            call
        })
    };
    TokenInner::cancel(&token);
    let call = lister.join().expect("its asserts hold");
    assert!(call.take().is_none(), "it was not called");
    TokenInner::cancel(&token);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// The channel of a token, of which nothing is ever received.
struct Closes(Arc<Channel<u32, TestWaiter>>);

impl DoneChannel for Closes {
    fn disconnect(&self) {
        self.0.disconnect();
    }
}

/// A thread that is told of the cancel, whenever it asks, finds the token's channel disconnected. A
/// thread that waits for the channel is woken.
fn told() {
    let token: Token = TokenInner::new(None);
    let channel = Arc::new(Channel::new(Some(0)));
    let (theirs, last) = (channel.clone(), channel.clone());
    token.done.get_or_init(|| Box::new(Closes(theirs)));
    token.adopt(Child::Kept(Arc::new(Call::new(move || last.remove_sender()))));
    let canceller = beside(&token, TokenInner::cancel);
    let waiter = {
        let channel = channel.clone();
        thread::spawn(move || assert_eq!(TestWaiter::new().recv(&channel), Some(None)))
    };
    if token.cause().is_some() {
        assert_eq!(channel.try_recv(|| ()), Err(TryRecvError::Disconnected));
    }
    canceller.join().expect("it does not panic");
    waiter.join().expect("its asserts hold");
    assert_eq!(channel.waiting(), (0, 0), "a node was left behind");
}

models! {
    holds waiting_holds = waiting;
    holds polled_holds = polled;
    holds under_holds = under within 3 preemptions;
    holds two_under_hold = two_under within 2 preemptions;
    holds two_leave_hold = two_leave within 3 preemptions;
    holds child_holds = child within 3 preemptions;
    holds called_holds = called;
    holds told_holds = told within 3 preemptions;
    catches a_call_that_is_forgotten = "token.adopts_too_late" in called;
    catches a_cancel_that_wakes_first = "token.wakes_first" in waiting;
    catches a_cancel_that_wakes_futures_first = "token.wakes_first" in polled;
    catches a_subject_that_comes_after_the_wakes = "token.wakes_first"
        in under within 3 preemptions;
    catches a_place_that_is_wrong = "token.forgets_the_moved" in two_leave within 3 preemptions;
    catches a_child_that_is_forgotten = "token.adopts_too_late" in child within 3 preemptions;
    catches a_token_that_knows_before_its_channel = "token.tells_before_its_channel"
        in told within 3 preemptions;
}
