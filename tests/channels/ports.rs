//! What may stand in a `select!`'s arms, and what becomes of the values of its operations.

use std::mem;
use std::time::Duration;

use gosched::chan::{self, Receiver, Select};
use gosched::time::timeout;
use gosched::{go, select};
use test_support::each_mode;

/// A receiver made by a function, so that it is a temporary.
fn holds<T>(value: T) -> Receiver<T> {
    let (tx, rx) = chan::bounded(1);
    assert!(tx.send(value).is_ok());
    rx
}

#[test]
fn ports_may_borrow_from_temporaries() {
    let none: Option<Receiver<u32>> = None;
    let some = Some(holds(7));
    let (tx, rx) = chan::bounded(1);
    for expected in [7, 8] {
        let got = select! {
            recv(none.as_ref().unwrap_or(&chan::never())) -> got => got.expect("never"),
            recv(some.as_ref().unwrap_or(&chan::never()),) -> got => got.unwrap_or(8),
        };
        assert_eq!(got, expected);
    }
    select! {
        send(
            Some(&tx).cloned().as_ref().unwrap_or(&chan::bounded(0).0),
            String::from("a"),
        ) -> sent => {
            sent.expect("there is room");
        }
    }
    let mut slot = Some(String::from("b"));
    select! {
        offer(Some(&tx).cloned().as_ref().unwrap_or(&tx), slot,) -> sent => {
            unreachable!("{sent:?}")
        }
        default() => {}
    }
    assert_eq!((slot.as_deref(), rx.recv().as_deref()), (Some("b"), Ok("a")));
    select! {
        recv(rx) -> got => unreachable!("{got:?}"),
        default(Duration::from_millis(1),) => {},
    }
}

#[test]
fn an_arm_uses_what_its_port_borrowed() {
    let (tx, rx) = chan::bounded::<u32>(1);
    let (mut slot, mut receiver) = (Some(5), Some(rx));
    select! {
        offer(tx, slot) -> sent => {
            sent.expect("there is room");
            slot = Some(6);
        }
    }
    select! {
        recv(receiver.as_ref().expect("it is there")) -> got => {
            assert_eq!((got, slot), (Ok(5), Some(6)));
            receiver = None;
        }
    }
    assert!(receiver.is_none() && tx.send(7).is_err());
}

#[test]
fn a_time_limit_leaves_what_is_offered_in_its_place() {
    each_mode(|rt, _| {
        rt.run(|| {
            go(|| {
                let (tx, _rx) = chan::bounded::<String>(0);
                let mut slot = Some(String::from("kept"));
                let limited = timeout(Duration::from_millis(2), || {
                    select! { offer(tx, slot) -> sent => unreachable!("{sent:?}") }
                });
                assert!(limited.is_err());
                assert_eq!(slot.as_deref(), Some("kept"));
            })
            .join()
            .expect("its asserts hold");
        });
    });
}

#[test]
fn a_cancel_leaves_what_is_offered_in_its_place() {
    /// Sends what the slot holds when a cancel unwinds.
    struct Slot(Option<u32>, chan::Sender<Option<u32>>);
    impl Drop for Slot {
        fn drop(&mut self) {
            self.1.try_send(self.0.take()).expect("there is room");
        }
    }
    each_mode(|rt, _| {
        let (tx, rx) = chan::bounded::<u32>(0);
        let (left_tx, left) = chan::bounded(1);
        let (begins, begun) = chan::bounded(1);
        let offers = rt.handle().go(move || {
            let mut slot = Slot(Some(3), left_tx);
            begins.send(()).expect("there is room");
            select! { offer(tx, slot.0) -> sent => unreachable!("{sent:?}") }
        });
        begun.recv().expect("it begins");
        assert!(offers.cancel());
        assert!(offers.join().is_err());
        assert_eq!(left.recv(), Ok(Some(3)));
        drop(rx);
    });
}

/// A value whose drop uses the channel that it came from.
struct Asks(Receiver<Option<Box<Asks>>>, chan::Sender<usize>);

impl Drop for Asks {
    fn drop(&mut self) {
        self.1.send(self.0.len()).expect("there is room");
    }
}

#[test]
fn a_forgotten_operation_is_dropped_outside_of_all_locks() {
    let (tx, rx) = chan::bounded::<Option<Box<Asks>>>(4);
    let (asked_tx, asked) = chan::unbounded();
    for value in [Some(Box::new(Asks(rx.clone(), asked_tx.clone()))), None] {
        assert!(tx.send(value).is_ok());
    }
    let (full, _kept) = chan::bounded(0);
    let mut select = Select::new();
    let (receives, sends) = (select.recv(&rx), select.send(&full, 1));
    mem::forget(select.select());
    assert_eq!(asked.try_recv().ok(), None);
    let second = select.select();
    assert_eq!(asked.try_recv(), Ok(1), "the next call drops it");
    assert_eq!(second.index(), receives);
    assert!(second.recv(&rx).expect("it was sent").is_none());
    // One that sends leaves the list, forgotten or not.
    select.remove(receives);
    let receiver = std::thread::spawn(move || _kept.recv());
    mem::forget(select.select());
    assert_eq!(receiver.join().expect("no panic"), Ok(1));
    assert!(select.try_select().is_err());
    let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| select.remove(sends)));
    assert!(gone.is_err(), "it was chosen");
}
