//! The calls of goroutines, through the facade: one P, settled, so no other goroutine runs in
//! between.
#![expect(unsafe_code, reason = "promises the mode")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use gosched::sync::{Mutex, Notify};
use gosched::time::Timer;
use gosched::{Mode, Runtime, chan, go, select, yield_now};

pub(crate) fn measure(criterion: &mut Criterion) {
    let runtime = runtime();
    park_and_ready(criterion, &runtime);
    channels(criterion, &runtime);
    selects(criterion, &runtime);
    piece(criterion, &runtime, "mutex/lock, unlock", |n| {
        let mutex = Mutex::new(0_u64);
        each(n, || *black_box(&mutex).lock().expect("nobody panicked") += 1)
    });
    piece(criterion, &runtime, "timer/reset, stop", |n| {
        let timer = Timer::stopped();
        each(n, || {
            timer.reset(Duration::from_secs(3600));
            assert!(timer.stop(), "it was started");
        })
    });
    piece(criterion, &runtime, "goroutine/go, join", |n| {
        each(n, || go(|| ()).join().expect("it ended"))
    });
}

pub(crate) fn runtime() -> Runtime {
    // SAFETY: nothing here suspends inside a thread-local's initialiser or code that nests calls.
    let settled = unsafe { Mode::settled() };
    Runtime::builder(settled).procs(1).build().expect("a runtime")
}

/// Makes a goroutine run `body` as often as criterion asks. Returns how long that took.
fn piece(criterion: &mut Criterion, runtime: &Runtime, name: &str, body: impl Fn(u64) -> Duration) {
    criterion.bench_function(name, |bencher| bencher.iter_custom(|n| runtime.run(|| body(n))));
}

fn each(n: u64, mut operation: impl FnMut()) -> Duration {
    let began = Instant::now();
    (0..n).for_each(|_| operation());
    began.elapsed()
}

fn park_and_ready(criterion: &mut Criterion, runtime: &Runtime) {
    piece(criterion, runtime, "yield", |n| each(n, yield_now));
    piece(criterion, runtime, "park, ready/there and back", |n| {
        let (there, back) = (Notify::new(), Notify::new());
        gosched::scope(|scope| {
            scope.go(|| {
                for _ in 0..n {
                    there.wait();
                    back.notify_one();
                }
            });
            each(n, || {
                there.notify_one();
                back.wait();
            })
        })
    });
}

fn channels(criterion: &mut Criterion, runtime: &Runtime) {
    piece(criterion, runtime, "chan/send, recv, buffered", |n| {
        let (sender, receiver) = chan::bounded::<u64>(16);
        each(n, || {
            sender.send(black_box(1)).expect("there is a receiver");
            black_box(receiver.recv().expect("there is a sender"));
        })
    });
    piece(criterion, runtime, "chan/send, recv, unbounded", |n| {
        let (sender, receiver) = chan::unbounded::<u64>();
        each(n, || {
            sender.send(black_box(1)).expect("there is a receiver");
            black_box(receiver.recv().expect("there is a sender"));
        })
    });
    piece(criterion, runtime, "chan/try_recv, empty", |n| {
        let (_sender, receiver) = chan::bounded::<u64>(16);
        each(n, || assert!(black_box(&receiver).try_recv().is_err(), "nothing was sent"))
    });
    piece(criterion, runtime, "chan/round trip, unbuffered", |n| {
        let (ping, pinged) = chan::bounded::<u64>(0);
        let (pong, ponged) = chan::bounded::<u64>(0);
        let echo = go(move || {
            pinged.into_iter().for_each(|value| pong.send(value).expect("it is awaited"))
        });
        let took = each(n, || {
            ping.send(black_box(1)).expect("the other end is there");
            black_box(ponged.recv().expect("the other end is there"));
        });
        drop(ping);
        echo.join().expect("it ended");
        took
    });
}

fn selects(criterion: &mut Criterion, runtime: &Runtime) {
    piece(criterion, runtime, "select/one of two has something", |n| {
        let (sender, full) = chan::bounded::<u64>(16);
        let (_other, empty) = chan::bounded::<u64>(16);
        each(n, || {
            sender.send(black_box(1)).expect("there is a receiver");
            let value = select! {
                recv(empty) -> value => value,
                recv(full) -> value => value,
            };
            assert_eq!(value, Ok(1));
        })
    });
    piece(criterion, runtime, "select/default, two are empty", |n| {
        let (_one, first) = chan::bounded::<u64>(16);
        let (_other, second) = chan::bounded::<u64>(16);
        each(n, || {
            let nothing = select! {
                recv(first) -> _value => false,
                recv(second) -> _value => false,
                default => true,
            };
            assert!(nothing, "nothing was sent");
        })
    });
}
