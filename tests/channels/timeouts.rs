//! Waits with a time limit.

use std::thread;
use std::time::{Duration, Instant};

use gosched::chan::{self, RecvError, RecvTimeoutError, SendTimeoutError};
use gosched::go;
use test_support::each_mode;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

/// All there is to try, by whoever calls it.
fn time_limits() {
    for capacity in [0, 1] {
        let (tx, rx) = chan::bounded(capacity);
        let began = Instant::now();
        assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        assert_eq!(rx.recv_deadline(began + 2 * SHORT), Err(RecvTimeoutError::Timeout));
        assert!(began.elapsed() >= 2 * SHORT, "it gave up too early");
        (0..capacity).for_each(|n| tx.send(n).unwrap());
        let began = Instant::now();
        assert_eq!(tx.send_timeout(7, SHORT), Err(SendTimeoutError::Timeout(7)));
        assert_eq!(tx.send_deadline(7, began + 2 * SHORT), Err(SendTimeoutError::Timeout(7)));
        assert!(began.elapsed() >= 2 * SHORT, "it gave up too early");
        for past in [began, Instant::now()] {
            assert_eq!(tx.send_deadline(8, past), Err(SendTimeoutError::Timeout(8)));
        }
        (0..capacity).for_each(|n| assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(n)));
        assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        assert!(rx.is_empty(), "what was given back is not in the channel, too");
        let (to_partner, at_partner) = chan::bounded(capacity);
        let back = tx.clone();
        let partner = thread::spawn(move || {
            back.send_timeout(at_partner.recv()? + 1_usize, LONG).map_err(|_| RecvError)
        });
        assert_eq!(to_partner.send_timeout(1_usize, Duration::MAX), Ok(()));
        assert_eq!(rx.recv_timeout(LONG), Ok(2));
        assert_eq!(partner.join().unwrap(), Ok(()));
        drop(rx);
        assert_eq!(tx.send_timeout(3, LONG), Err(SendTimeoutError::Disconnected(3)));
        let (tx, rx) = chan::bounded::<u32>(capacity);
        drop(tx);
        assert_eq!(rx.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    }
}

#[test]
fn goroutines_and_plain_threads_give_up_in_time() {
    time_limits();
    each_mode(|rt, _| rt.run(|| go(time_limits).join().unwrap()));
}

#[test]
fn a_disconnect_ends_a_wait_with_a_limit() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded::<u32>(0);
            let waiting = go(move || rx.recv_timeout(LONG));
            drop(tx);
            assert_eq!(waiting.join().unwrap(), Err(RecvTimeoutError::Disconnected));
        });
    });
}

#[test]
fn of_a_race_between_hand_over_and_deadline_one_wins() {
    each_mode(|rt, _| {
        rt.run(|| {
            let (tx, rx) = chan::bounded(0);
            let sender = go(move || {
                let pause = |n: u64| Duration::from_micros(n % 40);
                (0..2_000_u64)
                    .filter(|n| tx.send_timeout(*n, pause(*n)).is_ok())
                    .collect::<Vec<_>>()
            });
            let mut received = Vec::new();
            loop {
                match rx.recv_timeout(Duration::from_micros(20)) {
                    Ok(n) => received.push(n),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            assert_eq!(sender.join().unwrap(), received);
        });
    });
}
