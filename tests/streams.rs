//! Streams and sinks: the features `futures-core` and `futures-sink`.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_core::Stream;
use futures_core::stream::FusedStream;
use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_fn};
use futures_sink::Sink;
use gosched::chan::broadcast::{self, RecvError};
use gosched::chan::{self, SendError, watch};
use gosched::time::{Ticker, Timer};
use gosched::{JoinSet, Mode, go, run};
use test_support::each_mode;

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn next<S: Stream + Unpin>(stream: &mut S, count: &Arc<Count>) -> Poll<Option<S::Item>> {
    let waker = Waker::from(count.clone());
    Pin::new(stream).poll_next(&mut Context::from_waker(&waker))
}

fn flush<T>(sink: &mut (impl Sink<T> + Unpin), count: &Arc<Count>) -> Poll<bool> {
    let waker = Waker::from(count.clone());
    Pin::new(sink).poll_flush(&mut Context::from_waker(&waker)).map(|flushed| flushed.is_ok())
}

#[test]
fn values_come_in_order_to_streams_and_from_sinks() {
    const VALUES: u32 = 2_000;
    each_mode(|rt, mode| {
        for capacity in [0, 1, 16] {
            let (to_task, at_task) = chan::bounded(capacity);
            let (to_g, at_g) = chan::bounded(capacity);
            let task = thread::spawn(move || {
                block_on(async {
                    let (mut stream, mut sink) = (at_task.into_stream(), to_g.into_sink());
                    while let Some(n) = stream.next().await {
                        poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx))
                            .await
                            .expect("it is there");
                        Pin::new(&mut sink).start_send(n + 1).expect("it is open");
                    }
                    assert!(stream.is_terminated());
                    assert_eq!(stream.next().await, None);
                    poll_fn(|cx| Pin::new(&mut sink).poll_close(cx)).await.expect("it is there");
                    assert_eq!(Pin::new(&mut sink).start_send(9), Err(SendError(9)));
                });
            });
            let received = rt.run(move || {
                let sender = go(move || {
                    (0..VALUES).for_each(|n| to_task.send(n).expect("the task receives"));
                });
                let received: Vec<_> = at_g.iter().collect();
                sender.join().unwrap();
                received
            });
            task.join().unwrap();
            assert!(received.into_iter().eq(1..=VALUES), "{mode:?}, capacity {capacity}");
        }
    });
}

#[test]
fn a_stream_that_is_dropped_passes_its_wake_up_on() {
    let (tx, rx) = chan::bounded(1);
    let [one, other] = [(); 2].map(|()| Arc::new(Count::default()));
    let (mut first, mut second) = (rx.stream(), rx.clone().into_stream());
    assert!(next(&mut first, &one).is_pending());
    assert!(next(&mut second, &other).is_pending());
    tx.send(1).unwrap();
    assert_eq!((one.times(), other.times()), (1, 0));
    drop(first);
    assert_eq!(other.times(), 1);
    assert_eq!(next(&mut second, &other), Poll::Ready(Some(1)));
    assert!(!second.is_terminated());
    assert!(next(&mut second, &other).is_pending(), "it waits anew");
    drop(tx);
    assert_eq!(other.times(), 2);
    assert_eq!(next(&mut second, &other), Poll::Ready(None));
    assert!(second.is_terminated());
}

#[test]
fn a_stream_may_move_between_two_polls() {
    let (tx, rx) = chan::bounded(0);
    let count = Arc::new(Count::default());
    let mut stream = rx.stream();
    assert!(next(&mut stream, &count).is_pending());
    let mut moved = Box::new(stream);
    let mut send = pin!(tx.send_async(3));
    let waker = Waker::from(count.clone());
    assert!(send.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(next(&mut *moved, &count), Poll::Ready(Some(3)));
}

#[test]
fn a_sink_has_one_value_and_waits_with_it() {
    let (tx, rx) = chan::bounded(0);
    let count = Arc::new(Count::default());
    let mut sink = tx.sink();
    assert_eq!(flush::<u32>(&mut sink, &count), Poll::Ready(true), "there is nothing to send");
    Pin::new(&mut sink).start_send(1).unwrap();
    assert!(rx.try_recv().is_err(), "it was not polled");
    assert_eq!(flush(&mut sink, &count), Poll::Pending);
    let two = std::panic::AssertUnwindSafe(|| Pin::new(&mut sink).start_send(2));
    assert!(std::panic::catch_unwind(two).is_err(), "it is not ready");
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(count.times(), 1);
    assert_eq!(flush(&mut sink, &count), Poll::Ready(true));
    Pin::new(&mut sink).start_send(3).unwrap();
    drop(rx);
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    assert_eq!(Pin::new(&mut sink).poll_ready(&mut cx), Poll::Ready(Err(SendError(3))));
    // It is ready again, and no better off.
    assert_eq!(Pin::new(&mut sink).poll_ready(&mut cx), Poll::Ready(Ok(())));
}

#[test]
fn a_value_that_was_not_sent_goes_with_the_sink() {
    let (tx, rx) = chan::bounded(0);
    let (count, value) = (Arc::new(Count::default()), Arc::new(()));
    let mut sink = tx.clone().into_sink();
    Pin::new(&mut sink).start_send(value.clone()).unwrap();
    assert_eq!(flush(&mut sink, &count), Poll::Pending);
    assert_eq!(tx.sender_count(), 2);
    drop(sink);
    assert_eq!((tx.sender_count(), Arc::strong_count(&value)), (1, 1));
    assert!(rx.try_recv().is_err());
    // Closed, a sink has no sender any more.
    let mut sink = tx.into_sink();
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    assert_eq!(Pin::new(&mut sink).poll_close(&mut cx), Poll::Ready(Ok(())));
    assert!(rx.is_closed());
}

#[test]
fn a_broadcast_is_a_stream_that_tells_what_was_missed() {
    let (tx, mut rx) = broadcast::channel(2);
    let count = Arc::new(Count::default());
    {
        let mut stream = rx.stream();
        assert!(next(&mut stream, &count).is_pending());
        (1..=3).for_each(|n| assert_eq!(tx.send(n), Ok(1)));
        assert_eq!(count.times(), 1);
        assert_eq!(next(&mut stream, &count), Poll::Ready(Some(Err(RecvError::Lagged(1)))));
        assert_eq!(next(&mut stream, &count), Poll::Ready(Some(Ok(2))));
    }
    let mut stream = rx.into_stream();
    assert_eq!(next(&mut stream, &count), Poll::Ready(Some(Ok(3))), "where the other one was");
    assert!(next(&mut stream, &count).is_pending());
    drop(tx);
    assert_eq!((count.times(), stream.is_terminated()), (2, false));
    assert_eq!(next(&mut stream, &count), Poll::Ready(None));
    assert!(stream.is_terminated());
}

#[test]
fn a_watched_value_is_a_stream_of_the_latest() {
    let (tx, rx) = watch::channel(0);
    let count = Arc::new(Count::default());
    let mut stream = rx.clone().into_stream();
    assert!(next(&mut stream, &count).is_pending(), "the value was seen");
    (1..=3).for_each(|n| tx.send(n).unwrap());
    assert_eq!(next(&mut stream, &count), Poll::Ready(Some(3)));
    assert!(next(&mut stream, &count).is_pending());
    drop(tx);
    assert_eq!(next(&mut stream, &count), Poll::Ready(None));
    assert!(stream.is_terminated());
    let mut other = rx;
    assert_eq!(block_on(other.stream().collect::<Vec<_>>()), [3]);
}

#[test]
fn a_set_of_goroutines_is_a_stream_of_outcomes() {
    run(Mode::threads(), || {
        let mut set = JoinSet::new();
        let (tx, rx) = chan::bounded::<()>(0);
        (0..3).for_each(|n| {
            let rx = rx.clone();
            set.spawn(move || {
                rx.recv().unwrap();
                n
            });
        });
        assert_eq!(Stream::size_hint(&set), (3, Some(3)));
        let sender = go(move || (0..3).for_each(|_| tx.send(()).unwrap()));
        let mut outcomes: Vec<_> = block_on((&mut set).map(Result::unwrap).collect());
        outcomes.sort_unstable();
        assert_eq!(outcomes, [0, 1, 2]);
        sender.join().unwrap();
        set.spawn(|| panic!("as it should"));
        assert!(block_on(set.next()).unwrap().unwrap_err().is_panic());
        assert!(block_on(set.next()).is_none());
    });
}

#[test]
fn the_clock_ticks_for_tasks() {
    let ticker = Ticker::new(Duration::from_millis(1));
    let ticks: Vec<_> = block_on(ticker.stream().take(3).collect());
    assert!(ticks.is_sorted());
    let last = block_on(ticker.wait_async());
    assert!(last > ticks[2]);
    assert!(block_on(ticker.into_stream().next()).is_some_and(|tick| tick > last));
    let timer = Timer::new(Duration::from_millis(1));
    assert!(block_on(timer.wait_async()) > ticks[0]);
}
