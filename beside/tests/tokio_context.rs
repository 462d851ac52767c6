//! tokio's context in goroutines: what `docs/soundness.md` says of the wrong ways, and the right
//! one.
//!
//! # Safety
//!
//! The goroutines hold guards of tokio's over their waits, and wait inside of its `block_on`. Both
//! are checked by tokio 1.54, which panics; none of its pointers is left to a sibling.
#![expect(unsafe_code, reason = "promises what the goroutines keep")]

use std::net::SocketAddr;
use std::time::Duration;

use gosched::future::{block_on, block_on_in};
use gosched::{Mode, Runtime, Warnings, yield_now};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

const MANY: usize = 50;

/// How many of many goroutines on one thread panic.
fn panicked(goroutine: impl Fn(&Handle, SocketAddr) + Clone + Send + 'static) -> usize {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = tokio.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("it is bound");
    tokio.spawn(async move { while listener.accept().await.is_ok() {} });
    // SAFETY: see the head.
    let mode = unsafe { Mode::settled() };
    let rt = Runtime::builder(mode).procs(1).warnings(Warnings::Off).build().expect("a runtime");
    let goroutines: Vec<_> = (0..MANY)
        .map(|_| {
            let (handle, goroutine) = (tokio.handle().clone(), goroutine.clone());
            rt.handle().go(move || goroutine(&handle, address))
        })
        .collect();
    goroutines.into_iter().filter_map(|goroutine| goroutine.join().err()).count()
}

async fn connect_and_sleep(address: SocketAddr) {
    TcpStream::connect(address).await.expect("it listens");
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[test]
fn entering_at_each_poll_is_right() {
    let right = |handle: &Handle, address| {
        block_on_in(|| handle.enter(), connect_and_sleep(address));
    };
    assert_eq!(panicked(right), 0);
}

#[test]
fn a_guard_that_is_held_over_waits_is_wrong() {
    let wrong = |handle: &Handle, address| {
        let _guard = handle.enter();
        block_on(connect_and_sleep(address));
    };
    let panicked = panicked(wrong);
    assert!(panicked > MANY / 2, "{panicked} of {MANY}");
}

#[test]
fn a_wait_in_tokios_block_on_is_wrong() {
    let wrong = |handle: &Handle, _| handle.block_on(async { yield_now() });
    let panicked = panicked(wrong);
    assert!(panicked > 0, "{panicked} of {MANY}");
}
