//! `select_async!` and `Select::select_async`, polled by hand and by executors of other threads.

use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use gosched::chan::{self, RecvError, Select, SendError, TrySendError};
use gosched::{go, select, select_async, select_biased_async};
use test_support::each_mode;

use crate::waker::{Count, block_on, poll};

/// What a select has done.
#[derive(Debug, PartialEq)]
enum Did {
    Received(Result<u32, RecvError>),
    Sent(bool),
    Nothing,
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn the_forms_are_those_of_select() {
    let (tx, rx) = chan::bounded::<u32>(1);
    let (full_tx, _full) = chan::bounded::<u32>(0);
    block_on(async {
        let mut slot = Some(7);
        select_async! {
            recv(rx) -> n => unreachable!("{n:?}"),
            offer(full_tx, slot) -> sent => unreachable!("{sent:?}"),
            default => {}
        }
        assert_eq!(slot, Some(7));
        select_async! {
            offer(full_tx, slot) -> sent => unreachable!("{sent:?}"),
            default(Duration::from_millis(1)) => {}
        }
        assert_eq!(slot, Some(7));
        select_async! {
            recv(rx) -> n => unreachable!("{n:?}"),
            offer(tx, slot) -> sent => assert_eq!(sent, Ok(())),
        }
        assert_eq!(slot, None);
        let got = select_async! {
            send(full_tx, 1) -> sent => unreachable!("{sent:?}"),
            recv(&rx) -> n => async { n }.await,
            default(LONG) => unreachable!(),
        };
        assert_eq!(got, Ok(7));
        // A port may be a temporary, and an arm may leave.
        let mut rounds = 0;
        loop {
            select_async! {
                recv(None.as_ref().unwrap_or(&chan::never::<u32>())) -> n => unreachable!("{n:?}"),
                recv(rx) -> n => unreachable!("{n:?}"),
                default() => rounds += 1,
            }
            select_async! {
                recv(rx) -> n => unreachable!("{n:?}"),
                default() => if rounds == 2 { break } else { continue },
            }
        }
        let (gone_tx, gone) = chan::bounded::<String>(0);
        drop(gone);
        select_async! {
            send(gone_tx, "back".to_owned()) -> sent => {
                assert_eq!(sent, Err(SendError("back".to_owned())));
            }
        }
    });
}

#[test]
fn without_a_case_it_waits_for_ever() {
    let count = Count::new();
    let mut waits = Box::pin(async {
        select_async! {}
    });
    assert!(poll(&mut waits, &count).is_pending() && poll(&mut waits, &count).is_pending());
    let mut list = Select::new();
    assert!(poll(&mut list.select_async(), &count).is_pending());
    assert_eq!(count.times(), 0);
}

#[test]
fn a_waker_that_panics_costs_nothing() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            std::panic::resume_unwind(Box::new("as it should"));
        }
    }
    let (tx, rx) = chan::bounded::<u32>(0);
    let bad = std::task::Waker::from(std::sync::Arc::new(Panics));
    let mut cx = std::task::Context::from_waker(&bad);
    let mut first = Box::pin(rx.recv_async());
    assert!(first.as_mut().poll(&mut cx).is_pending());
    let count = Count::new();
    let mut list = Select::new();
    list.send(&tx, 1);
    let mut offers = list.select_async();
    // The other's waker unwinds through this poll; the value is offered all the same.
    let polled = std::panic::AssertUnwindSafe(|| poll(&mut offers, &count).is_ready());
    assert!(std::panic::catch_unwind(polled).is_err());
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(count.times(), 1);
    let Poll::Ready(chosen) = poll(&mut offers, &count) else { unreachable!("it was taken") };
    assert_eq!(chosen.send(&tx), Ok(()));

    // An async block drops what it has when it unwinds.
    let mut second = Box::pin(rx.recv_async());
    assert!(second.as_mut().poll(&mut cx).is_pending());
    drop(first);
    let mut slot = Some(2);
    let polled = std::panic::AssertUnwindSafe(|| {
        let mut offers = Box::pin(async {
            select_async! { offer(tx, slot) -> sent => sent }
        });
        poll(&mut offers, &count).is_ready()
    });
    assert!(std::panic::catch_unwind(polled).is_err());
    assert_eq!((slot, rx.try_recv().is_err()), (Some(2), true));
}

#[test]
fn a_task_with_selects_is_send() {
    let (tx, rx) = chan::bounded::<String>(0);
    let task = async move {
        select_async! {
            recv(rx) -> n => n.is_ok(),
            send(tx, String::new()) -> sent => sent.is_ok(),
            default(Duration::from_millis(1)) => false,
        }
    };
    assert!(!thread::spawn(|| block_on(task)).join().unwrap());
}

#[test]
fn of_values_that_are_offered_one_is_taken_while_nobody_polls() {
    let channels = [(); 3].map(|()| chan::bounded::<u32>(0));
    let [(a_tx, a), (b_tx, b), (_c_tx, c)] = &channels;
    let (count, mut slot) = (Count::new(), Some(2));
    {
        let mut waits = Box::pin(async {
            select_async! {
                send(a_tx, 1) -> sent => Did::Sent(sent.is_ok()),
                offer(b_tx, slot) -> sent => unreachable!("{sent:?}"),
                recv(c) -> n => unreachable!("{n:?}"),
            }
        });
        assert!(poll(&mut waits, &count).is_pending());
        assert_eq!(a.try_recv(), Ok(1));
        assert!(b.try_recv().is_err(), "one at most");
        assert_eq!(count.times(), 1);
        assert_eq!(poll(&mut waits, &count), Poll::Ready(Did::Sent(true)));
    }
    assert_eq!(slot, Some(2));

    // The same, dropped before it is polled: the value was sent once, and is not back.
    {
        let mut waits = Box::pin(async {
            select_async! {
                send(a_tx, 1) -> _ => {},
                offer(b_tx, slot) -> _ => {},
            }
        });
        assert!(poll(&mut waits, &count).is_pending());
        assert_eq!(b.try_recv(), Ok(2));
        drop(waits);
        assert!(a.try_recv().is_err());
    }
    assert_eq!(slot, None);
}

#[test]
fn a_receive_takes_part_in_no_race() {
    let ((a_tx, a), (b_tx, b)) = (chan::bounded::<u32>(1), chan::bounded::<u32>(0));
    let count = Count::new();
    let mut waits = Box::pin(async {
        select_async! {
            recv(a) -> n => Did::Received(n),
            send(b_tx, 9) -> sent => Did::Sent(sent.is_ok()),
        }
    });
    assert!(poll(&mut waits, &count).is_pending());
    a_tx.send(1).unwrap();
    assert_eq!(count.times(), 1);
    // Woken for one case, it may be done by another before it is polled: the first keeps its value.
    assert_eq!(b.try_recv(), Ok(9));
    assert_eq!(poll(&mut waits, &count), Poll::Ready(Did::Sent(true)));
    drop(waits);
    assert_eq!(a.try_recv(), Ok(1));
}

#[test]
fn a_wake_up_that_is_not_used_goes_on() {
    let ((a_tx, a), (b_tx, b)) = (chan::bounded::<u32>(1), chan::bounded::<u32>(0));
    // Dropped, or done by another case.
    for dropped in [true, false] {
        let (count, next_count) = (Count::new(), Count::new());
        let mut waits = Box::pin(async {
            select_async! {
                recv(a) -> n => Did::Received(n),
                send(b_tx, 9) -> sent => Did::Sent(sent.is_ok()),
            }
        });
        assert!(poll(&mut waits, &count).is_pending());
        let mut next = Box::pin(a.recv_async());
        assert!(poll(&mut next, &next_count).is_pending());
        a_tx.send(1).unwrap();
        assert_eq!((count.times(), next_count.times()), (1, 0));
        if dropped {
            drop(waits);
        } else {
            assert_eq!(b.try_recv(), Ok(9));
            assert_eq!(poll(&mut waits, &count), Poll::Ready(Did::Sent(true)));
        }
        assert_eq!(next_count.times(), 1, "the wake-up was passed on");
        assert_eq!(poll(&mut next, &next_count), Poll::Ready(Ok(1)));
    }
    assert_eq!((a.len(), b.len()), (0, 0));
    assert!(b_tx.try_send(1).is_err(), "nobody waits");
}

#[test]
fn a_select_does_not_meet_itself() {
    let (tx, rx) = chan::bounded::<u32>(0);
    let (count, next_count) = (Count::new(), Count::new());
    let mut waits = Box::pin(async {
        select_async! {
            recv(rx) -> n => Did::Received(n),
            send(tx, 1) -> sent => Did::Sent(sent.is_ok()),
        }
    });
    for _ in 0..3 {
        assert!(poll(&mut waits, &count).is_pending());
    }
    assert_eq!(count.times(), 0, "nor does it wake itself");
    let (mut first, first_count) = (Box::pin(rx.recv_async()), Count::new());
    assert_eq!(poll(&mut first, &first_count), Poll::Ready(Ok(1)), "the value is offered");
    assert_eq!(count.times(), 1);
    assert_eq!(poll(&mut waits, &count), Poll::Ready(Did::Sent(true)));
    drop((waits, first));

    let mut waits = Box::pin(async {
        select_async! {
            recv(rx) -> n => Did::Received(n),
            send(tx, 2) -> sent => Did::Sent(sent.is_ok()),
        }
    });
    let (mut dropped, dropped_count) = (Box::pin(rx.recv_async()), Count::new());
    let mut next = Box::pin(rx.recv_async());
    assert!(poll(&mut dropped, &dropped_count).is_pending());
    assert!(poll(&mut waits, &count).is_pending());
    assert_eq!(dropped_count.times(), 1, "a sender waits");
    assert!(poll(&mut next, &next_count).is_ready() || next_count.times() == 1);
    drop((dropped, next));
    drop(waits);
    assert!(rx.try_recv().is_err());
}

#[test]
fn a_select_that_is_woken_for_its_own_value_hands_the_news_on() {
    let (tx, rx) = chan::bounded::<u32>(0);
    let counts = [(); 3].map(|()| Count::new());
    let [mut first, mut next] = [(); 2].map(|()| Box::pin(rx.recv_async()));
    assert!(poll(&mut first, &counts[0]).is_pending());
    let mut waits = Box::pin(async {
        select_async! {
            recv(rx) -> n => Did::Received(n),
            send(tx, 1) -> sent => Did::Sent(sent.is_ok()),
        }
    });
    assert!(poll(&mut waits, &counts[1]).is_pending());
    assert_eq!(counts[0].times(), 1, "there is a value for it");
    drop(first);
    assert_eq!(counts[1].times(), 1, "the select is the next one that waits");
    for _ in 0..3 {
        assert!(poll(&mut waits, &counts[1]).is_pending());
    }
    assert_eq!(counts[1].times(), 1);
    assert_eq!(poll(&mut next, &counts[2]), Poll::Ready(Ok(1)));
    assert_eq!(poll(&mut waits, &counts[1]), Poll::Ready(Did::Sent(true)));
}

#[test]
fn the_end_of_a_channel_is_an_outcome() {
    let ((a_tx, a), (b_tx, b)) = (chan::bounded::<u32>(0), chan::bounded::<String>(0));
    let count = Count::new();
    let mut slot = Some("back".to_owned());
    {
        let mut waits = Box::pin(async {
            select_async! {
                offer(b_tx, slot) -> sent => sent,
                recv(a) -> n => unreachable!("{n:?}"),
            }
        });
        assert!(poll(&mut waits, &count).is_pending());
        drop(b);
        assert_eq!(poll(&mut waits, &count), Poll::Ready(Err(SendError("back".to_owned()))));
    }
    // Dropped after it was served and before its poll: the value is in its place.
    let (b_tx, b) = chan::bounded::<String>(0);
    slot = Some("kept".to_owned());
    let mut waits = Box::pin(async {
        select_async! {
            offer(b_tx, slot) -> sent => sent.is_ok(),
            recv(a) -> n => n.is_ok(),
        }
    });
    assert!(poll(&mut waits, &count).is_pending());
    drop(b);
    drop(waits);
    assert_eq!(slot.as_deref(), Some("kept"));
    let mut waits = Box::pin(async {
        select_async! { recv(a) -> n => n }
    });
    assert!(poll(&mut waits, &count).is_pending());
    drop(a_tx);
    assert_eq!(poll(&mut waits, &count), Poll::Ready(Err(RecvError)));
}

#[test]
fn a_list_keeps_its_cases_when_the_future_is_dropped() {
    let ((a_tx, a), (b_tx, b)) = (chan::bounded::<u32>(1), chan::bounded::<String>(0));
    let count = Count::new();
    let mut list = Select::new();
    let gone = list.recv(&a);
    list.remove(gone);
    let (receives, sends) = (list.recv(&a), list.send(&b_tx, "kept".to_owned()));
    let mut waits = list.select_async();
    assert!(poll(&mut waits, &count).is_pending());
    drop(waits);
    assert!(b.try_recv().is_err(), "it does not wait");

    a_tx.send(1).unwrap();
    let mut waits = list.select_async();
    let Poll::Ready(chosen) = poll(&mut waits, &count) else { unreachable!("one is ready") };
    assert_eq!(chosen.index(), receives);
    assert_eq!(chosen.recv(&a), Ok(1));
    drop(waits);

    // Taken by a receiver, and dropped before the poll.
    let mut waits = list.select_async();
    assert!(poll(&mut waits, &count).is_pending());
    assert_eq!(b.try_recv().as_deref(), Ok("kept"));
    drop(waits);
    assert_eq!(list.try_take_back(sends, &b_tx), None, "it has sent");
    let sends = list.send(&b_tx, "back".to_owned());
    let mut waits = list.select_async();
    assert!(poll(&mut waits, &count).is_pending());
    drop(b);
    drop(waits);
    assert_eq!(list.take_back(sends, &b_tx), "back", "what could not be sent is kept");
}

#[test]
fn what_is_forgotten_is_in_nobodys_way() {
    let ((a_tx, a), (b_tx, b)) = (chan::bounded::<u32>(1), chan::bounded::<u32>(0));
    let count = Count::new();
    let mut list = Select::new();
    list.recv(&a);
    list.send(&b_tx, 5);
    let mut waits = list.select_async();
    assert!(poll(&mut waits, &count).is_pending());
    mem::forget(waits);
    assert!(list.try_select().is_err(), "the future has taken the cases along");
    drop(list);
    a_tx.send(1).unwrap();
    assert_eq!(count.times(), 1);
    assert_eq!(a.recv(), Ok(1));
    assert_eq!(b.try_recv(), Ok(5), "the value is still offered");
    assert_eq!(b_tx.try_send(6), Err(TrySendError::Full(6)));
}

#[test]
fn it_is_polled_no_more_when_it_is_through() {
    let (tx, rx) = chan::bounded::<u32>(1);
    let mut list = Select::new();
    list.recv(&rx);
    tx.send(1).unwrap();
    let mut through = pin!(list.select_async());
    let count = Count::new();
    assert!(poll(&mut through, &count).is_ready());
    let again = std::panic::AssertUnwindSafe(|| poll(&mut through, &count).is_ready());
    assert!(std::panic::catch_unwind(again).is_err());
}

#[test]
fn the_first_is_done_if_it_is_biased() {
    let ((a_tx, a), (b_tx, b)) = (chan::bounded::<u32>(1), chan::bounded::<u32>(1));
    for (first_tx, first, second_tx, second) in [(&a_tx, &a, &b_tx, &b), (&b_tx, &b, &a_tx, &a)] {
        for n in 0..100 {
            first_tx.send(n).unwrap();
            second_tx.send(n).unwrap();
            block_on(async {
                select_biased_async! {
                    recv(first) -> got => assert_eq!(got, Ok(n)),
                    recv(second) -> _ => unreachable!(),
                    default => unreachable!(),
                }
            });
            assert_eq!(second.recv(), Ok(n));
        }
    }
}

#[test]
fn each_of_the_ready_is_chosen() {
    let ((a_tx, a), (b_tx, b)) = (chan::bounded::<u32>(1), chan::bounded::<u32>(1));
    let mut times = [0; 2];
    for n in 0..400 {
        let (_a, _b) = (a_tx.try_send(n), b_tx.try_send(n));
        block_on(async {
            select_async! {
                recv(a) -> _ => times[0] += 1,
                recv(b) -> _ => times[1] += 1,
            }
        });
    }
    assert!(times.iter().all(|times| *times > 100), "{times:?}");
}

#[test]
fn goroutines_and_tasks_meet_by_selects_at_both_sides() {
    const VALUES: u32 = 2_000;
    each_mode(|rt, mode| {
        for capacity in [0, 1] {
            let ((to_task, at_task), (to_g, at_g)) =
                (chan::bounded(capacity), chan::bounded(capacity));
            let (stop_tx, stop) = chan::bounded::<()>(0);
            let tasks: Vec<_> = (0..2)
                .map(|_| {
                    let (at_task, to_g, stop) = (at_task.clone(), to_g.clone(), stop.clone());
                    thread::spawn(move || {
                        block_on(async {
                            let mut held = None;
                            loop {
                                let nobody = chan::never();
                                let from = if held.is_none() { &at_task } else { &nobody };
                                select_async! {
                                    recv(from) -> n => match n {
                                        Ok(n) => held = Some(n),
                                        Err(_) => break,
                                    },
                                    offer(to_g, held) -> sent => sent.expect("it receives"),
                                    recv(stop) -> _ => unreachable!(),
                                }
                            }
                        });
                    })
                })
                .collect();
            drop((at_task, to_g, stop));
            let sum = rt.run(move || {
                let sender = go(move || {
                    for n in 1..=VALUES {
                        select! {
                            send(to_task, n) -> sent => sent.expect("the tasks receive"),
                            default(LONG) => unreachable!("a task came"),
                        }
                    }
                });
                let mut sum = 0;
                for _ in 1..=VALUES {
                    select! {
                        recv(at_g) -> n => sum += n.expect("a task sends"),
                        default(LONG) => unreachable!("a task came"),
                    }
                }
                sender.join().unwrap();
                assert_eq!(at_g.recv(), Err(RecvError));
                sum
            });
            tasks.into_iter().for_each(|task| task.join().unwrap());
            drop(stop_tx);
            assert_eq!(sum, VALUES * (VALUES + 1) / 2, "{mode:?}, capacity {capacity}");
        }
    });
}

#[test]
fn the_clock_takes_part() {
    let (_tx, rx) = chan::bounded::<u32>(0);
    let done = block_on(async {
        let ticks = chan::tick(Duration::from_millis(1));
        for _ in 0..3 {
            select_async! {
                recv(rx) -> n => unreachable!("{n:?}"),
                recv(ticks) -> tick => assert!(tick.is_ok()),
            }
        }
        select_async! {
            recv(rx) -> _ => Did::Sent(false),
            recv(chan::after(Duration::from_millis(1))) -> _ => Did::Nothing,
        }
    });
    assert_eq!(done, Did::Nothing);
}
