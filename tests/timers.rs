//! Timers, tickers and the clock's channels: what was set, stopped and set again, waited for by
//! whoever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gosched::callback::Bridge;
use gosched::chan::{self, RecvTimeoutError, Select, TryRecvError};
use gosched::time::{self, Ticker, Timer};
use gosched::{Runtime, go, select, yield_now};
use test_support::{each_mode, each_procs, migratory, settled};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Far more than anything here takes, and not for ever.
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_timer_is_due_once_and_says_when() {
    each_mode(|rt, _| {
        rt.run(|| {
            let began = Instant::now();
            let timer = Timer::new(ms(5));
            assert_eq!(timer.channel().try_recv(), Err(TryRecvError::Empty));
            let due = timer.wait();
            assert!(due >= began + ms(5) && due <= Instant::now());
            assert_eq!(timer.channel().recv_timeout(ms(2)), Err(RecvTimeoutError::Timeout), "once");
        });
    });
}

#[test]
fn stop_says_whether_it_came_in_time() {
    each_mode(|rt, _| {
        rt.run(|| {
            let timer = Timer::new(LONG);
            assert!(timer.stop(), "it was set");
            assert!(!timer.stop(), "it was stopped");
            assert!(!Timer::stopped().stop());

            let due = Timer::new(Duration::ZERO);
            assert!(due.stop(), "due, and not received: now it is not");
            assert_eq!(due.channel().try_recv(), Err(TryRecvError::Empty));

            let looked_at = Timer::new(Duration::ZERO);
            assert_eq!(looked_at.channel().len(), 1);
            assert!(looked_at.stop());
            assert_eq!(looked_at.channel().len(), 0, "nothing has to be drained");

            let received = Timer::new(ms(1));
            received.wait();
            assert!(!received.stop(), "too late");
        });
    });
}

#[test]
fn reset_forgets_what_was_before() {
    each_mode(|rt, _| {
        rt.run(|| {
            let timer = Timer::new(Duration::ZERO);
            assert!(timer.reset(LONG), "it was due, and not received");
            assert_eq!(timer.channel().try_recv(), Err(TryRecvError::Empty));
            let moment = Instant::now() + ms(3);
            assert!(timer.reset_at(moment));
            assert_eq!(timer.wait(), moment);
            assert!(!timer.reset(ms(1)), "it had been received");
            timer.wait();
        });
    });
}

/// Who waits already learns of the new moment, whether it is sooner, later, or the first.
#[test]
fn a_reset_reaches_who_waits() {
    each_mode(|rt, _| {
        rt.run(|| {
            for (before, after) in [(Some(LONG), ms(2)), (None, ms(2)), (Some(ms(1)), ms(10))] {
                let timer = Arc::new(before.map_or_else(Timer::stopped, Timer::new));
                let theirs = Arc::clone(&timer);
                let (began, has_begun) = chan::bounded(1);
                let waiting = go(move || {
                    began.send(()).expect("it is received");
                    select! { recv(theirs.channel()) -> due => due.expect("never disconnected") }
                });
                has_begun.recv().expect("it is sent");
                yield_now();
                let moment = Instant::now() + after;
                let was_set = timer.reset_at(moment);
                let due = waiting.join().expect("it ended");
                // The first moment may have come to pass before it was put off.
                assert!(due == moment || (before == Some(ms(1)) && !was_set), "{before:?}");
            }
        });
    });
}

#[test]
fn of_many_who_wait_one_receives() {
    each_procs(migratory(), |rt| {
        rt.run(|| {
            let timer = Timer::new(ms(5));
            let received = Arc::new(AtomicU32::new(0));
            let waiting: Vec<_> = (0..8)
                .map(|_| {
                    let (channel, received) = (timer.channel().clone(), Arc::clone(&received));
                    go(move || {
                        if channel.recv_timeout(ms(60)).is_ok() {
                            received.fetch_add(1, Relaxed);
                        }
                    })
                })
                .collect();
            waiting.into_iter().for_each(|one| one.join().expect("it ended"));
            assert_eq!(received.load(Relaxed), 1);
        });
    });
}

/// A timer is stopped by one goroutine while another is about to receive it: exactly one of the two
/// has it.
#[test]
fn stop_and_receive_agree() {
    each_procs(migratory(), |rt| {
        rt.run(|| {
            for n in 0..200_u64 {
                let timer = Arc::new(Timer::new(Duration::from_micros(20 + n)));
                let theirs = Arc::clone(&timer);
                let receiver = go(move || theirs.channel().recv_timeout(ms(3)).is_ok());
                time::sleep(Duration::from_micros(n));
                let stopped = timer.stop();
                let received = receiver.join().expect("it ended");
                // Nobody has it only if the receiver had given up before it was due, and then it
                // was still there to stop.
                assert!(stopped != received, "round {n}: stopped {stopped}, received {received}");
            }
        });
    });
}

#[test]
fn a_ticker_ticks_by_whole_periods() {
    each_mode(|rt, _| {
        rt.run(|| {
            let ticker = Ticker::new(ms(3));
            let ticks: Vec<_> = (0..4).map(|_| ticker.wait()).collect();
            for pair in ticks.windows(2) {
                let apart = (pair[1] - pair[0]).as_nanos();
                assert!(apart >= ms(3).as_nanos() && apart % ms(3).as_nanos() == 0, "{apart}");
            }
        });
    });
}

#[test]
fn a_slow_receiver_misses_ticks() {
    each_mode(|rt, _| {
        rt.run(|| {
            let began = Instant::now();
            let ticker = Ticker::new(ms(2));
            time::sleep(ms(21));
            assert_eq!(ticker.channel().len(), 1, "one is there");
            let late = Instant::now();
            assert!(ticker.wait() < began + ms(21), "and it was due before");
            assert!(ticker.wait() > late, "none of those in between follows");
        });
    });
}

#[test]
fn a_stopped_ticker_is_silent_until_it_is_reset() {
    each_mode(|rt, _| {
        rt.run(|| {
            let ticker = Ticker::new(Duration::from_micros(10));
            ticker.wait();
            ticker.stop();
            assert_eq!(ticker.channel().recv_timeout(ms(3)), Err(RecvTimeoutError::Timeout));
            let began = Instant::now();
            ticker.reset(ms(2));
            assert!(ticker.wait() >= began + ms(2));
        });
    });
}

#[test]
fn zero_and_what_cannot_be_reached_are_defined() {
    let rt = Runtime::builder(settled()).build().expect("a runtime");
    rt.run(|| {
        // The last is a moment that an `Instant` reaches, and no clock in nanoseconds.
        for huge in [Duration::MAX, Duration::MAX / 2, Duration::from_secs(1 << 40)] {
            assert_eq!(chan::after(huge).try_recv(), Err(TryRecvError::Empty));
            assert_eq!(chan::tick(huge).recv_timeout(ms(1)), Err(RecvTimeoutError::Timeout));
            let timer = Timer::new(huge);
            assert_eq!(timer.channel().recv_timeout(ms(1)), Err(RecvTimeoutError::Timeout));
            // What is never due does not count as set.
            assert!(!timer.stop() && !timer.reset(huge) && !timer.stop());
            assert!(!timer.reset(Duration::ZERO));
            timer.wait();
            Ticker::new(ms(1)).reset(huge);
        }
        assert!(chan::after(Duration::ZERO).try_recv().is_ok());
        let past = Instant::now();
        assert_eq!(chan::at(past).recv(), Ok(past));
        let always = chan::tick(Duration::ZERO);
        let ticks: Vec<_> = always.iter().take(3).collect();
        assert!(ticks[0] < ticks[1] && ticks[1] < ticks[2], "and no two are due at once");
    });
}

#[test]
fn the_first_of_several_clocks_is_selected() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (slow, fast) = (chan::after(LONG), chan::after(ms(2)));
            let (_tx, nothing) = chan::bounded::<u32>(0);
            let never = chan::never::<u32>();
            let chosen = select! {
                recv(slow) -> _due => "slow",
                recv(nothing) -> _value => "nothing",
                recv(never) -> _value => "never",
                recv(fast) -> _due => "fast",
            };
            assert_eq!(chosen, "fast");
            let in_time = select! {
                recv(slow) -> _due => false,
                default(ms(2)) => true,
            };
            assert!(in_time);

            let ticker = Ticker::new(ms(1));
            let mut select = Select::new();
            select.recv(&slow);
            let ticks = select.recv(ticker.channel());
            for _ in 0..3 {
                let chosen = select.select();
                assert_eq!(chosen.index(), ticks);
                chosen.recv(ticker.channel()).expect("never disconnected");
            }
        });
    });
}

/// A select that waits with a clock is served by a sender as any other, at once.
#[test]
fn a_clock_does_not_delay_the_other_cases() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let timeout = chan::after(LONG);
            let selecting = go(move || {
                let mut sum = 0;
                for _ in 0..100 {
                    select! {
                        recv(rx) -> value => sum += value.expect("the sender is there"),
                        recv(timeout) -> _due => unreachable!("an hour has not passed"),
                    }
                }
                sum
            });
            (0..100).for_each(|n| tx.send(n).expect("the receiver is there"));
            assert_eq!(selecting.join().expect("it ended"), 4950);
        });
    });
}

#[test]
fn threads_wait_for_timers_too() {
    let rt = Runtime::builder(settled()).build().expect("a runtime");
    let bridge = Bridge::new(&rt);
    let timer = Arc::new(Timer::new(ms(5)));
    let theirs = Arc::clone(&timer);
    let called = thread::spawn(move || bridge.enter(|| theirs.wait()).expect("it entered"));
    let due = called.join().expect("no panic");
    assert!(due <= Instant::now());

    // A plain thread waits, a goroutine sets.
    let theirs = Arc::clone(&timer);
    let setter = rt.handle().go(move || theirs.reset(ms(2)));
    timer.wait();
    setter.join().expect("it ended");
    let ticks = chan::tick(ms(1));
    assert_eq!(ticks.iter().take(3).count(), 3);
}

#[test]
fn a_channel_outlives_its_timer_as_it_was_set() {
    let channel = {
        let timer = Timer::new(LONG);
        let moment = Instant::now() + ms(2);
        timer.reset_at(moment);
        timer.channel().clone()
    };
    assert!(channel.recv().is_ok());
}

/// Timers that nobody waits for cost nothing but their memory, however many.
#[test]
fn a_million_timers_are_set_and_dropped() {
    let rt = Runtime::builder(settled()).build().expect("a runtime");
    rt.run(|| {
        let timers: Vec<_> =
            (0..1_000_000_u64).map(|n| Timer::new(LONG + Duration::from_nanos(n))).collect();
        assert!(timers.iter().all(Timer::stop));
    });
}

/// Polls a future as an executor does, on a plain thread that sleeps in between.
fn executed<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread, AtomicBool);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Relaxed);
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let woken = Arc::new(Unpark(thread::current(), AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        if woken.1.swap(false, Relaxed)
            && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            return output;
        }
        sleep_until_unparked();
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's executor is no thread of gosched")]
fn sleep_until_unparked() {
    thread::park();
}

#[test]
fn tasks_wait_for_the_clock() {
    let began = Instant::now();
    let ticks = chan::tick(ms(3));
    let timer = Arc::new(Timer::new(LONG));
    executed(async {
        assert!(
            chan::after(ms(5)).recv_async().await.expect("never disconnected") >= began + ms(5)
        );
        let (first, second) = (ticks.recv_async().await, ticks.recv_async().await);
        assert!(second.expect("never disconnected") >= first.expect("never disconnected") + ms(3));
    });
    // A timer that is set to a sooner time while a task waits for it.
    let theirs = Arc::clone(&timer);
    let setter = thread::spawn(move || theirs.reset(ms(2)));
    executed(timer.channel().recv_async()).expect("never disconnected");
    assert!(setter.join().expect("no panic"), "it was set");
}

#[test]
fn a_slack_of_more_than_a_second_is_an_error() {
    for slack in [Duration::from_millis(1_001), Duration::MAX] {
        let built = Runtime::builder(settled()).timer_slack(slack).build();
        let error = built.expect_err("no such slack");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("at most 1s"), "{error}");
    }
}
