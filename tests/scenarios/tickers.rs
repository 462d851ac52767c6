//! Tickers: whole periods, stopping, and many of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gosched::chan::{self, TryRecvError};
use gosched::time::{Ticker, sleep};
use gosched::{select, yield_now};

use crate::other_side::{Side, each_side};

const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

const LONG: Duration = Duration::from_secs(3600);

/// TestTicker, TestAfterTick: so many ticks take no less than so many periods; also after the
/// period was changed.
#[test]
fn ticks_take_their_time() {
    const PERIOD: Duration = us(100);
    each_side(|pair| {
        let part = async move |side: Side| {
            let began = Instant::now();
            let ticker = Ticker::new(PERIOD);
            for _ in 0..3 {
                side.recv(ticker.channel()).await.expect("the clock does not go away");
            }
            ticker.reset(2 * PERIOD);
            for _ in 0..3 {
                side.recv(ticker.channel()).await.expect("the clock does not go away");
            }
            began.elapsed()
        };
        let took = pair.start(part).join();
        assert!(took >= 9 * PERIOD, "{took:?}");
    });
}

/// TestTickTimes, TestAfterTimes: what is received late says when it was due.
#[test]
fn what_is_received_late_says_when_it_was_due() {
    each_side(|pair| {
        let began = Instant::now();
        let (after, tick) = (chan::after(us(100)), chan::tick(us(100)));
        let part = async move |side: Side| {
            side.recv(&chan::after(us(500))).await.expect("the clock does not go away");
            let late = Instant::now();
            let after = side.recv(&after).await.expect("the clock does not go away");
            let tick = side.recv(&tick).await.expect("the clock does not go away");
            (after, tick, late)
        };
        let (after, tick, late) = pair.start(part).join();
        assert!(after >= began + us(100) && after < late);
        assert!(tick >= began + us(100) && tick < late, "the first that was due");
    });
}

/// TestTeardown, TestTickerStop: a stopped ticker is silent, for whoever looks; what it had is
/// gone.
#[test]
fn a_stopped_ticker_is_silent() {
    each_side(|pair| {
        let ticker = Arc::new(Ticker::new(us(50)));
        let theirs = Arc::clone(&ticker);
        let part = async move |side: Side| {
            side.recv(theirs.channel()).await.expect("the clock does not go away");
            theirs.stop();
        };
        pair.start(part).join();
        let ours = move || {
            sleep(us(200));
            let silent = ticker.channel().try_recv();
            ticker.reset(us(10));
            ticker.wait();
            silent
        };
        assert_eq!(pair.rt.run(ours), Err(TryRecvError::Empty));
    });
}

/// TestTickerStress, TestTickerConcurrentStress: many tickers, made and dropped, while somebody
/// computes and yields.
#[test]
fn many_tickers_tick() {
    each_side(|pair| {
        let others: Vec<_> = (0..3)
            .map(|n| {
                pair.start(async move |side: Side| {
                    for _ in 0..3 {
                        let ticker = Ticker::new(us(20 + 10 * n));
                        for _ in 0..3 {
                            side.recv(ticker.channel()).await.expect("the clock does not go away");
                        }
                    }
                })
            })
            .collect();
        let computes = pair.rt.handle().go(|| {
            for _ in 0..10 {
                let began = Instant::now();
                while began.elapsed() < us(20) {
                    std::hint::spin_loop();
                }
                yield_now();
            }
        });
        computes.join().expect("no panic");
        others.into_iter().for_each(|one| one.join());
    });
}

/// TestMultiWakeupTicker: many wait for one ticker; each tick goes to one, and everybody gets on.
#[test]
fn many_wait_for_one_ticker() {
    each_side(|pair| {
        let ticker = Arc::new(Ticker::new(us(5)));
        let others: Vec<_> = (0..3)
            .map(|_| {
                let ticker = Arc::clone(&ticker);
                pair.start(async move |side: Side| {
                    for _ in 0..10 {
                        side.recv_either([ticker.channel(), &chan::after(us(100))])
                            .await
                            .1
                            .expect("a clock");
                    }
                })
            })
            .collect();
        let ours = pair.rt.handle().go(move || {
            for _ in 0..10 {
                select! { recv(ticker.channel()) -> _ => {} default(us(100)) => {} }
            }
        });
        ours.join().expect("no panic");
        others.into_iter().for_each(|one| one.join());
    });
}

/// TestChan of `tick_test.go`: what was due before a ticker was stopped or set anew is not received
/// after.
#[test]
fn nothing_old_comes_after_a_change() {
    each_side(|pair| {
        let ticker = Arc::new(Ticker::new(LONG));
        let (asks, asked) = chan::bounded::<bool>(0);
        let (answers, answer) = chan::bounded(0);
        let theirs = Arc::clone(&ticker);
        // Asked to wait, it does; else it looks.
        let part = async move |side: Side| {
            while let Ok(waits) = side.recv(&asked).await {
                let got = if waits {
                    side.recv(theirs.channel()).await.is_ok()
                } else {
                    theirs.channel().try_recv().is_ok()
                };
                side.send(&answers, got).await.expect("it is received");
            }
        };
        let ours = move || {
            let looks = |waits: bool| {
                asks.send(waits).expect("it is received");
                answer.recv().expect("it is sent")
            };
            assert!(!looks(false), "an hour has not passed");
            ticker.reset(Duration::from_nanos(1));
            assert_eq!(ticker.channel().len(), 1, "due by now");
            ticker.reset(LONG);
            assert!(!looks(false), "what was due before is gone");
            ticker.reset(Duration::from_nanos(1));
            ticker.stop();
            assert!(!looks(false), "what was due before is gone");
            // While the other side waits: further off, silent, and at last soon.
            asks.send(true).expect("it is received");
            for change in [LONG, 2 * LONG] {
                ticker.reset(change);
                yield_now();
                assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
            }
            ticker.stop();
            yield_now();
            assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
            ticker.reset(us(10));
            assert!(answer.recv().expect("it is sent"));
        };
        pair.beside(part, ours);
    });
}

/// TestLongAdjustTimers: many short sleepers and clocks that are dropped early, beside a queue that
/// works all the time.
#[test]
fn many_short_sleepers_hold_nobody_up() {
    each_side(|pair| {
        let sleepers: Vec<_> = (0..100).map(|_| pair.rt.handle().go(|| sleep(us(10)))).collect();
        let (tx, rx) = chan::bounded(0);
        let (back_tx, back) = chan::bounded(0);
        let part = async move |side: Side| {
            while let Ok(n) = side.recv(&rx).await {
                side.send(&back_tx, n).await.expect("it is received");
            }
        };
        let ours = move || {
            for n in 0..50 {
                tx.send(n).expect("it is received");
                // A clock for each, as far away as in Go's test, and dropped at once.
                let late = chan::after(Duration::from_secs(60));
                select! {
                    recv(back) -> got => assert_eq!(got, Ok(n)),
                    recv(late) -> _ => unreachable!("a minute"),
                }
            }
        };
        pair.beside(part, ours);
        sleepers.into_iter().for_each(|one| one.join().expect("no panic"));
    });
}
