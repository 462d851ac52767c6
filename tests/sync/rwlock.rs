//! The reader-writer lock: Go's scenarios for `sync.RWMutex`, and std's semantics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::sync::RwLock;
use gosched::{Cancelled, chan, go, yield_now};
use test_support::{each_mode, within_patience};

use crate::until;

const SHORT: Duration = Duration::from_millis(5);

/// Go's TestParallelReaders: all are in at once.
#[test]
fn readers_share() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = Arc::new(RwLock::new(7));
            let ((in_tx, is_in), (out_tx, out)) = (chan::bounded(0), chan::bounded::<()>(0));
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    let (lock, in_tx, out) = (lock.clone(), in_tx.clone(), out.clone());
                    go(move || {
                        let guard = lock.read().unwrap();
                        in_tx.send(*guard).unwrap();
                        out.recv().unwrap_err();
                    })
                })
                .collect();
            (0..4).for_each(|_| assert_eq!(is_in.recv(), Ok(7)));
            assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
            drop(out_tx);
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            assert!(lock.try_write().is_ok());
        });
    });
}

/// Go's HammerRWMutex, with a thread among the goroutines.
#[test]
fn writers_are_alone() {
    each_mode(|rt, mode| {
        let lock = Arc::new(RwLock::new(0_usize));
        let activity = Arc::new(AtomicUsize::new(0));
        let work = |writes: bool| {
            let (lock, activity) = (lock.clone(), activity.clone());
            move || {
                for turn in 0..200 {
                    if writes {
                        let mut guard = lock.write().unwrap();
                        assert_eq!(activity.fetch_add(1_000, Ordering::SeqCst), 0, "not alone");
                        if turn % 16 == 0 {
                            yield_now();
                        }
                        *guard += 1;
                        activity.fetch_sub(1_000, Ordering::SeqCst);
                    } else {
                        let _guard = lock.read().unwrap();
                        assert!(activity.fetch_add(1, Ordering::SeqCst) < 1_000, "beside a writer");
                        if turn % 16 == 0 {
                            yield_now();
                        }
                        activity.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            }
        };
        let threads = [thread::spawn(work(true)), thread::spawn(work(false))];
        let works: Vec<_> = (0..8).map(|n| work(n % 4 == 0)).collect();
        rt.run(move || {
            let gs: Vec<_> = works.into_iter().map(go).collect();
            gs.into_iter().for_each(|g| g.join().unwrap());
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.read().unwrap(), 600, "{mode:?}");
    });
}

#[test]
fn a_writer_that_waits_keeps_new_readers_out_until_it_gives_up() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = Arc::new(RwLock::new(()));
            let first = lock.read().unwrap();
            let theirs = lock.clone();
            let writer = go(move || drop(theirs.write().unwrap()));
            while lock.try_read().is_ok() {
                yield_now();
            }
            assert!(matches!(lock.read_timeout(SHORT), Err(TryLockError::WouldBlock)));
            let theirs = lock.clone();
            let reader = go(move || drop(theirs.read().unwrap()));
            yield_now();
            writer.cancel();
            assert!(writer.join().unwrap_err().is::<Cancelled>());
            reader.join().unwrap();
            drop(first);
        });
    });
}

#[test]
fn readers_that_wait_go_before_the_next_writer() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = Arc::new(RwLock::new(Vec::new()));
            let mut guard = lock.write().unwrap();
            guard.push(0);
            let (queued_tx, queued) = chan::bounded(0);
            let theirs = (lock.clone(), queued_tx.clone());
            let writer = go(move || {
                theirs.1.send(()).unwrap();
                theirs.0.write().unwrap().push(1);
            });
            let theirs = (lock.clone(), queued_tx);
            let reader = go(move || {
                theirs.1.send(()).unwrap();
                theirs.0.read().unwrap().len()
            });
            (0..2).for_each(|_| queued.recv().unwrap());
            // Both are about to wait; a sleep is no proof of it, and either order is right then.
            gosched::time::sleep(Duration::from_millis(1));
            drop(guard);
            let seen = reader.join().unwrap();
            writer.join().unwrap();
            assert!(seen == 1 || seen == 2);
            assert_eq!(*lock.read().unwrap(), [0, 1]);
        });
    });
}

#[test]
fn tries_time_limits_and_downgrades() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = Arc::new(RwLock::new(1));
            let mut guard = lock.write().unwrap();
            *guard = 2;
            let theirs = lock.clone();
            let other = go(move || {
                assert!(theirs.try_read().is_err() && theirs.try_write().is_err());
                let began = Instant::now();
                assert!(
                    theirs.read_timeout(SHORT).is_err() && theirs.write_timeout(SHORT).is_err()
                );
                assert!(
                    theirs.read_deadline(began).is_err() && theirs.write_deadline(began).is_err()
                );
                assert!(began.elapsed() >= 2 * SHORT);
            });
            other.join().unwrap();
            let theirs = lock.clone();
            let reader = go(move || *theirs.read().unwrap());
            yield_now();
            let guard = guard.downgrade();
            assert_eq!((*guard, reader.join().unwrap()), (2, 2), "both read");
            assert!(lock.try_write().is_err());
            drop(guard);
            *lock.write_timeout(Duration::MAX).unwrap() += 1;
            assert_eq!(
                Arc::try_unwrap(lock).expect("the others are gone").into_inner().unwrap(),
                3
            );
        });
    });
}

#[test]
fn a_writer_that_panics_poisons_and_a_reader_does_not() {
    each_mode(|rt, _| {
        rt.run(|| {
            let lock = Arc::new(RwLock::new(1));
            let theirs = lock.clone();
            let reader = go(move || {
                let _guard = theirs.read().unwrap();
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(reader.join().is_err() && !lock.is_poisoned());
            let theirs = lock.clone();
            let writer = go(move || {
                let _guard = theirs.write().unwrap();
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(writer.join().is_err() && lock.is_poisoned());
            assert_eq!(**lock.read().unwrap_err().get_ref(), 1);
            lock.clear_poison();
            assert!(lock.write().is_ok());
        });
    });
}

#[test]
fn futures_come_after_those_who_park_and_pass_on_what_they_do_not_use() {
    within_patience(|| {
        let lock = Arc::new(RwLock::new(0));
        let mut context = Context::from_waker(Waker::noop());
        let held = lock.write().unwrap();
        let (mut first, mut second) = (Box::pin(lock.read_async()), Box::pin(lock.read_async()));
        let (mut writer, mut last) = (Box::pin(lock.write_async()), Box::pin(lock.read_async()));
        assert!(
            first.as_mut().poll(&mut context).is_pending()
                && second.as_mut().poll(&mut context).is_pending()
        );
        assert!(
            writer.as_mut().poll(&mut context).is_pending()
                && last.as_mut().poll(&mut context).is_pending()
        );
        let theirs = lock.clone();
        let thread = thread::spawn(move || *theirs.write().unwrap() += 1);
        drop(held);
        thread.join().unwrap();
        // The first was woken, and is not polled: dropped, it lets the next one go.
        drop(first);
        let Poll::Ready(reading) = second.as_mut().poll(&mut context) else {
            panic!("it was woken")
        };
        assert_eq!(*reading.unwrap(), 1);
        // If the writer has waited for long, it has its turn for a while.
        until(|| lock.try_read().is_ok());
        until(|| match writer.as_mut().poll(&mut context) {
            Poll::Ready(writing) => {
                *writing.unwrap() += 1;
                true
            }
            Poll::Pending => false,
        });
        let Poll::Ready(reading) = last.as_mut().poll(&mut context) else { panic!("it was woken") };
        assert_eq!(*reading.unwrap(), 2);
        assert!(lock.try_write().is_ok(), "nobody is in");
    });
}

#[test]
fn several_readers_are_woken_after_each_other() {
    within_patience(|| {
        let lock = RwLock::new(0);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        let held = lock.write().unwrap();
        let mut readers: Vec<_> = (0..3).map(|_| Box::pin(lock.read_async())).collect();
        assert!(readers.iter_mut().all(|reader| reader.as_mut().poll(&mut context).is_pending()));
        drop(held);
        let mut guards = Vec::new();
        for (n, reader) in readers.iter_mut().enumerate() {
            assert_eq!(count.0.load(Ordering::Relaxed), n + 1, "who comes in lets the next one in");
            let Poll::Ready(guard) = reader.as_mut().poll(&mut context) else {
                panic!("no writer is in")
            };
            guards.push(guard.unwrap());
        }
        assert!(lock.try_write().is_err());
        drop(guards);
        assert!(lock.try_write().is_ok());
    });
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
