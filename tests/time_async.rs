//! Sleeps and time limits of futures, as users see them, on goroutines, plain threads, in callbacks
//! and on tokio.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::Bridge;
use gosched::cancel::Token;
use gosched::future::block_on;
use gosched::sync::Mutex;
use gosched::time::{self, Elapsed, sleep_async, timeout_async, timeout_at_async};
use gosched::{chan, go, yield_now};
use test_support::each_mode;

const SHORT: Duration = Duration::from_millis(3);
/// Far more than anything here takes, and not for ever.
const LONG: Duration = Duration::from_secs(3600);

/// A waker that counts its calls.
#[derive(Default)]
struct Calls(AtomicU32);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Calls {
    fn until_called(&self) {
        while self.0.load(SeqCst) == 0 {
            thread::yield_now();
        }
    }
}

fn poll<F: Future>(future: Pin<&mut F>, calls: &Arc<Calls>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(calls.clone())))
}

/// Counts its drops, and is never ready.
struct Pends<'a>(&'a AtomicU32);

impl Future for Pends<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for Pends<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// All there is to try, for whatever executor polls it.
async fn in_time() {
    let began = Instant::now();
    sleep_async(SHORT).await;
    time::sleep_until_async(began + 2 * SHORT).await;
    assert!(began.elapsed() >= 2 * SHORT, "it was early");
    sleep_async(Duration::ZERO).await;
    time::sleep_until_async(began).await;

    let drops = AtomicU32::new(0);
    assert_eq!(timeout_async(SHORT, Pends(&drops)).await, Err(Elapsed));
    assert!(began.elapsed() >= 3 * SHORT, "it was early");
    assert_eq!(timeout_at_async(began, Pends(&drops)).await, Err(Elapsed));
    assert_eq!(drops.load(SeqCst), 2);
    for limit in [Duration::ZERO, LONG, Duration::MAX] {
        assert_eq!(timeout_async(limit, std::future::ready(5)).await, Ok(5));
    }
    assert_eq!(
        timeout_async(LONG, timeout_async(SHORT, sleep_async(LONG))).await,
        Ok(Err(Elapsed))
    );
    assert_eq!(timeout_async(SHORT, timeout_async(LONG, sleep_async(LONG))).await, Err(Elapsed));
    assert_eq!(timeout_async(LONG, sleep_async(SHORT)).await, Ok(()));
    assert_eq!(timeout_async(SHORT, sleep_async(Duration::MAX)).await, Err(Elapsed));
}

#[test]
fn goroutines_and_callbacks_sleep_and_give_up_in_time() {
    each_mode(|rt, _| {
        rt.run(|| {
            let many: Vec<_> = (0..10).map(|_| go(|| block_on(in_time()))).collect();
            many.into_iter().for_each(|one| one.join().expect("its asserts hold"));
        });
        let bridge = Bridge::new(rt);
        let caller = thread::spawn(move || bridge.enter(|| block_on(in_time())).expect("let in"));
        caller.join().expect("its asserts hold");
    });
}

#[test]
fn other_executors_and_plain_threads_do_without_a_runtime() {
    block_on(in_time());
    futures_lite::future::block_on(in_time());
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let tokio = tokio.expect("a runtime of tokio's");
    let tasks: Vec<_> = (0..10).map(|_| tokio.spawn(in_time())).collect();
    tasks.into_iter().for_each(|task| tokio.block_on(task).expect("its asserts hold"));
}

#[test]
fn what_is_ready_at_the_last_poll_is_not_lost() {
    let (tx, rx) = chan::bounded(1);
    let calls = Arc::new(Calls::default());
    let mut limited = pin!(timeout_async(SHORT, rx.recv_async()));
    assert!(poll(limited.as_mut(), &calls).is_pending());
    calls.until_called();
    tx.send(5).expect("there is room");
    assert_eq!(poll(limited, &calls), Poll::Ready(Ok(Ok(5))), "the time is over, and it is there");
    assert_eq!(block_on(timeout_async(Duration::ZERO, async { 6 })), Ok(6));
}

#[test]
fn at_the_deadline_the_limited_future_has_left_what_it_waited_for() {
    let mutex = Mutex::new(0);
    let held = mutex.lock().unwrap();
    let calls = Arc::new(Calls::default());
    let drops = AtomicU32::new(0);
    let mut limited = pin!(timeout_async(SHORT, async {
        let _told = Pends(&drops);
        *mutex.lock_async().await.unwrap() += 1;
    }));
    assert!(poll(limited.as_mut(), &calls).is_pending());
    calls.until_called();
    assert_eq!(poll(limited.as_mut(), &calls), Poll::Ready(Err(Elapsed)));
    assert_eq!(drops.load(SeqCst), 1, "it was dropped in that poll");
    drop(held);
    assert_eq!(*mutex.lock().unwrap(), 0);
    let again = catch_unwind(AssertUnwindSafe(|| poll(limited, &calls)));
    assert!(again.is_err(), "it has ended");
}

#[test]
fn a_value_that_comes_too_late_stays_and_one_that_was_not_sent_is_dropped() {
    let (tx, rx) = chan::bounded(0);
    let value = Arc::new(());
    assert_eq!(block_on(timeout_async(SHORT, rx.recv_async())), Err(Elapsed));
    let sent = block_on(timeout_async(SHORT, tx.send_async(value.clone())));
    assert_eq!((sent, Arc::strong_count(&value)), (Err(Elapsed), 1));
    assert!(rx.try_recv().is_err());
    let late = thread::spawn(move || tx.send(value));
    assert!(rx.recv().is_ok());
    late.join().expect("no panic").expect("it was received");
}

#[test]
fn the_task_that_polled_last_is_woken_and_a_drop_leaves_nothing() {
    let [first, second] = [(); 2].map(|()| Arc::new(Calls::default()));
    let mut sleep = sleep_async(SHORT);
    assert!(poll(Pin::new(&mut sleep), &first).is_pending());
    assert!(poll(Pin::new(&mut sleep), &second).is_pending());
    assert_eq!(Arc::strong_count(&first), 1, "its waker was dropped");
    second.until_called();
    assert_eq!(poll(Pin::new(&mut sleep), &second), Poll::Ready(()));
    assert_eq!(first.0.load(SeqCst), 0);

    let third = Arc::new(Calls::default());
    let mut early = Box::pin(timeout_async(LONG, sleep_async(LONG)));
    assert!(poll(early.as_mut(), &third).is_pending());
    assert_eq!(Arc::strong_count(&third), 3, "each has an alarm");
    drop(early);
    assert_eq!((Arc::strong_count(&third), third.0.load(SeqCst)), (1, 0));
}

#[test]
fn a_cancel_drops_the_limited_future() {
    each_mode(|rt, _| {
        rt.run(|| {
            let token = Token::new();
            let (theirs, drops) = (token.clone(), Arc::new(AtomicU32::new(0)));
            let dropped = drops.clone();
            let (began_tx, began) = chan::bounded(1);
            let waits = go(move || {
                let ended = theirs.run(|| {
                    block_on(timeout_async(LONG, async {
                        let pends = Pends(&dropped);
                        began_tx.send(()).expect("it is awaited");
                        pends.await;
                    }))
                });
                ended.is_err()
            });
            began.recv().expect("it begins");
            token.cancel();
            assert!(waits.join().expect("no panic"));
            assert_eq!(drops.load(SeqCst), 1);
        });
    });
}

#[test]
fn a_panic_of_the_limited_future_goes_on() {
    struct Unwinds;
    impl Drop for Unwinds {
        fn drop(&mut self) {
            resume_unwind(Box::new("in its drop"));
        }
    }
    let caught = |future: Pin<Box<dyn Future<Output = Result<(), Elapsed>>>>| {
        let outcome = catch_unwind(AssertUnwindSafe(|| block_on(future)));
        *outcome.expect_err("it unwinds").downcast::<&str>().expect("ours")
    };
    let polled = timeout_async(LONG, async { resume_unwind(Box::new("in its poll")) });
    assert_eq!(caught(Box::pin(polled)), "in its poll");
    let dropped = timeout_async(SHORT, async {
        let _unwinds = Unwinds;
        sleep_async(LONG).await;
    });
    assert_eq!(caught(Box::pin(dropped)), "in its drop");
}

#[test]
fn a_future_that_wakes_itself_is_given_up_all_the_same() {
    let busy = || {
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })
    };
    assert_eq!(block_on(timeout_async(SHORT, busy())), Err(Elapsed));
    each_mode(|rt, _| {
        rt.run(|| {
            // On one P others have their turns meanwhile.
            let other = go(|| (0..100).for_each(|_| yield_now()));
            assert_eq!(block_on(timeout_async(SHORT, busy())), Err(Elapsed));
            other.join().expect("no panic");
        });
    });
}
