//! `select!` and `Select`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gosched::chan::{self, RecvError, Select, SelectTimeoutError, SendError, TrySelectError};
use gosched::{go, select};
use test_support::each_mode;

use crate::until;

#[test]
fn the_forms() {
    let (tx, rx) = chan::bounded(1);
    let (other_tx, other) = chan::bounded::<String>(1);
    // Nothing is ready.
    let got = select! {
        recv(rx) -> n => n.map(|n: u32| n + 1),
        recv(other) -> _ => { Ok(0) }
        default => Err(RecvError),
    };
    assert_eq!(got, Err(RecvError));
    // A block without a comma, an expression at the end, a value that is moved.
    let word = String::from("word");
    select! {
        recv(rx) -> _ => unreachable!(),
        send(other_tx, word) -> sent => assert_eq!(sent, Ok(()))
    }
    assert_eq!(other.try_recv().as_deref(), Ok("word"));
    // Temporaries as operands; control flow out of an arm; the channel itself used in an arm.
    let mut turns = 0;
    let last = 'turns: loop {
        turns += 1;
        select! {
            recv(&rx) -> n => { break 'turns n; }
            send(tx.clone(), 5) -> sent => { sent.expect("there is room"); continue 'turns; }
        }
    };
    assert_eq!((turns, last), (2, Ok(5)));
    select! {
        recv(rx) -> _ => unreachable!(),
        default(Duration::from_millis(1)) => drop(rx),
    }
    // Both are disconnected now: ready.
    let failed = select! {
        send(tx, 6) -> sent => sent == Err(SendError(6)),
        default => false,
    };
    assert!(failed);
}

#[test]
fn offered_values_stay_where_they_are_until_they_are_chosen() {
    let (tx, rx) = chan::bounded(0);
    let (ready_tx, ready) = chan::bounded(1);
    let mut slot = Some(Box::new(7));
    ready_tx.send(()).unwrap();
    select! {
        offer(tx, slot) -> sent => unreachable!("{sent:?}"),
        recv(ready) -> _ => assert_eq!(slot.as_deref(), Some(&7), "at hand again in the arm"),
    }
    let receiver = thread::spawn(move || rx.recv());
    select! {
        offer(tx, slot) -> sent => assert_eq!(sent, Ok(())),
        recv(ready) -> _ => unreachable!(),
    }
    assert_eq!((slot.as_deref(), receiver.join().unwrap()), (None, Ok(Box::new(7))));
    // An empty slot is not in the running, not even for failing.
    select! {
        offer(tx, slot) -> sent => unreachable!("{sent:?}"),
        default => {}
    }
}

#[test]
fn the_ready_are_chosen_with_the_same_chance() {
    const TURNS: usize = 30_000;
    each_mode(|rt, mode| {
        let counts: [usize; 3] = rt.run(|| {
            let channels: Vec<_> = (0..4).map(|_| chan::bounded::<()>(1)).collect();
            let [(a_tx, a), (b_tx, b), (_never_tx, never), (c_tx, c)] = &channels[..] else {
                unreachable!()
            };
            let mut counts = [0; 3];
            a_tx.send(()).unwrap();
            b_tx.send(()).unwrap();
            for _ in 0..TURNS {
                // Two that receive, one that never can, and one that sends.
                select! {
                    recv(a) -> _ => { counts[0] += 1; a_tx.send(()).unwrap(); }
                    recv(never) -> _ => unreachable!(),
                    recv(b) -> _ => { counts[1] += 1; b_tx.send(()).unwrap(); }
                    send(c_tx, ()) -> _ => { counts[2] += 1; c.recv().unwrap(); }
                }
            }
            counts
        });
        let fair = TURNS / 3;
        assert!(
            counts.iter().all(|count| count.abs_diff(fair) < fair / 10),
            "{mode:?}: {counts:?}"
        );
    });
}

#[test]
fn a_select_does_not_meet_itself() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            select! {
                send(tx, 1) -> _ => unreachable!("nobody receives"),
                recv(rx) -> _ => unreachable!("nobody sends"),
                default(Duration::from_millis(1)) => {}
            }
            let (their_tx, their_rx) = (tx.clone(), rx.clone());
            let other = go(move || {
                select! {
                    send(their_tx, 2) -> sent => { sent.unwrap(); None }
                    recv(their_rx) -> n => n.ok(),
                }
            });
            let mine = select! {
                send(tx, 1) -> sent => { sent.unwrap(); None }
                recv(rx) -> n => n.ok(),
            };
            let pair = (mine, other.join().unwrap());
            assert!(matches!(pair, (Some(2), None) | (None, Some(1))), "{pair:?}");
        });
    });
}

#[test]
fn one_channel_in_several_cases_loses_no_wake_up() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let (never_tx, never) = chan::bounded::<u32>(0);
            let receiver = go(move || {
                (0..1_000_u32).all(|n| {
                    select! {
                        recv(rx) -> got => got == Ok(n),
                        recv(never) -> _ => unreachable!(),
                        recv(rx) -> got => got == Ok(n),
                        recv(&rx) -> got => got == Ok(n),
                    }
                })
            });
            for n in 0..1_000 {
                select! {
                    send(tx, n) -> sent => sent.unwrap(),
                    send(&tx, n) -> sent => sent.unwrap(),
                }
            }
            assert!(receiver.join().unwrap());
            drop(never_tx);
        });
    });
}

#[test]
fn what_is_ready_is_never_called_not_ready() {
    // One is always in one of the two channels: a select with a default finds it.
    each_mode(|rt, _| {
        rt.run(|| {
            for _ in 0..300 {
                let (a_tx, a) = chan::bounded(1);
                let (b_tx, b) = chan::bounded::<u32>(1);
                a_tx.send(1).unwrap();
                let rival = a.clone();
                let mover = go(move || {
                    // The looker may have gone, with what it found in the other channel.
                    let _sent = b_tx.send(1);
                    let _taken = rival.try_recv();
                });
                let looker = go(move || {
                    select! {
                        recv(a) -> _ => true,
                        recv(b) -> _ => true,
                        default => false,
                    }
                });
                assert!(looker.join().unwrap());
                mover.join().unwrap();
                drop(a_tx);
            }
        });
    });
}

/// A ring of stages, each of which forwards by select from either of two channels to either of two,
/// until both are closed.
#[test]
fn selects_on_shared_channels_in_different_orders_do_not_hold_each_other_up() {
    each_mode(|rt, mode| {
        let rounds = 500;
        let total = rt.run(move || {
            let ((a_tx, a), (b_tx, b)) = (chan::bounded(0), chan::bounded(1));
            let ((c_tx, c), (d_tx, d)) = (chan::unbounded(), chan::bounded(0));
            let forwarders: Vec<_> = (0..4)
                .map(|n| {
                    let (a, b, c_tx, d_tx) = (a.clone(), b.clone(), c_tx.clone(), d_tx.clone());
                    go(move || {
                        loop {
                            let got = if n % 2 == 0 {
                                select! {
                                    recv(a) -> n => n,
                                    recv(b) -> n => n.or_else(|_| a.recv()),
                                }
                            } else {
                                select! {
                                    recv(b) -> n => n.or_else(|_| a.recv()),
                                    recv(a) -> n => n.or_else(|_| b.recv()),
                                }
                            };
                            let Ok(n) = got.or_else(|_: RecvError| b.recv()) else { return };
                            select! {
                                send(d_tx, n) -> sent => sent.unwrap(),
                                send(c_tx, n) -> sent => sent.unwrap(),
                            }
                        }
                    })
                })
                .collect();
            let sender = go(move || {
                for n in 0..rounds {
                    select! {
                        send(a_tx, n) -> sent => sent.unwrap(),
                        send(b_tx, n) -> sent => sent.unwrap(),
                    }
                }
            });
            drop((a, b, c_tx, d_tx));
            let (mut open, mut total) = (2, 0);
            while open > 0 {
                let got = select! {
                    recv(c) -> n => n.or_else(|_| d.recv()),
                    recv(d) -> n => n.or_else(|_| c.recv()),
                };
                match got {
                    Ok(n) => total += n,
                    Err(_) => open = 0,
                }
            }
            sender.join().unwrap();
            forwarders.into_iter().for_each(|forwarder| forwarder.join().unwrap());
            total
        });
        assert_eq!(total, rounds * (rounds - 1) / 2, "{mode:?}");
    });
}

#[test]
fn plain_threads_select() {
    let (a_tx, a) = chan::bounded(0);
    let (b_tx, b) = chan::bounded(0);
    let senders = [(a_tx, 0), (b_tx, 1)].map(|(tx, first)| {
        thread::spawn(move || {
            (0..500).for_each(|n| tx.send(2 * n + first).expect("received"));
            tx
        })
    });
    let mut sum = 0;
    for _ in 0..1_000 {
        sum += select! {
            recv(a) -> n => n.expect("a value is left"),
            recv(b) -> n => n.expect("a value is left"),
        };
    }
    assert_eq!(sum, 999 * 1_000 / 2);
    // The senders live until here: neither channel is disconnected early.
    senders.into_iter().for_each(|sender| drop(sender.join().unwrap()));
}

#[test]
fn a_select_wakes_a_future_that_waits_for_its_value() {
    let (tx, rx) = chan::bounded(0);
    let task = thread::spawn(move || crate::waker::block_on(async { rx.recv_async().await }));
    let sent = select! {
        send(tx, 3) -> sent => sent,
    };
    assert_eq!((sent, task.join().unwrap()), (Ok(()), Ok(3)));
}

#[test]
fn waiting_for_ever_ends_with_the_runtime() {
    each_mode(|rt, _| {
        let started = AtomicUsize::new(0);
        let started: &'static AtomicUsize = Box::leak(Box::new(started));
        let handles = [0, 1].map(|n| {
            let (tx, rx) = chan::bounded::<u32>(0);
            rt.handle().go(move || {
                started.fetch_add(1, Ordering::Relaxed);
                if n == 0 {
                    select! {}
                } else {
                    select! { recv(rx) -> _ => drop(tx) }
                }
            })
        });
        until(|| started.load(Ordering::Relaxed) == 2);
        rt.shutdown(Duration::from_secs(60)).expect("both are cancelled");
        for handle in handles {
            assert!(handle.join().unwrap_err().is::<gosched::Cancelled>());
        }
    });
}

#[test]
fn a_list_of_cases() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (txs, rxs): (Vec<_>, Vec<_>) = (0..20).map(|_| chan::bounded(0)).unzip();
            let (back_tx, back) = chan::bounded::<String>(1);
            let (full_tx, _full) = chan::bounded::<String>(0);
            let mut list = Select::new();
            assert_eq!(list.try_select().map(|chosen| chosen.index()), Err(TrySelectError));
            for (n, rx) in rxs.iter().enumerate() {
                assert_eq!(list.recv(rx), n);
            }
            let soon = Duration::from_millis(1);
            assert_eq!(
                list.select_timeout(soon).map(|chosen| chosen.index()),
                Err(SelectTimeoutError)
            );
            assert_eq!(
                list.select_deadline(Instant::now()).map(|chosen| chosen.index()),
                Err(SelectTimeoutError)
            );
            let waits = list.send(&full_tx, "kept".to_owned());
            let sender =
                go(move || txs.iter().rev().enumerate().for_each(|(n, tx)| tx.send(n).unwrap()));
            for n in 0..20 {
                let chosen = list.select();
                assert_eq!(chosen.index(), 19 - n, "nobody else sends");
                assert_eq!(chosen.recv(&rxs[19 - n]), Ok(n));
                list.remove(19 - n);
            }
            sender.join().unwrap();
            let sends = list.send(&back_tx, "sent".to_owned());
            let chosen = list.select();
            assert_eq!(chosen.index(), sends);
            assert_eq!(chosen.send(&back_tx), Ok(()));
            assert_eq!(back.recv().as_deref(), Ok("sent"));
            assert_eq!(list.take_back(waits, &full_tx), "kept");
        });
    });
}

#[test]
fn a_list_goes_to_other_threads_and_its_clones_do_what_it_does() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded::<usize>(0);
            let (out_tx, out) = chan::unbounded::<String>();
            let mut list = Select::new();
            let gone = list.recv(&rx);
            let receives = list.recv(&rx);
            let sends = list.send(&out_tx, "value".to_owned());
            list.remove(gone);
            gosched::scope(|scope| {
                let waiters: Vec<_> = (0..4)
                    .map(|_| {
                        let (mut list, rx) = (list.clone(), &rx);
                        scope.go(move || {
                            let chosen = list.select();
                            assert_eq!(chosen.index(), receives, "a clone has no value to send");
                            chosen.recv(rx).unwrap()
                        })
                    })
                    .collect();
                (0..4).for_each(|n| tx.send(n).unwrap());
                let mut got: Vec<_> = waiters.into_iter().map(|w| w.join().unwrap()).collect();
                got.sort_unstable();
                assert_eq!(got, [0, 1, 2, 3]);
            });

            let mut clone = list.clone();
            assert_eq!(clone.put(sends, &out_tx, "first".to_owned()), None);
            assert_eq!(clone.put(sends, &out_tx, "other".to_owned()).as_deref(), Some("first"));
            for mut list in [clone, list] {
                // Chosen on one thread, and asked on another.
                let chosen = list.select();
                thread::scope(|scope| {
                    scope.spawn(|| assert_eq!(chosen.send(&out_tx), Ok(())));
                });
            }
            assert_eq!(out.try_iter().collect::<Vec<_>>(), ["other", "value"]);
        });
    });
}

#[test]
fn a_value_can_be_given_only_to_a_case_that_sends_into_that_channel() {
    let (tx, rx) = chan::bounded::<u32>(1);
    let (other_tx, _other) = chan::bounded::<u32>(1);
    let mut list = Select::new();
    let receives = list.recv(&rx);
    let sends = list.send(&tx, 1);
    assert_eq!(list.take_back(sends, &tx), 1);
    let sends_again = list.send(&tx, 2);
    for (index, sender) in
        [(receives, &tx), (sends, &tx), (sends_again, &other_tx), (sends_again + 1, &tx)]
    {
        let mut list = std::panic::AssertUnwindSafe(&mut list);
        let given = std::panic::catch_unwind(move || list.put(index, sender, 3));
        assert!(given.is_err(), "{index}");
    }
    assert_eq!(list.put(sends_again, &tx, 4), Some(2));
}

#[test]
fn a_case_that_sent_and_whose_operation_was_forgotten_is_in_no_clone_and_takes_no_value() {
    let (tx, rx) = chan::bounded::<u32>(2);
    let mut list = Select::new();
    let sends = list.send(&tx, 1);
    std::mem::forget(list.select());
    for mut list in [list.clone(), list] {
        let (mut list, tx) = (std::panic::AssertUnwindSafe(&mut list), &tx);
        let given = std::panic::catch_unwind(move || list.put(sends, tx, 2));
        assert!(given.is_err());
    }
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_chosen_case_is_asked_with_its_own_channel() {
    let (tx, rx) = chan::bounded(1);
    let (_other_tx, other) = chan::bounded::<u32>(1);
    let mut list = Select::new();
    list.recv(&rx);
    tx.send(1).unwrap();
    let chosen = list.select();
    let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| chosen.recv(&other)));
    assert!(wrong.is_err());
    tx.send(2).unwrap();
    assert_eq!(list.select().recv(&rx), Ok(2));
}
