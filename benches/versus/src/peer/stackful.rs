//! The workloads in blocking style, for runtimes whose goroutines have stacks of their own.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::measure::{
    Figures, Gap, Lateness, compute, ms, nap, ns_per_op, processor_time, workers,
};

/// A runtime; the value says where goroutines shall be.
pub(crate) trait Stackful: Clone + Send + Sync + 'static {
    type Handle<T: Send + 'static>: Send;
    type Sender<T: Send + 'static>: Clone + Send + 'static;
    type Receiver<T: Send + 'static>: Send + 'static;
    type Mutex: Send + Sync + 'static;

    fn go<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T>;
    /// Spawns a goroutine, at the place of that number if the column says where goroutines are.
    fn go_at<T: Send + 'static>(
        &self,
        place: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Self::Handle<T>;
    /// Spawns a goroutine that need not wait behind those that compute.
    fn go_free<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T>;
    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T;
    fn yield_now();
    fn sleep_until(deadline: Instant);
    /// Makes a channel of that capacity, or without a limit if the runtime has no other.
    fn channel<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T);
    /// Receives. `None` when all senders are gone.
    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T>;
    fn mutex() -> Self::Mutex;
    fn increment(mutex: &Self::Mutex);
    fn value(mutex: &Self::Mutex) -> u64;
}

/// Runs the workload. The caller is a goroutine. `None` if it is none of these workloads.
pub(crate) fn run<R: Stackful>(r: &R, workload: &str) -> Option<Figures> {
    let figures = match workload {
        "yield1" => yields(r, 1, 2_000_000),
        "yield1000" => yields(r, 1000, 2_000),
        "spawn100k" => spawn_100k::<R>(),
        "spawn1000" => spawn_1000::<R>(),
        "tree16" => tree::<R>(16),
        "pingpong" => ping_pong(r, 300_000),
        "mutex" => mutex(r, 8, 200_000),
        "timers" => timers::<R>(100_000),
        "blocking" => blocking::<R>(),
        "hog" => hogs::<R>(workers(), Duration::from_secs(2)),
        "hog200" => hogs::<R>(200, Duration::from_millis(50)),
        "fanout" => fan_out(r, 200_000),
        _ => return None,
    };
    Some(figures)
}

/// Runs a tenth of the work first, which is not counted.
fn yields<R: Stackful>(r: &R, goroutines: u64, each: u64) -> Figures {
    let all = |each: u64| {
        let yielding = move || (0..each).for_each(|_| R::yield_now());
        let all: Vec<_> = (0..goroutines).map(|place| r.go_at(place as usize, yielding)).collect();
        all.into_iter().for_each(R::join);
    };
    all(each / 10);
    let began = Instant::now();
    all(each);
    ns_per_op(goroutines * each, began)
}

/// Spawns all, then joins all. The median of five rounds after one.
fn spawn_100k<R: Stackful>() -> Figures {
    let mut rounds: Vec<f64> = (0..6)
        .map(|_| {
            let began = Instant::now();
            let all: Vec<_> = (0..100_000_u64).map(|i| R::go(move || i)).collect();
            all.into_iter().for_each(|one| _ = black_box(R::join(one)));
            began.elapsed().as_nanos() as f64 / 1e5
        })
        .skip(1)
        .collect();
    rounds.sort_by(f64::total_cmp);
    vec![("ns_per_op", rounds[2])]
}

/// Spawns and joins a thousand at a time, and adds their results.
fn spawn_1000<R: Stackful>() -> Figures {
    let batches = |n: u64| {
        let mut sum = 0;
        for _ in 0..n {
            let all: Vec<_> = (0..1000).map(|i| R::go(move || i)).collect();
            sum += all.into_iter().map(R::join).sum::<u64>();
        }
        assert_eq!(sum, n * 499_500);
    };
    batches(10);
    let began = Instant::now();
    batches(500);
    ns_per_op(500_000, began)
}

fn tree<R: Stackful>(depth: u32) -> Figures {
    fn node<R: Stackful>(depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let [left, right] = [(); 2].map(|()| R::go(move || node::<R>(depth - 1)));
        1 + R::join(left) + R::join(right)
    }
    let grow = |depth| R::join(R::go(move || node::<R>(depth)));
    grow(depth - 2);
    let began = Instant::now();
    let nodes = grow(depth);
    assert_eq!(nodes, (1 << (depth + 1)) - 1);
    ns_per_op(nodes, began)
}

fn ping_pong<R: Stackful>(r: &R, round_trips: u64) -> Figures {
    let (ping, pinged) = R::channel::<u64>(0);
    let (pong, ponged) = R::channel::<u64>(0);
    let echo = r.go_at(1, move || {
        while let Some(value) = R::recv(&pinged) {
            R::send(&pong, value);
        }
    });
    let player = r.go_at(0, move || {
        let rally = |n| {
            for value in 0..n {
                R::send(&ping, value);
                assert_eq!(R::recv(&ponged), Some(value));
            }
        };
        rally(round_trips / 10);
        let began = Instant::now();
        rally(round_trips);
        ns_per_op(round_trips, began)
    });
    let figures = R::join(player);
    R::join(echo);
    figures
}

fn mutex<R: Stackful>(r: &R, goroutines: u64, each: u64) -> Figures {
    let counter = Arc::new(R::mutex());
    let began = Instant::now();
    let all: Vec<_> = (0..goroutines)
        .map(|place| {
            let counter = counter.clone();
            r.go_at(place as usize, move || (0..each).for_each(|_| R::increment(&counter)))
        })
        .collect();
    all.into_iter().for_each(R::join);
    assert_eq!(R::value(&counter), goroutines * each);
    ns_per_op(goroutines * each, began)
}

fn until<R: Stackful>(counter: &AtomicU64, n: u64) {
    while counter.load(Relaxed) < n {
        R::yield_now();
    }
}

fn timers<R: Stackful>(sleepers: u64) -> Figures {
    let late = Lateness::new(sleepers);
    let (began, before) = (Instant::now(), processor_time());
    let all: Vec<_> = (0..sleepers)
        .map(|index| {
            let late = late.clone();
            R::go(move || {
                let deadline = Instant::now() + nap(index);
                R::sleep_until(deadline);
                late.note(index, deadline);
            })
        })
        .collect();
    all.into_iter().for_each(R::join);
    late.figures(began.elapsed(), processor_time() - before)
}

/// Returns how long the work takes, and the worst gap of a ticker of 1 ms beside it.
fn beside_a_ticker<R: Stackful>(work: impl FnOnce()) -> (Duration, Duration) {
    let (stop, ticks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stopped, count) = (stop.clone(), ticks.clone());
    let ticker = R::go_free(move || {
        let mut gap = Gap::new();
        while !stopped.load(Relaxed) {
            R::sleep_until(Instant::now() + Duration::from_millis(1));
            gap.tick();
            count.fetch_add(1, Relaxed);
        }
        gap.worst()
    });
    until::<R>(&ticks, 3);
    let began = Instant::now();
    work();
    let took = began.elapsed();
    stop.store(true, Relaxed);
    (took, R::join(ticker))
}

fn blocking<R: Stackful>() -> Figures {
    let (took, gap) = beside_a_ticker::<R>(|| {
        let all: Vec<_> =
            (0..64).map(|_| R::go(|| std::thread::sleep(Duration::from_millis(20)))).collect();
        all.into_iter().for_each(R::join);
    });
    vec![("wall_ms", ms(took)), ("gap_ms", ms(gap))]
}

fn hogs<R: Stackful>(hogs: usize, each: Duration) -> Figures {
    let (_, gap) = beside_a_ticker::<R>(|| {
        let all: Vec<_> = (0..hogs).map(|_| R::go(move || compute(each))).collect();
        all.into_iter().for_each(R::join);
    });
    vec![("gap_ms", ms(gap))]
}

const CLIENTS: u64 = 64;
const SERVERS: usize = 16;

/// Clients send requests. A dispatcher hands each request to the next worker, which replies to the
/// client.
fn fan_out<R: Stackful>(r: &R, requests: u64) -> Figures {
    let (ask, asked) = R::channel::<(u64, R::Sender<u64>)>(64);
    let began = Instant::now();
    let workers: Vec<_> = (0..SERVERS)
        .map(|place| {
            let (hand, handed) = R::channel::<(u64, R::Sender<u64>)>(16);
            drop(r.go_at(place, move || {
                while let Some((value, reply)) = R::recv(&handed) {
                    R::send(&reply, value + 1);
                }
            }));
            hand
        })
        .collect();
    drop(r.go_at(0, move || {
        let mut next = 0;
        while let Some(request) = R::recv(&asked) {
            R::send(&workers[next % SERVERS], request);
            next += 1;
        }
    }));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|place| {
            let ask = ask.clone();
            r.go_at(place as usize, move || {
                let (reply, replied) = R::channel::<u64>(1);
                for value in 0..requests / CLIENTS {
                    R::send(&ask, (value, reply.clone()));
                    assert_eq!(R::recv(&replied), Some(value + 1));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(R::join);
    ns_per_op(requests, began)
}
