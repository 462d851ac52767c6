//! Sleeping and timers: never early, in order, what stopping and setting anew says, and nobody
//! starved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gosched::chan::{self, TryRecvError};
use gosched::time::{self, Timer};
use gosched::{go, select, yield_now};

use crate::other_side::{Pair, Side, each_side};

const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// Far more than anything here takes, and not for ever.
const LONG: Duration = Duration::from_secs(3600);

impl Side {
    /// Sleeps as each of them does.
    async fn sleep(self, duration: Duration) {
        if self == Self::Task {
            self.recv(&chan::after(duration)).await.expect("the clock does not go away");
        } else {
            time::sleep(duration);
        }
    }
}

/// TestSleep, TestAfter: never too early, whoever waits; both at the same time.
#[test]
fn nobody_wakes_too_early() {
    each_side(|pair| {
        let began = Instant::now();
        let part = async move |side: Side| {
            side.sleep(us(800)).await;
            began.elapsed()
        };
        let ours = move || {
            let due = chan::after(us(500)).recv().expect("the clock does not go away");
            assert!(due >= began + us(500), "it says when it was due");
            began.elapsed()
        };
        let (theirs, ours) = pair.beside(part, ours);
        assert!(theirs >= us(800) && ours >= us(500), "{theirs:?}, {ours:?}");
    });
}

/// TestAfterQueuing: several moments, set in no order, come in theirs.
#[test]
fn moments_come_in_order() {
    const SLOTS: [u32; 13] = [5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0];
    each_side(|pair| {
        let began = Instant::now();
        let (all_tx, all) = chan::bounded(SLOTS.len());
        let waiting: Vec<_> = SLOTS.iter().map(|slot| chan::at(began + us(150) * *slot)).collect();
        let part = async move |side: Side| {
            for due in &waiting {
                let due = side.recv(due).await.expect("the clock does not go away");
                side.send(&all_tx, due).await.expect("there is room");
            }
        };
        pair.start(part).join();
        let mut slots: Vec<_> =
            all.iter().map(|due| ((due - began).as_nanos() / us(150).as_nanos()) as u32).collect();
        assert_eq!(slots, SLOTS, "each says when it was due");
        // Those that wait at the same time come in the order of their moments.
        let began = Instant::now();
        let (order_tx, order) = chan::unbounded();
        let waiting: Vec<_> = SLOTS[..4]
            .iter()
            .map(|slot| {
                let (slot, order) = (*slot, order_tx.clone());
                pair.start(async move |side: Side| {
                    side.sleep((began + us(150) * slot).saturating_duration_since(Instant::now()))
                        .await;
                    order.send((slot, Instant::now())).expect("it is received");
                })
            })
            .collect();
        drop(order_tx);
        waiting.into_iter().for_each(|one| one.join());
        slots = order
            .iter()
            .map(|(slot, woken)| {
                assert!(woken >= began + us(150) * slot, "too early");
                slot
            })
            .collect();
        slots.sort_unstable();
        assert_eq!(slots, [3, 5, 6, 6]);
    });
}

/// TestAfterStop: what was stopped does not come, not even after one that was set for later.
#[test]
fn what_is_stopped_does_not_come() {
    each_side(|pair| {
        let (first, second) = (Arc::new(Timer::new(LONG)), Timer::new(us(300)));
        let theirs = Arc::clone(&first);
        // One side stops it, both look.
        let part = async move |side: Side| {
            let stopped = theirs.stop();
            side.sleep(us(100)).await;
            (stopped, theirs.stop(), theirs.channel().try_recv())
        };
        let ours = move || {
            second.wait();
            first.channel().try_recv()
        };
        assert_eq!(
            pair.beside(part, ours),
            ((true, false, Err(TryRecvError::Empty)), Err(TryRecvError::Empty))
        );
    });
}

/// TestStopResult, TestResetResult: of two timers that are due at the same time one is received;
/// stopping the other, or setting it anew, says whether its moment is still to be received.
fn results(pair: Pair, stops: bool) {
    let change = move |timer: &Timer| if stops { timer.stop() } else { timer.reset(LONG) };
    let part = async move |side: Side| {
        for n in 0..20 {
            let timers = [Timer::new(us(50 * n)), Timer::new(us(50 * n))];
            let (first, _) = side.recv_either([timers[0].channel(), timers[1].channel()]).await;
            let other = &timers[1 - first];
            // Nobody has received it: so it is taken back, due or not.
            assert!(change(other), "it was set, and nobody has received it");
            assert_eq!(other.channel().try_recv(), Err(TryRecvError::Empty), "taken back");
        }
    };
    let ours = move || {
        for n in 0..20 {
            let timers = [Timer::new(us(50 * n)), Timer::new(us(50 * n))];
            let first = select! {
                recv(timers[0].channel()) -> _ => 0,
                recv(timers[1].channel()) -> _ => 1,
            };
            assert!(change(&timers[1 - first]));
            assert_eq!(
                timers[1 - first].channel().try_recv(),
                Err(TryRecvError::Empty),
                "taken back"
            );
        }
    };
    pair.beside(part, ours);
}

#[test]
fn stopping_says_whether_it_was_received() {
    each_side(|pair| results(pair, true));
}

#[test]
fn setting_anew_says_whether_it_was_received() {
    each_side(|pair| results(pair, false));
}

/// The same with two at one timer: one receives, the other stops, and they agree on who was first.
#[test]
fn of_receiving_and_stopping_one_comes_first() {
    each_side(|pair| {
        let (rounds, round) = chan::bounded::<(Arc<Timer>, u64)>(0);
        let (answers, answer) = chan::bounded(0);
        let part = async move |side: Side| {
            while let Ok((timer, n)) = side.recv(&round).await {
                // Waits as its timer is, while it is stopped.
                let never = chan::after(us(300 + n));
                let (which, _) = side.recv_either([timer.channel(), &never]).await;
                side.send(&answers, which == 0).await.expect("it is received");
            }
        };
        let ours = move || {
            for n in 0..20 {
                let timer = Arc::new(Timer::new(us(20 * n)));
                rounds.send((Arc::clone(&timer), n)).expect("it is received");
                time::sleep(us(20 * n));
                let stopped = timer.stop();
                let received = answer.recv().expect("it is sent");
                assert!(stopped != received, "round {n}: stopped {stopped}, received {received}");
            }
        };
        pair.beside(part, ours);
    });
}

/// TestReset: who waits for a timer learns that it was put off, and that it was brought forward.
#[test]
fn who_waits_learns_of_a_new_moment() {
    each_side(|pair| {
        for later in [false, true] {
            let timer = Arc::new(Timer::new(if later { us(200) } else { LONG }));
            let (begins, begun) = chan::bounded(1);
            let theirs = Arc::clone(&timer);
            let part = async move |side: Side| {
                begins.try_send(()).expect("there is room");
                side.recv(theirs.channel()).await.expect("the clock does not go away")
            };
            let ours = move || {
                begun.recv().expect("it is sent");
                yield_now();
                let moment = Instant::now() + if later { us(600) } else { us(100) };
                (timer.reset_at(moment), moment)
            };
            let (due, (in_time, moment)) = pair.beside(part, ours);
            assert!(
                due == moment || later && !in_time,
                "it was received before it was put off, or not at all"
            );
        }
    });
}

/// TestZeroTimer, TestSleepZeroDeadlock: what is due at once is not forgotten, however often.
#[test]
fn what_is_due_at_once_comes() {
    each_side(|pair| {
        let part = async move |side: Side| {
            for _ in 0..100 {
                side.recv(&chan::after(Duration::ZERO)).await.expect("the clock does not go away");
                side.sleep(Duration::ZERO).await;
            }
        };
        let ours = move || {
            let timer = Timer::stopped();
            for _ in 0..100 {
                assert!(!timer.reset(Duration::ZERO), "it was received");
                timer.wait();
                time::sleep(Duration::ZERO);
            }
        };
        pair.beside(part, ours);
    });
}

/// TestTimerModifiedEarlier: one that was brought forward again and again is not forgotten.
#[test]
fn what_is_brought_forward_often_comes() {
    each_side(|pair| {
        let (timers_tx, timers) = chan::bounded::<Arc<Timer>>(1);
        let part = async move |side: Side| {
            while let Ok(timer) = side.recv(&timers).await {
                side.recv(timer.channel()).await.expect("the clock does not go away");
            }
        };
        let ours = move || {
            let past = Instant::now();
            for _ in 0..40 {
                let timer = Arc::new(Timer::new(LONG));
                timers_tx.send(Arc::clone(&timer)).expect("it is received");
                for n in (1..=10).rev() {
                    // Not the last one: then it is due, and somebody may have received it.
                    assert!(timer.reset(LONG / 10 * n));
                }
                assert!(timer.reset_at(past));
            }
        };
        pair.beside(part, ours);
    });
}

/// TestAdjustTimers, TestTimerStopStress: many timers are set, put off, stopped and set to be due
/// at once, each in an order of its own; every one that is due is received.
#[test]
fn many_timers_are_moved_about() {
    const TIMERS: usize = 40;
    each_side(|pair| {
        let part = async move |side: Side| {
            let timers: Vec<_> = (0..TIMERS).map(|_| Timer::new(Duration::ZERO)).collect();
            let mut steps = [0_u32; TIMERS];
            let mut left: Vec<usize> = (0..TIMERS).collect();
            let mut at = 0;
            while !left.is_empty() {
                at = (at * 31 + 17) % left.len();
                let n = left[at];
                let timer = &timers[n];
                match steps[n] {
                    0 => drop(side.recv(timer.channel()).await.expect("it is due")),
                    step @ (1 | 3 | 5) => assert!(!timer.reset(LONG / step), "it was not set"),
                    2 | 4 | 6 => assert!(timer.stop(), "it was set, and far away"),
                    7 => assert!(!timer.reset(Duration::ZERO), "it was stopped"),
                    _ => {
                        side.recv(timer.channel()).await.expect("it is due");
                        left.swap_remove(at);
                    }
                }
                steps[n] += 1;
            }
            steps.iter().all(|step| *step == 9)
        };
        assert!(pair.start(part).join());
    });
}

/// TestAfterFuncStarvation: with one P as with many, two that keep each other busy hold up no
/// timer.
#[test]
fn those_who_keep_each_other_busy_hold_up_no_timer() {
    each_side(|pair| {
        let (tx, rx) = chan::bounded(1);
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let part = async move |side: Side| {
            while side.recv(&rx).await.is_ok() {
                side.yield_now().await;
            }
        };
        let busy = Arc::clone(&stop);
        let ours = move || {
            let timer = go(move || {
                chan::after(us(50)).recv().expect("the clock does not go away");
                theirs.store(true, Ordering::Relaxed);
            });
            while !busy.load(Ordering::Relaxed) {
                tx.send(()).expect("it is received");
            }
            timer.join().expect("no panic");
        };
        pair.beside(part, ours);
    });
}

/// TestOverflowSleep: what cannot be reached does not come, and keeps nothing else from coming.
#[test]
fn what_the_clock_cannot_reach_does_not_come() {
    each_side(|pair| {
        let never = chan::after(Duration::MAX);
        let part =
            async move |side: Side| side.recv_either([&never, &chan::after(us(100))]).await.0;
        let ours = move || {
            let timer = Timer::new(Duration::MAX);
            select! { recv(timer.channel()) -> _ => 0, default(us(100)) => 1 }
        };
        assert_eq!(pair.beside(part, ours), (1, 1));
    });
}

/// TestMultiWakeupTimer: many receive from one timer that all of them set anew.
#[test]
fn many_share_a_timer() {
    each_side(|pair| {
        let timer = Arc::new(Timer::new(Duration::ZERO));
        let theirs = Arc::clone(&timer);
        let turn = |timer: &Timer| {
            let _due = timer.channel().try_recv();
            timer.reset(Duration::from_nanos(1));
        };
        let another = Arc::clone(&timer);
        let more = pair.start(async move |_| (0..50).for_each(|_| turn(&another)));
        let mine = Arc::clone(&timer);
        pair.beside(
            async move |_| (0..50).for_each(|_| turn(&theirs)),
            move || (0..50).for_each(|_| turn(&mine)),
        );
        more.join();
        // Whoever set it last: it comes once.
        let last = async move |side: Side| {
            side.recv(timer.channel()).await.expect("the clock does not go away");
            timer.channel().try_recv()
        };
        assert_eq!(pair.start(last).join(), Err(TryRecvError::Empty));
    });
}
