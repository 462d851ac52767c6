//! Who polls gives turns: a loop over an operation that fails at once, or over futures that are
//! ready at once, does not keep what it waits for off its thread.
//!
//! What ends each loop is done by a sibling that may share the poller's thread.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use gosched::cancel::Token;
use gosched::chan::{self, Select};
use gosched::future::block_on;
use gosched::goroutine::Builder;
use gosched::sync::{Mutex, Notify, RwLock, Semaphore, WaitGroup};
use gosched::{Runtime, go, select, time};
use test_support::{migratory, settled};

/// A hang takes longer. Beside two busy loops a case takes a tenth of it at most.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs `body` as a goroutine and as the root, with 1, 2 and 4 Ps.
fn each(name: &str, body: fn()) {
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4] {
            for root in [false, true] {
                let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
                let rt = Arc::new(rt);
                let shown = rt.clone();
                let (done, is_done) = std::sync::mpsc::channel();
                let all = move || {
                    body();
                    done.send(()).expect("it is awaited");
                };
                std::thread::spawn(move || {
                    if root { rt.run(all) } else { rt.handle().go(all).join().expect("no panic") }
                });
                let ended = is_done.recv_timeout(LIMIT);
                assert!(
                    ended.is_ok(),
                    "{name} in {mode:?}, {procs} Ps, root: {root}: it hangs, {:?}\n{}",
                    shown.stats(),
                    shown.dump()
                );
            }
        }
    }
}

/// Lets `poll` run until `end` has been called in a sibling.
fn until_ended(poll: impl FnOnce() + Send + 'static, end: impl FnOnce()) {
    let poller = go(poll);
    // The poller has begun when this is over, unless another thread runs it.
    time::sleep(Duration::from_millis(1));
    end();
    poller.join().expect("no panic");
}

#[test]
fn channels() {
    each("try_recv", || {
        let (tx, rx) = chan::bounded(1);
        until_ended(move || while rx.try_recv().is_err() {}, || tx.send(1).expect("there is room"));
    });
    each("try_iter", || {
        let (tx, rx) = chan::bounded(1);
        until_ended(
            move || while rx.try_iter().next().is_none() {},
            || tx.send(1).expect("there is room"),
        );
    });
    each("try_send", || {
        let (tx, rx) = chan::bounded(1);
        tx.send(1).expect("there is room");
        until_ended(move || while tx.try_send(2).is_err() {}, || assert_eq!(rx.recv(), Ok(1)));
    });
    each("recv_timeout of no time", || {
        let (tx, rx) = chan::bounded(1);
        until_ended(
            move || while rx.recv_timeout(Duration::ZERO).is_err() {},
            || tx.send(1).expect("there is room"),
        );
    });
}

/// Beside load a slice takes 10 ms and more: that for each value is too long.
#[test]
fn a_rendezvous_of_which_one_side_only_tries() {
    each("try_recv", || {
        let (tx, rx) = chan::bounded(0);
        let sender = go(move || (0..2_000).try_for_each(|n| tx.send(n)));
        for n in 0..2_000 {
            let value = loop {
                if let Ok(value) = rx.try_recv() {
                    break value;
                }
            };
            assert_eq!(value, n);
        }
        sender.join().expect("no panic").expect("all are received");
    });
    each("try_send", || {
        let (tx, rx) = chan::bounded(0);
        let receiver = go(move || rx.iter().eq(0..2_000));
        for n in 0..2_000 {
            while tx.try_send(n).is_err() {}
        }
        drop(tx);
        assert!(receiver.join().expect("no panic"));
    });
}

#[test]
fn selects() {
    each("select!", || {
        let (tx, rx) = chan::bounded(1);
        let polls = move || {
            loop {
                select! {
                    recv(rx) -> _ => break,
                    default => {}
                }
            }
        };
        until_ended(polls, || tx.send(1).expect("there is room"));
    });
    each("Select", || {
        let (tx, rx) = chan::bounded(1);
        let polls = move || {
            let mut list = Select::new();
            list.recv(&rx);
            loop {
                if let Ok(chosen) = list.try_select() {
                    return assert_eq!(chosen.recv(&rx), Ok(1));
                }
            }
        };
        until_ended(polls, || tx.send(1).expect("there is room"));
    });
}

#[test]
fn locks() {
    each("try_lock", || {
        let lock = Arc::new(Mutex::new(()));
        let (theirs, held) = (lock.clone(), lock.lock().expect("it is new"));
        until_ended(move || while theirs.try_lock().is_err() {}, || drop(held));
    });
    each("try_read", || {
        let lock = Arc::new(RwLock::new(()));
        let (theirs, held) = (lock.clone(), lock.write().expect("it is new"));
        until_ended(move || while theirs.try_read().is_err() {}, || drop(held));
    });
    each("try_write", || {
        let lock = Arc::new(RwLock::new(()));
        let (theirs, held) = (lock.clone(), lock.read().expect("it is new"));
        until_ended(move || while theirs.try_write().is_err() {}, || drop(held));
    });
    each("try_acquire", || {
        let semaphore = Arc::new(Semaphore::new(1));
        let (theirs, held) = (semaphore.clone(), semaphore.acquire().unwrap());
        until_ended(move || while theirs.try_acquire().is_err() {}, || drop(held));
    });
    each("try_wait", || {
        let notify = Arc::new(Notify::new());
        let theirs = notify.clone();
        until_ended(move || while !theirs.try_wait() {}, || notify.notify_one());
    });
}

#[test]
fn those_that_end() {
    each("try_join", || {
        let mut sleeper = go(|| time::sleep(Duration::from_millis(5)));
        let polls = move || {
            while let Err(again) = sleeper.try_join() {
                sleeper = again;
            }
        };
        until_ended(polls, || {});
    });
}

/// Polls such futures until a sibling that has settled on the same thread has said that it ran.
fn ready_futures<F: Future + 'static>(name: &str, body: fn(Arc<AtomicBool>) -> F) {
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4] {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            let (done, is_done) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let flag = Arc::new(AtomicBool::new(false));
                let (theirs, poller) = (flag.clone(), flag);
                let (begun, has_begun) = chan::bounded(1);
                let (wake, woken) = chan::bounded(1);
                let host = rt.handle().go(move || {
                    has_begun.recv().expect("it begins");
                    wake.send(()).expect("it waits");
                    block_on(body(poller));
                });
                let sibling = Builder::new().runtime(&rt.handle()).with(&host).go(move || {
                    begun.send(()).expect("it is awaited");
                    woken.recv().expect("it is sent");
                    theirs.store(true, SeqCst);
                });
                [host, sibling].into_iter().for_each(|one| one.join().expect("no panic"));
                done.send(()).expect("it is awaited");
            });
            assert!(
                is_done.recv_timeout(LIMIT).is_ok(),
                "{name} in {mode:?}, {procs} Ps: it hangs"
            );
        }
    }
}

#[test]
fn futures_that_wake_themselves() {
    ready_futures("a yield in async code", |flag| {
        poll_fn(move |cx| {
            if flag.load(SeqCst) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    });
}

#[test]
fn futures_that_are_always_ready() {
    ready_futures("recv_async", |flag| async move {
        let (tx, rx) = chan::bounded(1);
        while !flag.load(SeqCst) {
            tx.try_send(1).expect("there is room");
            rx.recv_async().await.expect("there is a value");
        }
    });
    ready_futures("send_async", |flag| async move {
        let (tx, rx) = chan::bounded(1);
        while !flag.load(SeqCst) {
            tx.send_async(1).await.expect("there is room");
            rx.try_recv().expect("there is a value");
        }
    });
    ready_futures("lock_async", |flag| async move {
        let lock = Mutex::new(());
        while !flag.load(SeqCst) {
            drop(lock.lock_async().await);
        }
    });
    ready_futures("read_async", |flag| async move {
        let lock = RwLock::new(());
        while !flag.load(SeqCst) {
            drop(lock.read_async().await);
        }
    });
    ready_futures("write_async", |flag| async move {
        let lock = RwLock::new(());
        while !flag.load(SeqCst) {
            drop(lock.write_async().await);
        }
    });
    ready_futures("acquire_async", |flag| async move {
        let semaphore = Semaphore::new(1);
        while !flag.load(SeqCst) {
            drop(semaphore.acquire_async().await.unwrap());
        }
    });
    ready_futures("notified", |flag| async move {
        let notify = Notify::new();
        while !flag.load(SeqCst) {
            notify.notify_one();
            notify.notified().await;
        }
    });
    ready_futures("WaitGroup::wait_async", |flag| async move {
        let group = WaitGroup::new();
        while !flag.load(SeqCst) {
            group.wait_async().await;
        }
    });
    ready_futures("Token::wait_async", |flag| async move {
        let token = Token::new();
        token.cancel();
        while !flag.load(SeqCst) {
            token.wait_async().await;
        }
    });
    ready_futures("Barrier::wait_async", |flag| async move {
        let barrier = gosched::sync::Barrier::new(1);
        while !flag.load(SeqCst) {
            barrier.wait_async().await;
        }
    });
}

/// Another executor polls at once while the request stands, so one future is put off for each
/// request: also where each poll is of another future.
#[test]
fn an_executor_that_gives_no_turns_gets_on() {
    for mode in [settled(), migratory()] {
        let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            rt.run(|| {
                // It waits behind, so that sysmon asks for a turn.
                let behind = go(|| {});
                let (tx, rx) = chan::bounded(1);
                let (mut ready, mut put_off) = (0_u32, 0_u32);
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(200) {
                    if rx.is_empty() {
                        tx.try_send(1).expect("there is room");
                    }
                    match at_once(rx.recv_async()) {
                        Some(received) => ready += u32::from(received.is_ok()),
                        None => put_off += 1,
                    }
                }
                // No try failed, so nobody gave a turn, and the request stands.
                assert!(put_off > 0, "sysmon has asked");
                assert!(put_off < ready / 2 && put_off < 1_000, "{put_off} put off, {ready} ready");
                behind.join().expect("no panic");
            });
            done.send(()).expect("it is awaited");
        });
        is_done.recv_timeout(LIMIT).expect("it ends");
    }
}

/// Polls a future once.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The same inside of one poll of `block_on`, which gives no turn meanwhile.
#[test]
fn a_future_that_polls_others_in_a_loop_gets_on() {
    for mode in [settled(), migratory()] {
        let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
        let (tx, rx) = chan::bounded(1);
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            rt.run(|| {
                drop(go(|| {}));
                block_on(async { while at_once(rx.recv_async()).is_none() {} });
            });
            done.send(()).expect("it is awaited");
        });
        tx.send(1).expect("it is received");
        is_done.recv_timeout(LIMIT).expect("it ends");
    }
}
