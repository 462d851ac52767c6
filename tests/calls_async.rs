//! Requests of a host's executors, and the numbers of what may come of a request.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use gosched::callback::{Bridge, CallCode, CallError, EnterError, Service};
use gosched::{Mode, Runtime};
use test_support::modes;

/// An executor of one thread's, which knows nothing of gosched.
struct Ring(Sender<()>);

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        // Nobody listens any more after the last reply.
        let _unheard = self.0.send(());
    }
}

/// Returns a waker, and what hears it.
fn ring() -> (Waker, Receiver<()>) {
    let (sender, heard) = channel();
    (Waker::from(Arc::new(Ring(sender))), heard)
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let (waker, heard) = ring();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        heard.recv().expect("the waker is here");
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn one_thread_has_many_requests_under_way() {
    for mode in modes() {
        let runtime = Runtime::builder(mode).procs(2).build().expect("a runtime");
        let bridge = Bridge::new(&runtime);
        let (service, requests) = Service::<u64, u64>::bounded(3);
        let server = runtime.handle().go(move || {
            // All are there before the first has a reply: so none of them keeps the thread.
            let mut waiting: Vec<_> = (0..100).map(|_| requests.recv().expect("sent")).collect();
            while let Some(request) = waiting.pop() {
                let double = 2 * request.value();
                request.reply(double).expect("awaited");
            }
        });
        let mut calls: Vec<_> =
            (0..100).map(|n| Box::pin(is_send(bridge.call_async(&service, n)))).collect();
        let (waker, heard) = ring();
        let mut sum = 0;
        loop {
            calls.retain_mut(|call| match call.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(reply) => {
                    sum += reply.expect("a reply");
                    false
                }
                Poll::Pending => true,
            });
            if calls.is_empty() {
                break;
            }
            heard.recv().expect("the waker is here");
        }
        assert_eq!(sum, 99 * 100);
        server.join().expect("no panic");
        runtime.shutdown(Duration::from_secs(20)).expect("no callback is inside");
    }
}

#[test]
fn a_future_that_is_dropped_withdraws_its_request() {
    let runtime = Runtime::builder(Mode::threads()).build().expect("a runtime");
    let bridge = Bridge::new(&runtime);
    let (service, requests) = Service::<Arc<()>, ()>::bounded(1);
    let value = Arc::new(());
    {
        let mut sent = pin!(bridge.call_async(&service, value.clone()));
        let mut waits = pin!(bridge.call_async(&service, value.clone()));
        assert!(poll_once(sent.as_mut()).is_pending() && poll_once(waits.as_mut()).is_pending());
        assert_eq!(Arc::strong_count(&value), 3);
    }
    assert_eq!(Arc::strong_count(&value), 1, "what nobody has received goes with the future");
    assert!(requests.try_recv().is_err());
    let mut taken = Box::pin(bridge.call_async(&service, value.clone()));
    assert!(poll_once(taken.as_mut()).is_pending());
    let (_value, reply) = requests.try_recv().expect("sent").into_parts();
    assert!(reply.is_awaited());
    drop(taken);
    assert!(!reply.is_awaited());
    assert_eq!(reply.send(()), Err(()), "the caller has left");
    assert!(poll_once(pin!(bridge.call_async(&service, value))).is_pending(), "slots go on");
}

#[test]
fn each_way_to_fail_has_a_number_and_gives_the_value_back() {
    let (service, requests) = Service::<u8, ()>::bounded(1);
    let unbound = block_on(Bridge::unbound().call_async(&service, 1)).expect_err("nowhere");
    assert!(matches!(unbound, CallError::Enter(EnterError::NotRunning, Some(1))));
    assert_eq!(unbound.code(), CallCode::NotRunning);

    let runtime = Runtime::builder(Mode::threads()).build().expect("a runtime");
    let bridge = Bridge::new(&runtime);
    let mut dropped = pin!(bridge.call_async(&service, 2));
    assert!(poll_once(dropped.as_mut()).is_pending());
    drop(requests.recv().expect("sent"));
    let no_reply = block_on(dropped).expect_err("it was dropped");
    assert_eq!((no_reply.code(), no_reply.into_value()), (CallCode::NoReply, None));

    let mut lies = pin!(bridge.call_async(&service, 3));
    assert!(poll_once(lies.as_mut()).is_pending());
    let full = bridge.try_call(&service, 4).expect_err("no room");
    assert_eq!((full.code() as i32, full.to_string()), (10, CallCode::Full.text().to_owned()));
    let late = bridge.call_timeout(&service, 4, Duration::from_millis(1)).expect_err("no room");
    assert_eq!((late.code(), late.into_value()), (CallCode::TimedOut, Some(4)));
    let mut waits = pin!(bridge.call_async(&service, 5));
    assert!(poll_once(waits.as_mut()).is_pending());
    drop(requests);
    for (call, value) in [(lies, 3), (waits, 5)] {
        let gone = block_on(call).expect_err("nobody serves");
        assert_eq!((gone.code(), gone.into_value()), (CallCode::Disconnected, Some(value)));
    }

    bridge.close(Duration::ZERO).expect("a future is not inside");
    let closed = block_on(bridge.call_async(&service, 6)).expect_err("closed");
    assert_eq!((closed.code(), closed.into_value()), (CallCode::Closed, Some(6)));
    assert!(bridge.rebind(runtime.handle()));
    runtime.shutdown(Duration::from_secs(20)).expect("nothing is left");
    let down = block_on(bridge.call_async(&service, 7)).expect_err("shut down");
    assert_eq!((down.code(), down.into_value()), (CallCode::ShutDown, Some(7)));
}
