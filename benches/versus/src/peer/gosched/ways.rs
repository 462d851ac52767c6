//! What stands on the bridge: a closure for C, a request with its reply, a mailbox.
//!
//! # Safety
//!
//! C's part is played by a closure that calls the function with the user data that belongs to it.
#![expect(unsafe_code, reason = "calls a callback as C does")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use c_side::calls::{self, Plan};
use gosched::Runtime;
use gosched::callback::{Bridge, Callback, Mailbox, Service};

use crate::peer::measure::{Figures, percentile};

/// Runs the workload. `None` if it is another one.
pub(crate) fn run(runtime: &Runtime, bridge: &Bridge, workload: &str) -> Option<Figures> {
    match workload {
        "callback_call" => Some(call(runtime, bridge)),
        "callback_closure" => Some(closure(runtime, bridge)),
        "callback_post" => Some(post()),
        _ => None,
    }
}

/// Asks a goroutine by a service, 20,000 times.
fn call(runtime: &Runtime, bridge: &Bridge) -> Figures {
    let (service, requests) = Service::<u64, u64>::bounded(0);
    drop(runtime.handle().go(move || {
        while let Ok(request) = requests.recv() {
            let value = *request.value();
            request.reply(value).expect("somebody waits");
        }
    }));
    let ask = || assert_eq!(bridge.call(&service, 7).expect("a reply"), 7);
    timed(200, false, ask);
    let mut took = timed(20_000, true, ask).1;
    vec![
        ("p50_us", percentile(&mut took, 0.5) / 1e3),
        ("p99_us", percentile(&mut took, 0.99) / 1e3),
    ]
}

/// What the calls of a thread of C's took, together and each.
fn timed(calls: usize, each: bool, call: impl Fn() + Sync) -> (Duration, Vec<u64>) {
    let plan = Plan { calls, timed: each, ..Plan::default() };
    let report = calls::run(plan, &[call]).expect("a thread");
    (report.wall, report.took_ns)
}

/// The best of several rounds of each, in turn: the difference is a few nanoseconds, and whatever
/// disturbs a round adds to it.
fn closure(runtime: &Runtime, bridge: &Bridge) -> Figures {
    const CALLS: usize = 200_000;
    let callback = Callback::<fn(u64) -> u64>::new(runtime.handle(), 0, black_box::<u64>);
    let callback = callback.expect("memory");
    let (function, data) = (callback.with_data_last(), callback.user_data().expose_provenance());
    let by_function = || {
        let data = std::ptr::with_exposed_provenance_mut(data);
        // SAFETY: the function and the user data of one callback, which is there.
        black_box(unsafe { black_box(function)(7, data) });
    };
    let by_enter = || {
        black_box(bridge.enter(|| black_box(7_u64)).unwrap_or(0));
    };
    let (mut with, mut without) = (Duration::MAX, Duration::MAX);
    for _ in 0..20 {
        with = with.min(timed(CALLS, false, by_function).0);
        without = without.min(timed(CALLS, false, by_enter).0);
    }
    let over = with.as_nanos() as f64 - without.as_nanos() as f64;
    vec![
        ("ns_per_op", with.as_nanos() as f64 / CALLS as f64),
        ("ns_over_enter", (over / CALLS as f64).max(0.0)),
    ]
}

/// Posts to a mailbox whose receiver never sleeps. To empty it is not counted.
fn post() -> Figures {
    const FITS: usize = 1_000;
    const ROUNDS: usize = 2_000;
    let (mailbox, mut poller) = Mailbox::polled(FITS);
    let mut posting = Duration::ZERO;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for value in 0..FITS {
            mailbox.post(black_box(value)).expect("it fits");
        }
        posting += began.elapsed();
        let received = std::iter::from_fn(|| poller.try_recv().ok()).count();
        assert_eq!(received, FITS);
    }
    vec![("ns_per_op", posting.as_nanos() as f64 / (FITS * ROUNDS) as f64)]
}
