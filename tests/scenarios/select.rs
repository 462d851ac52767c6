//! Selects: choice, pairing, channels that stand in several cases, and each value once.

use gosched::chan::{self, Receiver, Sender};
use gosched::{go, select, yield_now};

use crate::other_side::{Pair, Side, each_side};

/// A goroutine and an other side both send and receive on one channel, by select where the other
/// side has one; a task takes turns. Of `rounds` exchanges, without a buffer, each is with the
/// other.
fn exchange(pair: Pair, capacity: usize) {
    const ROUNDS: usize = 500;
    let (tx, rx) = chan::bounded::<usize>(capacity);
    let theirs = (tx.clone(), rx.clone());
    let part = async move |side: Side| {
        let (tx, rx) = theirs;
        if side != Side::Task {
            return selects(&tx, &rx, 1, capacity, ROUNDS);
        }
        for round in 0..ROUNDS {
            if capacity > 0 {
                // It is full or it is empty, but not both: nobody waits here.
                select! {
                    send(tx, 1) -> sent => sent.expect("both ends are here"),
                    recv(rx) -> got => assert!(got.is_ok(), "both ends are here"),
                    default => unreachable!("one of both can be done"),
                }
                side.yield_now().await;
            } else if round % 2 == 0 {
                side.send(&tx, 1).await.expect("the goroutine receives");
            } else {
                assert_eq!(side.recv(&rx).await, Ok(0), "the goroutine sends");
            }
        }
    };
    pair.beside(part, move || selects(&tx, &rx, 0, capacity, ROUNDS));
}

fn selects(tx: &Sender<usize>, rx: &Receiver<usize>, me: usize, capacity: usize, rounds: usize) {
    for round in 0..rounds {
        // The order of the cases is no matter.
        let got = if round % 2 == 0 {
            select! {
                send(tx, me) -> sent => { sent.expect("both ends are here"); None }
                recv(rx) -> got => Some(got),
            }
        } else {
            select! {
                recv(rx) -> got => Some(got),
                send(tx, me) -> sent => { sent.expect("both ends are here"); None }
            }
        };
        if let Some(got) = got {
            assert!(capacity > 0 || got != Ok(me), "a select met itself");
        }
    }
}

/// TestSelfSelect.
#[test]
fn a_select_never_meets_itself() {
    each_side(|pair| exchange(pair, 0));
}

/// TestSelfSelect with a buffer: nothing hangs.
#[test]
fn a_select_may_meet_itself_through_a_buffer() {
    each_side(|pair| exchange(pair, 10));
}

/// TestSelectFairness: of two channels that always have something, both are chosen, within ten
/// percent of as often; those that have nothing are no hindrance.
#[test]
fn the_ready_are_chosen_equally_often() {
    const TURNS: usize = 4_000;
    each_side(|pair| {
        let ((a_tx, a), (b_tx, b)) = (chan::bounded(TURNS), chan::bounded(TURNS));
        let (idle_tx, idle) = chan::bounded::<usize>(0);
        let part = async move |side: Side| {
            let mut counts = [0_usize; 2];
            let mut count = |got: Result<usize, _>| counts[got.expect("it was sent")] += 1;
            for turn in 0..TURNS {
                // Nobody waits here: so a task may do it, too.
                select! {
                    recv(idle) -> _ => unreachable!("nobody sends"),
                    recv(a) -> got => count(got),
                    recv(b) -> got => count(got),
                    default => unreachable!("both have something"),
                }
                if turn % 1_000 == 0 {
                    side.yield_now().await;
                }
            }
            counts
        };
        let (counts, _idle_tx) = {
            (0..TURNS).for_each(|_| {
                a_tx.send(0).expect("there is room");
                b_tx.send(1).expect("there is room");
            });
            pair.beside(part, move || idle_tx)
        };
        let fair = TURNS / 2;
        assert!(counts[0].abs_diff(fair) <= fair / 10, "{counts:?}");
    });
}

/// TestPseudoRandomSend: of two sends on one channel both are chosen, within ten percent of as
/// often: there is room for them, or they wait.
#[test]
fn of_two_sends_both_are_chosen() {
    const TURNS: usize = 3_000;
    each_side(|pair| {
        for capacity in [0, TURNS] {
            let (tx, rx) = chan::bounded(capacity);
            let part = async move |side: Side| {
                let mut ones = 0;
                for _ in 0..TURNS {
                    ones += side.recv(&rx).await.expect("it is sent");
                }
                ones
            };
            let ours = move || {
                for _ in 0..TURNS {
                    select! {
                        send(tx, 0) -> sent => sent.expect("it is received"),
                        send(tx, 1) -> sent => sent.expect("it is received"),
                    }
                }
            };
            let (ones, ()) = pair.beside(part, ours);
            let fair = TURNS / 2;
            assert!(
                usize::abs_diff(ones, fair) <= fair / 10,
                "capacity {capacity}: {ones} of {TURNS}"
            );
        }
    });
}

/// TestNonblockSelectRace and TestNonblockSelectRace2: one of two channels is ready at any moment,
/// which one changes.
fn one_is_always_ready(pair: Pair, second_closes: bool) {
    let (rounds, round) = chan::bounded::<(Receiver<u32>, Receiver<u32>)>(0);
    let part = async move |side: Side| {
        while let Ok((a, b)) = side.recv(&round).await {
            let ready = select! {
                recv(a) -> _ => true,
                recv(b) -> _ => true,
                default => false,
            };
            assert!(ready, "one of the two has been ready all the time");
        }
    };
    let ours = move || {
        for n in 0..400 {
            let (a_tx, a) = chan::bounded(1);
            let (b_tx, b) = chan::bounded(1);
            a_tx.send(n).expect("there is room");
            rounds.send((a.clone(), b.clone())).expect("it is received");
            if second_closes {
                drop(b_tx);
            } else {
                b_tx.send(n).expect("there is room");
            }
            let _taken = a.try_recv();
        }
    };
    pair.beside(part, ours);
}

#[test]
fn a_select_with_a_default_finds_what_is_ready() {
    each_side(|pair| one_is_always_ready(pair, false));
}

#[test]
fn a_select_with_a_default_finds_what_is_closed() {
    each_side(|pair| one_is_always_ready(pair, true));
}

/// TestSelectStress: on four channels, with and without a buffer, senders and receivers of one
/// channel each, a sender and a receiver that select among all. What goes in comes out.
#[test]
fn selects_and_plain_operations_share_channels() {
    const EACH: usize = 200;
    each_side(|pair| {
        let (txs, rxs): (Vec<_>, Vec<_>) =
            [0, 0, 2, 3].map(chan::bounded::<usize>).into_iter().unzip();
        let others: Vec<_> = (0..4)
            .map(|n| {
                let (tx, rx) = (txs[n].clone(), rxs[n].clone());
                // Half of them send, half receive; goroutines do the other half.
                pair.start(async move |side: Side| {
                    let mut sum = 0;
                    for value in 0..EACH {
                        if n % 2 == 0 {
                            side.send(&tx, value).await.expect("it is received");
                        } else {
                            sum += side.recv(&rx).await.expect("it is sent");
                        }
                    }
                    sum
                })
            })
            .collect();
        let ours: Vec<_> = (0..4)
            .map(|n| {
                let (tx, rx) = (txs[n].clone(), rxs[n].clone());
                pair.rt.handle().go(move || {
                    (0..EACH)
                        .map(|value| {
                            if n % 2 == 0 {
                                rx.recv().expect("it is sent")
                            } else {
                                tx.send(value).expect("it is received");
                                0
                            }
                        })
                        .sum::<usize>()
                })
            })
            .collect();
        let sender = pair.rt.handle().go(move || {
            let mut left = [EACH; 4];
            while left != [0; 4] {
                // A case whose slot is empty does not take part.
                let mut slots = left.map(|n| n.checked_sub(1));
                let [a, b, c, d] = &mut slots;
                let chosen = select! {
                    offer(txs[0], *a) -> sent => sent.map(|()| 0),
                    offer(txs[1], *b) -> sent => sent.map(|()| 1),
                    offer(txs[2], *c) -> sent => sent.map(|()| 2),
                    offer(txs[3], *d) -> sent => sent.map(|()| 3),
                };
                left[chosen.expect("it is received")] -= 1;
            }
        });
        let receiver = pair.rt.handle().go(move || {
            let mut left = [EACH; 4];
            let mut sum = 0;
            let never = chan::never();
            while left != [0; 4] {
                let open = |n: usize| if left[n] > 0 { &rxs[n] } else { &never };
                let (n, got) = select! {
                    recv(open(0)) -> got => (0, got),
                    recv(open(1)) -> got => (1, got),
                    recv(open(2)) -> got => (2, got),
                    recv(open(3)) -> got => (3, got),
                };
                left[n] -= 1;
                sum += got.expect("it is sent");
            }
            sum
        });
        let mut sum: usize = others.into_iter().map(|one| one.join()).sum();
        sum += ours.into_iter().map(|one| one.join().expect("no panic")).sum::<usize>();
        sender.join().expect("no panic");
        sum += receiver.join().expect("no panic");
        // Four plain senders, and the select's four shares.
        assert_eq!(sum, 8 * EACH * (EACH - 1) / 2);
    });
}

/// TestSelectDuplicateChannel: who waited with one channel in several cases, and was served by
/// another, is nowhere any more.
#[test]
fn a_channel_in_several_cases_is_left_in_all() {
    each_side(|pair| {
        let (c_tx, c) = chan::bounded::<u32>(0);
        let (d_tx, d) = chan::bounded::<u32>(0);
        let theirs = c.clone();
        let (ready, is_ready) = chan::bounded(1);
        let selecting = pair.rt.handle().go(move || {
            ready.send(()).expect("there is room");
            select! {
                recv(c) -> _ => unreachable!("it is not sent to this one"),
                recv(c) -> _ => unreachable!("it is not sent to this one"),
                recv(d) -> got => got,
            }
        });
        let part = async move |side: Side| side.recv(&theirs).await;
        let ours = move || {
            is_ready.recv().expect("it is sent");
            yield_now();
            d_tx.send(7).expect("the select receives");
            c_tx.send(8).expect("the other side receives");
        };
        assert_eq!(pair.beside(part, ours).0, Ok(8));
        assert_eq!(selecting.join().expect("no panic"), Ok(7));
    });
}

/// One channel in several cases, on both sides: no wake-up is lost, and nothing is sent or received
/// twice.
#[test]
fn a_channel_in_several_cases_serves_each_value_once() {
    const VALUES: usize = 500;
    each_side(|pair| {
        let (tx, rx) = chan::bounded(0);
        let idle = chan::never::<usize>();
        let part = async move |side: Side| {
            for n in 0..VALUES {
                let (_, got) = side.recv_either([&rx, &rx]).await;
                assert_eq!(got, Ok(n));
            }
        };
        let ours = move || {
            for n in 0..VALUES {
                select! {
                    send(tx, n) -> sent => sent.expect("it is received"),
                    recv(idle) -> _ => unreachable!("nobody sends"),
                    send(&tx, n) -> sent => sent.expect("it is received"),
                }
            }
        };
        pair.beside(part, ours);
    });
}

/// `doubleselect.go`: who offers one value in several channels at a time sends it into one of them.
#[test]
fn a_value_offered_everywhere_is_sent_once() {
    const VALUES: usize = 500;
    each_side(|pair| {
        let (txs, rxs): (Vec<_>, Vec<_>) = (0..4).map(|_| chan::bounded::<usize>(0)).unzip();
        let (merged, all) = chan::bounded(8);
        // Two channels for each of two receivers.
        let others: Vec<_> = rxs
            .chunks(2)
            .map(|two| {
                let (a, b, merged) = (two[0].clone(), two[1].clone(), merged.clone());
                pair.start(async move |side: Side| {
                    while let (_, Ok(value)) = side.recv_either([&a, &b]).await {
                        side.send(&merged, value).await.expect("it is received");
                    }
                })
            })
            .collect();
        drop((rxs, merged));
        let sender = pair.rt.handle().go(move || {
            for n in 0..VALUES {
                select! {
                    send(txs[0], n) -> sent => sent.expect("it is received"),
                    send(txs[1], n) -> sent => sent.expect("it is received"),
                    send(txs[2], n) -> sent => sent.expect("it is received"),
                    send(txs[3], n) -> sent => sent.expect("it is received"),
                }
            }
        });
        let mut got: Vec<_> =
            pair.rt.run(move || go(move || all.iter().collect()).join().expect("no panic"));
        got.sort_unstable();
        assert!(got.into_iter().eq(0..VALUES));
        sender.join().expect("no panic");
        others.into_iter().for_each(|one| one.join());
    });
}

/// `select3.go`: what waits, and what does not, seen by each side.
#[test]
fn what_waits_and_what_does_not() {
    each_side(|pair| {
        let part = async move |_: Side| {
            let (tx, rx) = chan::bounded::<u32>(0);
            let (full_tx, full) = chan::bounded(1);
            full_tx.try_send(1).expect("there is room");
            let never = chan::never::<u32>();
            let closed = chan::bounded::<u32>(1).1;
            let nobody = chan::bounded::<u32>(1).0;
            let waits = [
                select! { recv(never) -> _ => false, default => true },
                select! { recv(rx) -> _ => false, default => true },
                select! { send(tx, 1) -> _ => false, default => true },
                select! { send(full_tx, 2) -> _ => false, default => true },
                select! { recv(rx) -> _ => false, send(tx, 1) -> _ => false, default => true },
            ];
            let goes_on = [
                select! { recv(closed) -> got => got.is_err(), default => false },
                select! { send(nobody, 1) -> sent => sent.is_err(), default => false },
                select! { recv(full) -> got => got == Ok(1), default => false },
                select! { send(full_tx, 2) -> sent => sent.is_ok(), default => false },
            ];
            waits.iter().chain(&goes_on).all(|holds| *holds)
        };
        assert!(pair.start(part).join(), "{:?}", pair.side);
    });
}
