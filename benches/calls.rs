//! Request and reply between a thread of C's and a goroutine: `Bridge::call`, and the same by hand
//! with channels. `cargo bench --bench calls`; takes some seconds.
//!
//! The goroutine answers at once. So a figure is two wake-ups, and what lies around them.

mod common;

use common::{rounds, shown};
use gosched::callback::{Bridge, Service};
use gosched::{Handle, Mode, Runtime, chan};
use std::hint::black_box;
use std::time::Instant;

const CALLS: u32 = 2_000;

/// Returns the nanoseconds that a call takes.
fn per_call(mut call: impl FnMut(u64) -> u64) -> f64 {
    let began = Instant::now();
    for n in 0..u64::from(CALLS) {
        assert_eq!(black_box(call(black_box(n))), n + 1);
    }
    began.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn by_call(bridge: &Bridge, handle: &Handle) -> Vec<f64> {
    let (service, requests) = Service::bounded(1);
    let server = handle.go(move || {
        while let Ok(request) = requests.recv() {
            let next = request.value() + 1;
            request.reply(next).expect("awaited");
        }
    });
    let figures = rounds(|| per_call(|n| bridge.call(&service, n).expect("a reply")));
    drop(service);
    server.join().expect("no panic");
    figures
}

/// One channel there and one back: for one thread only, since replies have no address.
fn by_two_channels(bridge: &Bridge, handle: &Handle) -> Vec<f64> {
    let (ask, asked) = chan::bounded(1);
    let (answer, answers) = chan::bounded(1);
    let server = handle.go(move || {
        while let Ok(n) = asked.recv() {
            answer.send(n + 1_u64).expect("awaited");
        }
    });
    let call = |n| {
        let both = || {
            ask.send(n).expect("the server is there");
            answers.recv().expect("a reply")
        };
        bridge.enter(both).expect("the runtime is up")
    };
    let figures = rounds(|| per_call(call));
    drop(ask);
    server.join().expect("no panic");
    figures
}

/// A channel there, and one for each reply.
fn by_oneshots(bridge: &Bridge, handle: &Handle) -> Vec<f64> {
    let (ask, asked) = chan::bounded::<(u64, chan::oneshot::Sender<u64>)>(1);
    let server = handle.go(move || {
        while let Ok((n, reply)) = asked.recv() {
            reply.send(n + 1).expect("awaited");
        }
    });
    let call = |n| {
        let both = || {
            let (reply, replied) = chan::oneshot::channel();
            ask.send((n, reply)).expect("the server is there");
            replied.recv().expect("a reply")
        };
        bridge.enter(both).expect("the runtime is up")
    };
    let figures = rounds(|| per_call(call));
    drop(ask);
    server.join().expect("no panic");
    figures
}

fn main() {
    println!("nanoseconds for each request with its reply: median  (least - most)");
    let runtime = Runtime::builder(Mode::threads()).build().expect("a runtime");
    let (bridge, handle) = (Bridge::new(&runtime), runtime.handle());
    println!("Bridge::call           {}", shown(by_call(&bridge, &handle), 0));
    println!("two channels           {}", shown(by_two_channels(&bridge, &handle), 0));
    println!("a channel, and oneshots{}", shown(by_oneshots(&bridge, &handle), 0));
}
