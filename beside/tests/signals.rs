//! `signal::notify`: signals come to those who asked, and to nobody else.
//!
//! # Safety
//!
//! Signals are sent to the own process, which has handlers for them.
#![expect(unsafe_code, reason = "sends signals")]

use std::io::ErrorKind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gosched::{chan, future, select, signal};
use libc::{SIGKILL, SIGSEGV, SIGTERM, SIGURG, SIGUSR1, SIGUSR2, SIGWINCH};
use test_support::{each_mode, in_child};

const LONG: Duration = Duration::from_secs(30);

/// Signals are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(signal: i32) {
    let this_process = i32::try_from(std::process::id()).expect("a process's number");
    // SAFETY: takes numbers only.
    assert_eq!(unsafe { libc::kill(this_process, signal) }, 0);
}

#[test]
fn each_who_asked_gets_them() {
    let _alone = alone();
    each_mode(|rt, _| {
        let both = signal::notify([SIGUSR1, SIGUSR2]).expect("handlers");
        let one = chan::signals([SIGUSR2]).expect("handlers");
        send(SIGUSR1);
        assert_eq!(rt.run(|| both.recv_timeout(LONG)), Ok(SIGUSR1));
        send(SIGUSR2);
        assert_eq!(future::block_on(both.recv_async()), Ok(SIGUSR2));
        let selected = rt.run(|| {
            select! {
                recv(one) -> signal => signal,
                recv(chan::after(LONG)) -> _ => unreachable!("it comes"),
            }
        });
        assert_eq!(selected, Ok(SIGUSR2));
        assert!(both.is_empty() && one.is_empty());
    });
}

#[test]
fn receivers_that_are_gone_or_full_keep_nobody_waiting() {
    let _alone = alone();
    drop(signal::notify([SIGUSR1]).expect("handlers"));
    let full = signal::notify([SIGUSR1]).expect("handlers");
    let mark = signal::notify([SIGUSR1]).expect("handlers");
    for _ in 0..200 {
        send(SIGUSR1);
        assert_eq!(mark.recv_timeout(LONG), Ok(SIGUSR1));
    }
    assert_eq!(full.len(), 64);
    full.try_iter().for_each(drop);
    send(SIGUSR1);
    assert_eq!(full.recv_timeout(LONG), Ok(SIGUSR1));
}

#[test]
fn what_cannot_be_handled_is_an_error() {
    for signal in [SIGKILL, SIGSEGV] {
        let error = signal::notify([SIGWINCH, signal]).expect_err("nobody handles it");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(signal::notify([SIGURG]).expect("handlers").is_empty());
}

/// What a signal did before happens as long as nobody asks.
#[test]
fn only_when_asked() {
    let Some(output) = in_child("only_when_asked") else {
        let rx = signal::notify([SIGUSR1]).expect("handlers");
        send(SIGUSR1);
        assert_eq!(rx.recv_timeout(LONG), Ok(SIGUSR1));
        send(SIGTERM);
        unreachable!("it has ended the process");
    };
    let (died_of, _) = test_support::death(&output);
    assert_eq!(died_of, Some(SIGTERM));
}
