//! A thread that gosched did not create, inside a callback, at one end; a goroutine at the other.

use std::thread;
use std::time::Duration;

use gosched::callback::{Binding, Bridge};
use gosched::chan::{self, RecvTimeoutError};
use gosched::sync::{Barrier, Condvar, Mutex, RwLock, Semaphore, WaitGroup};
use gosched::{Runtime, go, select};
use std::sync::Arc;
use test_support::each_mode;

/// Runs `callback` on a plain thread, as a callback, in each binding; `goroutine` beside it.
fn beside(
    rt: &Runtime,
    callback: impl Fn() + Send + Sync + 'static,
    goroutine: impl Fn() + Send + Sync + 'static,
) {
    let (callback, goroutine) = (Arc::new(callback), Arc::new(goroutine));
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        let bridge = Bridge::new(rt).with_binding(binding);
        let (callback, goroutine) = (callback.clone(), goroutine.clone());
        let foreign =
            thread::spawn(move || bridge.enter(|| callback()).expect("the runtime is up"));
        rt.run(move || go(move || goroutine()).join().expect("no panic"));
        foreign.join().expect("no panic");
    }
}

#[test]
fn channels_and_selects() {
    each_mode(|rt, _| {
        for capacity in [0, 1] {
            let (there_tx, there) = chan::bounded(capacity);
            let (back_tx, back) = chan::bounded(capacity);
            let (never_tx, never) = chan::bounded::<u32>(0);
            let asks = move || {
                for n in 0..200_u32 {
                    let mut slot = Some(n);
                    select! {
                        offer(there_tx, slot) -> sent => sent.unwrap(),
                        recv(never) -> _ => unreachable!("nobody sends"),
                    }
                    let answer = select! {
                        recv(never) -> _ => unreachable!("nobody sends"),
                        recv(back) -> answer => answer,
                    };
                    assert_eq!(answer, Ok(n + 1));
                }
                assert_eq!(
                    back.recv_timeout(Duration::from_millis(1)),
                    Err(RecvTimeoutError::Timeout)
                );
            };
            let answers = move || {
                (0..200).for_each(|_| back_tx.send(there.recv().unwrap() + 1).unwrap());
                assert_eq!(never_tx.capacity(), Some(0), "it lives until here");
            };
            beside(rt, asks, answers);
        }
    });
}

#[test]
fn locks() {
    each_mode(|rt, _| {
        let shared =
            Arc::new((Mutex::new(0_u32), Condvar::new(), RwLock::new(0_u32), Semaphore::new(1)));
        let turn = |shared: Arc<(Mutex<u32>, Condvar, RwLock<u32>, Semaphore)>, parity: u32| {
            move || {
                for _ in 0..100 {
                    let guard = shared.0.lock().unwrap();
                    let mut guard = shared.1.wait_while(guard, |turn| *turn % 2 != parity).unwrap();
                    *guard += 1;
                    shared.1.notify_one();
                    drop(guard);
                    *shared.2.write().unwrap() += 1;
                    let permit = shared.3.acquire().expect("nobody closes it");
                    assert!(*shared.2.read().unwrap() > 0);
                    drop(permit);
                }
            }
        };
        beside(rt, turn(shared.clone(), 0), turn(shared.clone(), 1));
        assert_eq!((*shared.0.lock().unwrap(), *shared.2.read().unwrap()), (400, 400));
    });
}

#[test]
fn groups() {
    each_mode(|rt, _| {
        let shared = Arc::new((Barrier::new(2), WaitGroup::new()));
        shared.1.add(4);
        let meet = |shared: Arc<(Barrier, WaitGroup)>| {
            move || {
                (0..50).for_each(|_| {
                    shared.0.wait();
                });
                shared.1.done();
            }
        };
        beside(rt, meet(shared.clone()), meet(shared.clone()));
        shared.1.wait();
    });
}
