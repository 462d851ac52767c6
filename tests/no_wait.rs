//! `no_wait`: whatever may wait panics inside, whatever does not is let pass, and when it is over
//! it leaves nothing behind.
//!
//! # Safety
//!
//! One test carries a coroutine to another thread, to break what is checked.
#![expect(unsafe_code, reason = "sends a coroutine to another thread")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge, EnterError, Mailbox, Service};
use gosched::cancel::Token;
use gosched::chan::{self, broadcast, oneshot, watch};
use gosched::future::block_on;
use gosched::goroutine::current_id;
use gosched::sync::{
    Barrier, Condvar, LazyLock, Mutex, Notify, Once, OnceLock, RwLock, Semaphore, WaitGroup,
};
use gosched::{Group, Handle, Mode, Runtime, blocking, go, no_wait, select, time, yield_now};
use test_support::{death, each_mode, in_child, migratory};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Calls `f`, which is expected to panic for a wait, and returns what the panic says.
fn refused<R>(what: &str, f: impl FnOnce() -> R) {
    let payload = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("{what} was let pass"),
        Err(payload) => payload,
    };
    let said = payload.downcast_ref::<String>().map_or("", String::as_str);
    assert!(said.contains("inside of `no_wait`, called at tests/no_wait.rs:"), "{what}: {said:?}");
}

/// Everything that may wait, where none of it would have to.
fn everything_that_may_wait(handle: &Handle) {
    let (tx, rx) = chan::bounded(9);
    (0..6).for_each(|n| tx.send(n).expect("there is room"));
    let (_all, mut one) = broadcast::channel::<u32>(4);
    let (watched, mut watches) = watch::channel(0);
    watched.send(1).expect("it watches");
    let (answer, answered) = oneshot::channel();
    answer.send(1).expect("it is awaited");
    let (mutex, condvar, rwlock) = (Mutex::new(1), Condvar::new(), RwLock::new(1));
    let (semaphore, notify, once) = (Semaphore::new(9), Notify::new(), Once::new());
    let (cell, lazy) = (OnceLock::new(), LazyLock::new(|| 1));
    let (group, barrier) = (WaitGroup::new(), Barrier::new(1));
    let cancelled = Token::new();
    cancelled.cancel();
    let mut set = handle.join_set::<()>();
    let ended = handle.go(|| ());
    let (mailbox, mut mail) = Mailbox::bounded(1).expect("memory");
    mailbox.post(1).expect("there is room");

    refused("yield_now", || no_wait(yield_now));
    refused("sleep", || no_wait(|| time::sleep(Duration::from_millis(1))));
    refused("a sleep of nothing", || no_wait(|| time::sleep(Duration::ZERO)));
    refused("send", || no_wait(|| tx.send(1).expect("there is room")));
    refused("send_timeout", || no_wait(|| tx.send_timeout(1, LONG).expect("there is room")));
    refused("recv", || no_wait(|| rx.recv()));
    refused("recv_timeout", || no_wait(|| rx.recv_timeout(LONG)));
    refused("recv_deadline", || no_wait(|| rx.recv_deadline(Instant::now())));
    refused("an iterator", || no_wait(|| rx.iter().next()));
    refused("select!", || no_wait(|| select! { recv(rx) -> got => got }));
    refused("a broadcast's recv", || no_wait(|| one.recv()));
    refused("a watch's send", || no_wait(|| watched.send(2)));
    refused("a watch's borrow", || no_wait(|| *watches.borrow()));
    refused("a watch's changed", || no_wait(|| watches.changed()));
    let mut answered = Some(answered);
    refused("a oneshot's recv", || no_wait(|| answered.take().expect("once").recv()));
    refused("lock", || no_wait(|| mutex.lock()));
    refused("read", || no_wait(|| rwlock.read()));
    refused("write", || no_wait(|| rwlock.write()));
    let mut guard = Some(mutex.lock().expect("no panic"));
    refused("Condvar::wait", || no_wait(|| condvar.wait(guard.take().expect("once"))));
    refused("acquire", || no_wait(|| semaphore.acquire()));
    notify.notify_one();
    refused("Notify::wait", || no_wait(|| notify.wait()));
    refused("call_once", || no_wait(|| once.call_once(|| ())));
    refused("get_or_init", || no_wait(|| cell.get_or_init(|| 1)));
    refused("a LazyLock", || no_wait(|| assert_eq!(*lazy, 1)));
    refused("WaitGroup::wait", || no_wait(|| group.clone().wait()));
    refused("Barrier::wait", || no_wait(|| barrier.wait()));
    refused("Token::wait", || no_wait(|| cancelled.wait()));
    refused("join_next", || no_wait(|| set.join_next()));
    let mut ended = Some(ended);
    refused("join", || no_wait(|| ended.take().expect("once").join()));
    let mut waited = Some(Group::<()>::new());
    refused("Group::wait", || no_wait(|| waited.take().expect("once").wait()));
    refused("a scope", || no_wait(|| handle.scope(|_| ())));
    refused("a scope_try", || no_wait(|| handle.scope_try(|_| Ok::<_, ()>(()))));
    refused("blocking", || no_wait(|| blocking(|| ())));
    refused("block_on", || no_wait(|| block_on(std::future::ready(()))));
    refused("a mailbox's recv", || no_wait(|| mail.recv()));
    let (service, _requests) = Service::<u32, u32>::bounded(1);
    let bridge = Bridge::unbound();
    refused("call", || no_wait(|| bridge.call(&service, 1)));
    refused("enter_on_worker", || no_wait(|| bridge.enter_on_worker(|| ())));

    // Nothing was done by halves.
    drop((guard, mutex.lock(), rwlock.write()));
    assert_eq!(
        (rx.iter().take(6).sum::<i32>(), rx.len(), semaphore.available_permits()),
        (15, 0, 9)
    );
    assert_eq!((*lazy, *cell.get_or_init(|| 2), mail.recv()), (1, 2, Ok(1)));
    notify.wait();
    yield_now();
}

#[test]
fn whatever_may_wait_panics() {
    each_mode(|rt, _| {
        let handle = rt.handle();
        rt.run(|| everything_that_may_wait(&handle));
        let theirs = handle.clone();
        handle.go(move || everything_that_may_wait(&theirs)).join().expect("no panic");
        let bridge = Bridge::new(rt).with_binding(Binding::PerCall);
        thread::scope(|s| {
            s.spawn(|| bridge.enter(|| everything_that_may_wait(&handle)).expect("no panic"));
            s.spawn(|| everything_that_may_wait(&handle));
        });
        refused("close", || no_wait(|| bridge.close(LONG)));
        refused("run", || no_wait(|| rt.run(|| ())));
        refused("shutdown", || no_wait(|| rt.shutdown(LONG)));
    });
}

/// What is done often, and never waits.
fn what_never_waits() {
    let (tx, rx) = chan::unbounded();
    let (full, fed) = chan::bounded(0);
    let (all, mut one) = broadcast::channel(2);
    let (answer, answered) = oneshot::channel();
    let (mutex, semaphore, notify) = (Mutex::new(1), Semaphore::new(0), Notify::new());
    let (once, lazy) = (Once::new(), LazyLock::new(|| 1));
    once.call_once(|| ());
    assert_eq!(*lazy, 1);
    let held = mutex.lock().expect("no panic");
    let is_goroutine = current_id().is_some();
    no_wait(|| {
        tx.send(1).expect("it is there");
        tx.send_timeout(2, LONG).expect("it is there");
        assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(1), Ok(2)));
        assert!(rx.try_recv().is_err() && fed.try_recv().is_err() && full.try_send(1).is_err());
        select! { recv(rx) -> _ => unreachable!("it is empty"), default => {} }
        assert!(all.send(1) == Ok(1) && one.try_recv() == Ok(1) && one.try_recv().is_err());
        answer.send(9).expect("it is awaited");
        assert!(mutex.try_lock().is_err() && semaphore.try_acquire().is_err());
        assert!(!notify.try_wait());
        notify.notify_one();
        once.call_once(|| unreachable!("it is done"));
        assert_eq!(*lazy, 1);
        drop(held);
        let mut cx = Context::from_waker(Waker::noop());
        let mut sent = pin!(tx.send_async(3));
        assert_eq!(sent.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
        if is_goroutine {
            let child = go(|| time::sleep(Duration::from_millis(1)));
            assert!(child.cancel() || child.is_finished());
        }
    });
    assert_eq!(answered.recv(), Ok(9));
}

#[test]
fn what_never_waits_is_let_pass() {
    each_mode(|rt, _| {
        rt.run(what_never_waits);
        Bridge::new(rt).enter(what_never_waits).expect("no panic");
    });
    what_never_waits();
}

/// Goroutines that share a thread, of which one is often inside: it never lets the others run in
/// there, and they wait as they like.
#[test]
fn others_on_the_same_thread_are_not_affected() {
    each_mode(|rt, _| {
        rt.run(|| {
            let goroutines: Vec<_> = (0..8)
                .map(|n| {
                    go(move || {
                        for _ in 0..50 {
                            if n % 2 == 0 {
                                refused("a lock", || no_wait(|| drop(Mutex::new(1).lock())));
                            }
                            yield_now();
                            time::sleep(Duration::from_nanos(1));
                        }
                    })
                })
                .collect();
            goroutines.into_iter().for_each(|goroutine| goroutine.join().expect("no panic"));
        });
    });
}

#[test]
fn calls_nest_and_end_with_their_closure() {
    each_mode(|rt, _| {
        let nested = || {
            let inner = || no_wait(|| resume_unwind(Box::new(7)));
            no_wait(|| {
                assert!(catch_unwind(inner).is_err());
                refused("a wait around the inner one", yield_now);
            });
            yield_now();
            assert!(catch_unwind(inner).is_err());
            yield_now();
        };
        rt.run(nested);
        nested();
    });
}

/// The message names the innermost call.
#[test]
fn the_message_says_where() {
    let said = |f: &dyn Fn()| {
        let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it waits");
        *payload.downcast::<String>().expect("a message")
    };
    let here = line!();
    let inner = said(&|| no_wait(|| no_wait(yield_now)));
    let outer = said(&|| {
        no_wait(|| {
            no_wait(|| ());
            yield_now();
        });
    });
    assert!(inner.ends_with(&format!("called at tests/no_wait.rs:{}:37", here + 1)), "{inner}");
    assert!(outer.ends_with(&format!("called at tests/no_wait.rs:{}:9", here + 3)), "{outer}");
}

/// Receives when it is dropped.
struct ReceivesInDrop(chan::Receiver<u32>, Arc<AtomicUsize>);

impl Drop for ReceivesInDrop {
    fn drop(&mut self) {
        assert_eq!(self.0.recv(), Ok(7));
        self.1.fetch_add(1, Relaxed);
    }
}

/// A second panic would end the process. Nobody else runs on the thread meanwhile.
#[test]
fn a_destructor_may_wait_while_the_thread_unwinds() {
    each_mode(|rt, _| {
        let unwinds = || {
            let (tx, rx) = chan::bounded(0);
            let dropped = Arc::new(AtomicUsize::new(0));
            let sender = thread::spawn(move || tx.send(7));
            let payload = catch_unwind(AssertUnwindSafe(|| {
                no_wait(|| {
                    let _receives = ReceivesInDrop(rx, dropped.clone());
                    resume_unwind(Box::new(9));
                })
            }));
            assert_eq!(*payload.expect_err("it unwinds").downcast::<i32>().expect("a number"), 9);
            assert_eq!(dropped.load(Relaxed), 1);
            sender.join().expect("no panic").expect("it was received");
            yield_now();
        };
        rt.run(unwinds);
        unwinds();
    });
}

/// The panic is the mistake's, and not the cancel's.
#[test]
fn a_cancelled_goroutine_is_told_of_the_wait() {
    each_mode(|rt, _| {
        rt.run(|| {
            let token = Token::new();
            let outcome = token.run(|| {
                token.cancel();
                let (_tx, rx) = chan::bounded::<()>(0);
                refused("recv", || no_wait(|| rx.recv()));
                refused("join", || no_wait(|| go(|| ()).join()));
                rx.recv()
            });
            assert!(outcome.is_err(), "it was cancelled outside of it");
        });
    });
}

/// C calls back: into the same runtime it is the same goroutine, into another one another.
#[test]
fn a_callback_into_another_runtime_may_wait() {
    let other = Runtime::builder(Mode::threads()).build().expect("a runtime");
    let to_other = Bridge::new(&other);
    each_mode(|rt, _| {
        let bridge = Bridge::new(rt);
        let calls_back = || {
            no_wait(|| {
                to_other.enter(|| time::sleep(Duration::from_millis(1))).expect("it may wait");
                refused("the wait behind it", yield_now);
            });
        };
        rt.run(|| {
            calls_back();
            no_wait(|| {
                let outcome = bridge.enter(yield_now);
                assert!(matches!(outcome, Err(EnterError::Panicked(_))), "{outcome:?}");
            });
        });
        calls_back();
    });
}

#[test]
fn a_runtime_that_is_dropped_inside_ends_all_the_same() {
    let rt = Runtime::builder(migratory()).build().expect("a runtime");
    let handle = rt.handle();
    let waits = handle.go(|| chan::never::<()>().recv());
    refused("the drop of a runtime", || no_wait(|| drop(rt)));
    assert!(waits.join().is_err(), "it was cancelled");
    assert!(handle.go(|| ()).join().is_err(), "nothing starts");
}

/// A goroutine that sysmon asks for its turn goes on inside, and gives it afterwards.
#[test]
fn a_turn_is_given_afterwards() {
    let rt = Runtime::builder(migratory()).procs(1).build().expect("a runtime");
    let (tx, rx) = chan::unbounded::<u32>();
    let ran = Arc::new(AtomicUsize::new(0));
    let theirs = ran.clone();
    rt.run(move || {
        let other = go(move || theirs.fetch_add(1, Relaxed));
        no_wait(|| {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(100) {
                assert!(rx.try_recv().is_err());
                tx.send(1).and_then(|()| rx.try_recv().map_or(Ok(()), |_| Ok(()))).expect("open");
            }
        });
        other.join().expect("no panic");
    });
    assert_eq!(ran.load(Relaxed), 1);
}

/// A coroutine of another library is left suspended inside, and dropped elsewhere.
#[test]
fn left_on_another_thread_it_ends_the_process() {
    let Some(output) = in_child("left_on_another_thread_it_ends_the_process") else {
        struct Anywhere(corosensei::Coroutine<(), (), ()>);
        // SAFETY: nothing on the stack is bound to its thread but what this test is about.
        unsafe impl Send for Anywhere {}
        let mut coroutine = Anywhere(corosensei::Coroutine::new(|yielder, ()| {
            no_wait(|| yielder.suspend(()));
        }));
        let _suspended = coroutine.0.resume(());
        thread::spawn(move || {
            let mut moved = coroutine;
            moved.0.resume(())
        })
        .join()
        .expect("it ends the process");
        return;
    };
    let (signal, said) = death(&output);
    assert!(signal.is_some() && said.contains("was left out of turn"), "{signal:?}: {said}");
}
