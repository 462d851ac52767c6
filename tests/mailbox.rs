//! Mailboxes: posted to by threads, handlers and goroutines, received by goroutines, threads and
//! tasks. What is posted is received once and in order.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{MailReceiver, Mailbox};
use gosched::future::block_on;
use gosched::{Cancelled, chan, go, yield_now};
use test_support::each_mode;

const LONG: Duration = Duration::from_secs(60);

fn mailbox<T: Send>(capacity: usize) -> (Mailbox<T>, MailReceiver<T>) {
    Mailbox::bounded(capacity).expect("a thread")
}

#[test]
fn items_come_in_order_and_a_full_mailbox_gives_them_back() {
    let (mailbox, mut received) = mailbox(3);
    assert_eq!((mailbox.capacity(), received.capacity()), (3, 3));
    for round in 0..5 {
        assert_eq!(received.try_recv(), Err(TryRecvError::Empty));
        for item in 0..3 {
            mailbox.post(round * 10 + item).expect("it fits");
        }
        assert_eq!(mailbox.post(99), Err(99));
        assert_eq!(received.recv(), Ok(round * 10));
        mailbox.post(round * 10 + 3).expect("there is room again");
        for item in 1..4 {
            assert_eq!(received.recv(), Ok(round * 10 + item));
        }
    }
}

#[test]
fn a_goroutine_that_waits_is_woken_by_any_thread() {
    each_mode(|rt, _| {
        let (to_goroutine, mut at_goroutine) = mailbox(1);
        let (to_thread, mut at_thread) = mailbox(1);
        let echo = rt.handle().go(move || {
            while let Ok(item) = at_goroutine.recv() {
                to_thread.post(item + 1).expect("it is asked one by one");
            }
        });
        for item in 0..200 {
            to_goroutine.post(item).expect("it is asked one by one");
            assert_eq!(at_thread.recv(), Ok(item + 1));
        }
        drop(to_goroutine);
        echo.join().expect("it has heard of the end");
        assert_eq!(at_thread.recv(), Err(RecvError));
        assert_eq!(at_thread.try_recv(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn a_task_waits_for_the_next_item() {
    let (mailbox, mut received) = mailbox(2);
    let poster = thread::spawn(move || {
        for item in 0..100 {
            while mailbox.post(item).is_err() {
                thread::yield_now();
            }
        }
    });
    let all = block_on(async {
        let mut all = Vec::new();
        while let Ok(item) = received.recv_async().await {
            all.push(item);
        }
        all
    });
    poster.join().expect("no panic");
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_wait_ends_at_its_time_and_takes_nothing() {
    let (mailbox, mut received) = mailbox::<u8>(1);
    let short = Duration::from_millis(3);
    let begin = Instant::now();
    assert_eq!(received.recv_timeout(short), Err(RecvTimeoutError::Timeout));
    assert!(begin.elapsed() >= short);
    assert_eq!(received.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    mailbox.post(1).expect("it fits");
    assert_eq!(received.recv_deadline(Instant::now()), Ok(1));
    assert_eq!(received.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    mailbox.post(2).expect("it fits");
    assert_eq!(received.recv_timeout(Duration::MAX), Ok(2));
    drop(mailbox);
    assert_eq!(received.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_cancelled_wait_leaves_the_item() {
    each_mode(|rt, _| {
        let (mailbox, mut received) = mailbox(1);
        let (back, comes_back) = chan::bounded(1);
        let waits = rt.handle().go(move || {
            let unwound = catch_unwind(AssertUnwindSafe(|| received.recv()));
            back.send(received).expect("awaited");
            unwound.expect_err("nothing was posted").is::<Cancelled>()
        });
        waits.cancel();
        // One that has not begun never does.
        if let Ok(mut received) = comes_back.recv() {
            assert!(waits.join().expect("it caught it"));
            mailbox.post('a').expect("it fits");
            assert_eq!(received.recv(), Ok('a'));
        }
    });
}

#[test]
fn polls_give_turns() {
    each_mode(|rt, _| {
        let (mailbox, mut polled) = Mailbox::polled(1);
        let polls = rt.handle().go(move || {
            loop {
                match polled.try_recv() {
                    Ok(item) => return item,
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => unreachable!("one is posted"),
                }
            }
        });
        let posts = rt.handle().go(move || {
            yield_now();
            mailbox.post(5).expect("it fits");
        });
        posts.join().expect("it has its turn");
        assert_eq!(polls.join().expect("it is posted"), 5);
    });
}

/// Threads and goroutines post at once: each of their items is received once, and those of one
/// poster in order.
#[test]
fn values_are_conserved() {
    const EACH: u32 = 5_000;
    each_mode(|rt, _| {
        let (mailbox, mut received) = mailbox(16);
        let post = |poster: u32, mailbox: Mailbox<(u32, u32)>| {
            move || {
                for item in 0..EACH {
                    while mailbox.post((poster, item)).is_err() {
                        thread::yield_now();
                        if gosched::goroutine::current_id().is_some() {
                            yield_now();
                        }
                    }
                }
            }
        };
        let threads = [0, 1].map(|poster| thread::spawn(post(poster, mailbox.clone())));
        let goroutines = [2, 3].map(|poster| rt.handle().go(post(poster, mailbox.clone())));
        drop(mailbox);
        let receiver = rt.handle().go(move || {
            let mut next = [0; 4];
            while let Ok((poster, item)) = received.recv() {
                assert_eq!(item, next[poster as usize], "an item of {poster}");
                next[poster as usize] += 1;
            }
            next
        });
        assert_eq!(receiver.join().expect("in order"), [EACH; 4]);
        threads.into_iter().for_each(|poster| poster.join().expect("no panic"));
        goroutines.into_iter().for_each(|poster| poster.join().expect("no panic"));
    });
}

/// What was posted and not received is dropped once.
#[test]
fn what_is_left_is_dropped_with_the_receiver() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mailbox, mut received) = mailbox(8);
    (0..6).for_each(|_| assert!(mailbox.post(Counts(dropped.clone())).is_ok()));
    (0..2).for_each(|_| drop(received.recv()));
    assert!(mailbox.post(Counts(dropped.clone())).is_ok());
    assert_eq!((dropped.load(Relaxed), mailbox.is_closed()), (2, false));
    drop(received);
    assert_eq!((dropped.load(Relaxed), mailbox.is_closed()), (7, true));
    assert!(mailbox.post(Counts(dropped.clone())).is_err());
    assert_eq!(dropped.load(Relaxed), 8);
}

/// The poster of an item may be outside of every runtime: nobody is deadlocked who waits for it.
#[test]
fn who_waits_for_a_mailbox_is_not_deadlocked() {
    let (mailbox, mut received) = mailbox(1);
    let runtime = gosched::Runtime::builder(gosched::Mode::threads())
        .deadlock(gosched::Deadlock::Panic)
        .build()
        .expect("a runtime");
    let got = runtime.run(move || {
        let poster = thread::spawn(move || {
            // Long enough that the runtime has looked, if it looks.
            thread::sleep(Duration::from_millis(50));
            mailbox.post(3)
        });
        let got = go(move || received.recv()).join().expect("no deadlock");
        poster.join().expect("no panic").expect("it fits");
        got
    });
    assert_eq!(got, Ok(3));
}

/// Says that it was called. `panics`: with a payload whose drop panics as well.
struct Called {
    called: AtomicBool,
    panics: bool,
}

impl Called {
    fn new(panics: bool) -> Arc<Self> {
        Arc::new(Self { called: AtomicBool::new(false), panics })
    }

    fn is_awaited(&self) {
        let began = Instant::now();
        while !self.called.load(Relaxed) {
            assert!(began.elapsed() < LONG, "the waker is not called");
            thread::yield_now();
        }
    }
}

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.called.store(true, Relaxed);
        if self.panics {
            panic_any(PanicsAgain);
        }
    }
}

struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("in the drop of a payload");
    }
}

/// One thread wakes the receivers of all mailboxes.
#[test]
fn a_waker_that_panics_spoils_no_other_mailbox() {
    for panics in [true, false] {
        let (mailbox, mut received) = mailbox(1);
        let called = Called::new(panics);
        let waker = Waker::from(called.clone());
        let mut waits = pin!(received.recv_async());
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        mailbox.post(5).expect("there is room");
        called.is_awaited();
    }
}
