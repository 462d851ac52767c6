//! What stands on the bridge: a closure for C, a request with its reply, a mailbox.
//!
//! # Safety
//!
//! C's part is played by a closure that calls the function with the user data that belongs to it.
#![expect(unsafe_code, reason = "calls a callback as C does")]

use std::ffi::c_void;
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
///
/// C calls by a pointer and has user data, so what stands beside the closure is the function that
/// an author writes without it. The workload `callback_steady` has the rest: an `enter` that the
/// compiler sees whole, with nothing captured and no function around it.
fn closure(runtime: &Runtime, bridge: &Bridge) -> Figures {
    const CALLS: usize = 200_000;
    let callback = Callback::<fn(u64) -> u64>::new(runtime.handle(), 0, black_box::<u64>);
    let callback = callback.expect("memory");
    let (function, data) = (callback.with_data_last(), callback.user_data().expose_provenance());
    let by_closure = || {
        let data = std::ptr::with_exposed_provenance_mut(data);
        // SAFETY: the function and the user data of one callback, which is there.
        black_box(unsafe { black_box(function)(7, data) });
    };
    let written = ByHand { bridge, f: black_box::<u64> };
    let written = (&raw const written).expose_provenance();
    let by_hand = || {
        let data = std::ptr::with_exposed_provenance_mut(written);
        // SAFETY: the user data that the function takes, which is there.
        black_box(unsafe { black_box(entered_by_hand as Function)(7, data) });
    };
    let (mut closure, mut hand) = (Duration::MAX, Duration::MAX);
    for _ in 0..20 {
        closure = closure.min(timed(CALLS, false, by_closure).0);
        hand = hand.min(timed(CALLS, false, by_hand).0);
    }
    let [closure, hand] = [closure, hand].map(|took| took.as_nanos() as f64 / CALLS as f64);
    vec![("ns_per_op", closure), ("ns_over_hand", (closure - hand).max(0.0))]
}

type Function = unsafe extern "C" fn(u64, *mut c_void) -> u64;

/// What an author hands to C as user data who does without `Callback`.
struct ByHand<'a> {
    bridge: &'a Bridge,
    f: fn(u64) -> u64,
}

/// # Safety
///
/// `data` is a [`ByHand`].
unsafe extern "C" fn entered_by_hand(value: u64, data: *mut c_void) -> u64 {
    // SAFETY: as the caller says.
    let ByHand { bridge, f } = unsafe { &*data.cast::<ByHand<'_>>() };
    bridge.enter(|| f(value)).unwrap_or(0)
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
