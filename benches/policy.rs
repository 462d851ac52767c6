//! The loads of the policy simulator (`simulator/src/loads.rs`) on the scheduler itself:
//! measurements to compare with its predictions. `cargo bench --bench policy [-- PROCS]`
//!
//! It prints one line for each, in the same words. It shows whether the rules together do what they
//! are meant to do. A single run says little about small differences.
#![expect(unsafe_code, reason = "promises the modes")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use gosched::callback::Bridge;
use gosched::{Mode, Runtime, blocking, chan, go, yield_now};

const MS: Duration = Duration::from_millis(1);

fn main() {
    let procs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(2);
    println!(
        "{procs} Ps, {} CPUs; times in us\n",
        thread::available_parallelism().map_or(0, usize::from)
    );
    println!(
        "{:16} {:>13} {:12} {:>9} {:>9} {:>9}  of",
        "load", "a second", "of", "p50", "p99", "max"
    );
    yields(procs);
    acceptor(procs);
    fork_join(procs, 12);
    pairs(procs);
    for says_so in [false, true] {
        blocks(procs, says_so);
    }
    callbacks(procs);
}

/// Times that goroutines note.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<Duration>>>);

impl Times {
    fn took(&self, since: Instant) {
        self.0.lock().expect("no panic").push(since.elapsed());
    }

    fn at(&self, part: f64) -> f64 {
        let mut sorted = self.0.lock().expect("no panic").clone();
        sorted.sort();
        let last = sorted.len().saturating_sub(1) as f64;
        sorted.get((last * part) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }
}

fn line(load: &str, n: u64, counted: &str, took: Duration, times: &Times, timed: &str) {
    let rate = n as f64 / took.as_secs_f64();
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| times.at(part));
    println!("{load:16} {rate:>13.0} {counted:12} {p50:>9.1} {p99:>9.1} {max:>9.1}  {timed}");
}

fn runtime(procs: usize) -> Runtime {
    // SAFETY: nothing here suspends inside a thread-local's initialiser or code that nests calls.
    let settled = unsafe { Mode::settled() };
    Runtime::builder(settled).procs(procs).build().expect("a runtime")
}

fn yields(procs: usize) {
    let rt = runtime(procs);
    let (stop, count, times) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Times::default());
    let began = Instant::now();
    for _ in 0..4 * procs {
        let (stop, count) = (stop.clone(), count.clone());
        rt.handle().go(move || {
            let mut mine = 0;
            while !stop.load(Relaxed) {
                yield_now();
                mine += 1;
            }
            count.fetch_add(mine, Relaxed);
        });
    }
    for _ in 0..200 {
        thread::sleep(MS / 2);
        let (times, made) = (times.clone(), Instant::now());
        rt.handle().go(move || times.took(made)).join().expect("it ended");
    }
    stop.store(true, Relaxed);
    let took = began.elapsed();
    rt.shutdown(MS * 10_000).expect("they have stopped");
    line("yields", count.load(Relaxed), "yields", took, &times, "a beginning");
}

fn acceptor(procs: usize) {
    let rt = runtime(procs);
    let children = 1000 * procs;
    let times = Times::default();
    let (tx, rx) = chan::unbounded::<ThreadId>();
    let (_never, stay) = chan::bounded::<()>(0);
    let began = Instant::now();
    let noted = times.clone();
    rt.handle().go(move || {
        for _ in 0..children {
            let work = Instant::now();
            while work.elapsed() < MS / 1000 {}
            let (tx, stay, noted, made) = (tx.clone(), stay.clone(), noted.clone(), Instant::now());
            go(move || {
                noted.took(made);
                tx.send(thread::current().id()).expect("somebody counts");
                let _never = stay.recv();
            });
        }
    });
    let mut per_thread: HashMap<ThreadId, usize> = HashMap::new();
    for _ in 0..children {
        *per_thread.entry(rx.recv().expect("it begins")).or_default() += 1;
    }
    line("acceptor", children as u64, "children", began.elapsed(), &times, "a beginning");
    println!("{:16} children per thread: {:?}", "", per_thread.values().collect::<Vec<_>>());
}

fn fork_join(procs: usize, depth: u32) {
    fn node(depth: u32) -> u64 {
        if depth == 0 {
            return black_box((0..200_u64).fold(0, |sum, n| black_box(sum ^ n)) & 1) + 1;
        }
        let [left, right] = [(); 2].map(|()| go(move || node(depth - 1)));
        left.join().expect("it ended") + right.join().expect("it ended")
    }
    let rt = runtime(procs);
    let began = Instant::now();
    let _sum = rt.handle().go(move || node(depth)).join().expect("it ended");
    line("fork-join", (1 << (depth + 1)) - 1, "goroutines", began.elapsed(), &Times::default(), "");
}

fn pairs(procs: usize) {
    let rt = runtime(procs);
    let (stop, count, times) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Times::default());
    let began = Instant::now();
    for _ in 0..4 * procs {
        let (stop, count, times) = (stop.clone(), count.clone(), times.clone());
        rt.handle().go(move || {
            let (ping, pinged) = chan::bounded::<()>(0);
            let (pong, ponged) = chan::bounded::<()>(0);
            go(move || pinged.iter().all(|()| pong.send(()).is_ok()));
            let mut mine = 0;
            while !stop.load(Relaxed) {
                let sent = (mine % 64 == 0).then(Instant::now);
                // At the end the other goroutine may be cancelled first.
                if ping.send(()).is_err() || ponged.recv().is_err() {
                    break;
                }
                if let Some(sent) = sent {
                    times.took(sent);
                }
                mine += 1;
            }
            count.fetch_add(mine, Relaxed);
        });
    }
    thread::sleep(MS * 200);
    stop.store(true, Relaxed);
    let took = began.elapsed();
    rt.shutdown(MS * 10_000).expect("they have stopped");
    line("pairs", count.load(Relaxed), "round trips", took, &times, "a round trip");
}

fn blocks(procs: usize, says_so: bool) {
    let rt = runtime(procs);
    let n = 32 * procs;
    let times = Times::default();
    let began = Instant::now();
    let calls: Vec<_> = (0..n)
        .map(|_| {
            let times = times.clone();
            rt.handle().go(move || {
                if says_so {
                    blocking(|| thread::sleep(20 * MS));
                } else {
                    thread::sleep(20 * MS);
                }
                times.took(began);
            })
        })
        .collect();
    calls.into_iter().for_each(|call| call.join().expect("it ended"));
    line(
        if says_so { "blocking()" } else { "blocking" },
        n as u64,
        "calls",
        began.elapsed(),
        &times,
        "a call's end",
    );
}

fn callbacks(procs: usize) {
    let rt = runtime(procs);
    let bridge = Bridge::new(&rt);
    let (requests, taken) = chan::bounded::<chan::Sender<()>>(64);
    for _ in 0..2 * procs {
        let taken = taken.clone();
        rt.handle().go(move || taken.iter().all(|reply| reply.send(()).is_ok()));
    }
    let times = Times::default();
    let began = Instant::now();
    let until = began + 200 * MS;
    let calls: u64 = thread::scope(|scope| {
        let callers: Vec<_> = (0..2 * procs)
            .map(|_| {
                scope.spawn(|| {
                    let (reply, answer) = chan::bounded(1);
                    let mut calls = 0;
                    while Instant::now() < until {
                        let in_c = Instant::now();
                        while in_c.elapsed() < MS / 50 {}
                        let entered = Instant::now();
                        let answered = bridge.enter(|| {
                            requests.send(reply.clone()).expect("somebody answers");
                            answer.recv().expect("an answer");
                        });
                        answered.expect("it is open");
                        times.took(entered);
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).sum()
    });
    line("callbacks", calls, "callbacks", began.elapsed(), &times, "a callback");
}
