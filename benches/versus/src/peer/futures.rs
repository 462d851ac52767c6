//! The workloads in async style.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::measure::{
    Figures, Gap, Lateness, compute, memory, ms, nap, ns_per_op, processor_time, workers,
};

/// A runtime that polls futures.
pub(crate) trait Futures: Clone + Send + Sync + 'static {
    type Handle<T: Send + 'static>: Send;
    type Sender<T: Send + 'static>: Clone + Send + Sync + 'static;
    type Receiver<T: Send + 'static>: Send + 'static;
    type Mutex: Send + Sync + 'static;

    fn spawn<T: Send + 'static>(f: impl Future<Output = T> + Send + 'static) -> Self::Handle<T>;
    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> impl Future<Output = T> + Send;
    /// Spawns the future. Nothing waits for it.
    fn detach<T: Send + 'static>(handle: Self::Handle<T>);
    fn yield_now() -> impl Future<Output = ()> + Send;
    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> + Send;
    fn channel<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
    fn send<T: Send + 'static>(
        sender: &Self::Sender<T>,
        value: T,
    ) -> impl Future<Output = ()> + Send;
    /// Sends from a thread that is no worker.
    fn send_outside<T: Send + 'static>(sender: &Self::Sender<T>, value: T);
    fn recv<T: Send + 'static>(
        receiver: &mut Self::Receiver<T>,
    ) -> impl Future<Output = Option<T>> + Send;
    /// Receives from the channels, whichever is ready first.
    fn recv_any(receivers: &mut [Self::Receiver<u64>; 4]) -> impl Future<Output = u64> + Send;
    fn mutex() -> Self::Mutex;
    fn increment(mutex: &Self::Mutex) -> impl Future<Output = ()> + Send;
}

/// Runs the workload. `None` if there is no such workload.
pub(crate) async fn run<R: Futures>(workload: &str) -> Option<Figures> {
    let figures = match workload {
        "yield1" => yields::<R>(1, 2_000_000).await,
        "yield1000" => yields::<R>(1000, 2_000).await,
        "spawn100k" => spawn_100k::<R>().await,
        "spawn1000" => spawn_1000::<R>().await,
        "tree16" => tree::<R>(16).await,
        "pingpong" => ping_pong::<R>(300_000).await,
        "prodcons" => prodcons::<R>(1_000_000).await,
        "mutex" => mutex::<R>(8, 200_000).await,
        "parked100k" => parked::<R>(100_000).await,
        "parked1m" => parked::<R>(1_000_000).await,
        "timers" => timers::<R>(100_000).await,
        "blocking" => blocking::<R>().await,
        "hog" => hogs::<R>(workers(), Duration::from_secs(2)).await,
        "hog200" => hogs::<R>(200, Duration::from_millis(50)).await,
        "select" => select::<R>(400_000).await,
        "fanout" => fan_out::<R>(200_000).await,
        _ => return None,
    };
    Some(figures)
}

pub(crate) async fn join_all<R: Futures, T: Send + 'static>(all: Vec<R::Handle<T>>) -> Vec<T> {
    let mut results = Vec::with_capacity(all.len());
    for one in all {
        results.push(R::join(one).await);
    }
    results
}

async fn yields<R: Futures>(n: u64, each: u64) -> Figures {
    let all = |each: u64| {
        let yielding = move || async move {
            for _ in 0..each {
                R::yield_now().await;
            }
        };
        join_all::<R, ()>((0..n).map(|_| R::spawn(yielding())).collect())
    };
    all(each / 10).await;
    let began = Instant::now();
    all(each).await;
    ns_per_op(n * each, began)
}

async fn spawn_100k<R: Futures>() -> Figures {
    let mut rounds = Vec::new();
    for _ in 0..6 {
        let began = Instant::now();
        let all: Vec<_> = (0..100_000_u64).map(|i| R::spawn(async move { i })).collect();
        for one in all {
            black_box(R::join(one).await);
        }
        rounds.push(began.elapsed().as_nanos() as f64 / 1e5);
    }
    rounds.remove(0);
    rounds.sort_by(f64::total_cmp);
    vec![("ns_per_op", rounds[2])]
}

async fn spawn_1000<R: Futures>() -> Figures {
    let batches = |n: u64| async move {
        let mut sum = 0;
        for _ in 0..n {
            let all: Vec<_> = (0..1000_u64).map(|i| R::spawn(async move { i })).collect();
            for one in all {
                sum += R::join(one).await;
            }
        }
        assert_eq!(sum, n * 499_500);
    };
    batches(10).await;
    let began = Instant::now();
    batches(500).await;
    ns_per_op(500_000, began)
}

/// A recursive future has to be boxed somewhere: here, once for each node.
fn node<R: Futures>(depth: u32) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            return 1;
        }
        let [left, right] = [(); 2].map(|()| R::spawn(node::<R>(depth - 1)));
        1 + R::join(left).await + R::join(right).await
    })
}

async fn tree<R: Futures>(depth: u32) -> Figures {
    let grow = |depth| R::join(R::spawn(node::<R>(depth)));
    grow(depth - 2).await;
    let began = Instant::now();
    let nodes = grow(depth).await;
    assert_eq!(nodes, (1 << (depth + 1)) - 1);
    ns_per_op(nodes, began)
}

async fn ping_pong<R: Futures>(round_trips: u64) -> Figures {
    let (ping, mut pinged) = R::channel::<u64>(1);
    let (pong, mut ponged) = R::channel::<u64>(1);
    R::detach(R::spawn(async move {
        while let Some(value) = R::recv(&mut pinged).await {
            R::send(&pong, value).await;
        }
    }));
    let player = R::spawn(async move {
        let mut began = Instant::now();
        for value in 0..round_trips / 10 + round_trips {
            if value == round_trips / 10 {
                began = Instant::now();
            }
            R::send(&ping, value).await;
            assert_eq!(R::recv(&mut ponged).await, Some(value));
        }
        ns_per_op(round_trips, began)
    });
    R::join(player).await
}

/// Uses the channel that async code takes for many receivers, whatever the runtime.
async fn prodcons<R: Futures>(items: u64) -> Figures {
    let (tx, rx) = async_channel::bounded::<u64>(128);
    let began = Instant::now();
    let consumers: Vec<_> = (0..4)
        .map(|_| {
            let rx = rx.clone();
            R::spawn(async move {
                let mut received = 0_u64;
                while rx.recv().await.is_ok() {
                    received += 1;
                }
                received
            })
        })
        .collect();
    for _ in 0..4 {
        let tx = tx.clone();
        R::detach(R::spawn(async move {
            for value in 0..items / 4 {
                tx.send(value).await.expect("somebody receives");
            }
        }));
    }
    drop((tx, rx));
    assert_eq!(join_all::<R, u64>(consumers).await.into_iter().sum::<u64>(), items);
    ns_per_op(items, began)
}

async fn mutex<R: Futures>(n: u64, each: u64) -> Figures {
    let counter = Arc::new(R::mutex());
    let began = Instant::now();
    let all = (0..n).map(|_| {
        let counter = counter.clone();
        R::spawn(async move {
            for _ in 0..each {
                R::increment(&counter).await;
            }
        })
    });
    join_all::<R, ()>(all.collect()).await;
    ns_per_op(n * each, began)
}

async fn parked<R: Futures>(n: u64) -> Figures {
    let before = memory();
    let waiting = Arc::new(AtomicU64::new(0));
    let (never, nothing) = async_channel::bounded::<()>(1);
    for _ in 0..n {
        let (nothing, waiting) = (nothing.clone(), waiting.clone());
        R::detach(R::spawn(async move {
            waiting.fetch_add(1, Relaxed);
            nothing.recv().await
        }));
    }
    while waiting.load(Relaxed) < n {
        R::sleep_until(Instant::now() + Duration::from_millis(1)).await;
    }
    R::sleep_until(Instant::now() + Duration::from_millis(20)).await;
    let figures = vec![("bytes_per_g", (memory() - before) / n as f64)];
    std::mem::forget(never);
    figures
}

async fn timers<R: Futures>(sleepers: u64) -> Figures {
    let late = Lateness::new(sleepers);
    let (began, before) = (Instant::now(), processor_time());
    let all = (0..sleepers).map(|index| {
        let late = late.clone();
        R::spawn(async move {
            let deadline = Instant::now() + nap(index);
            R::sleep_until(deadline).await;
            late.note(index, deadline);
        })
    });
    join_all::<R, ()>(all.collect()).await;
    late.figures(began.elapsed(), processor_time() - before)
}

/// Returns how long all of `work` takes, and the worst gap of a ticker of 1 ms beside it.
async fn beside_a_ticker<R: Futures>(
    work: impl Iterator<Item = R::Handle<()>>,
) -> (Duration, Duration) {
    let (stop, ticks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stopped, count) = (stop.clone(), ticks.clone());
    let ticker = R::spawn(async move {
        let mut gap = Gap::new();
        while !stopped.load(Relaxed) {
            R::sleep_until(Instant::now() + Duration::from_millis(1)).await;
            gap.tick();
            count.fetch_add(1, Relaxed);
        }
        gap.worst()
    });
    while ticks.load(Relaxed) < 3 {
        R::sleep_until(Instant::now() + Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    join_all::<R, ()>(work.collect()).await;
    let took = began.elapsed();
    stop.store(true, Relaxed);
    (took, R::join(ticker).await)
}

async fn blocking<R: Futures>() -> Figures {
    let work = (0..64).map(|_| R::spawn(async { std::thread::sleep(Duration::from_millis(20)) }));
    let (took, gap) = beside_a_ticker::<R>(work).await;
    vec![("wall_ms", ms(took)), ("gap_ms", ms(gap))]
}

async fn hogs<R: Futures>(n: usize, each: Duration) -> Figures {
    let (_, gap) =
        beside_a_ticker::<R>((0..n).map(|_| R::spawn(async move { compute(each) }))).await;
    vec![("gap_ms", ms(gap))]
}

async fn select<R: Futures>(items: u64) -> Figures {
    let channels = [(); 4].map(|()| R::channel::<u64>(16));
    // Kept, because a channel without a sender is always ready.
    let mut senders = Vec::new();
    let mut receivers = channels.map(|(sender, receiver)| {
        senders.push(sender);
        receiver
    });
    let began = Instant::now();
    for sender in &senders {
        let sender = sender.clone();
        R::detach(R::spawn(async move {
            for value in 0..items / 4 {
                R::send(&sender, value).await;
            }
        }));
    }
    let receiving = R::spawn(async move {
        let mut sum = 0;
        for _ in 0..items {
            sum += R::recv_any(&mut receivers).await;
        }
        sum
    });
    assert_eq!(R::join(receiving).await, (0..items / 4).sum::<u64>() * 4);
    ns_per_op(items, began)
}

const CLIENTS: u64 = 64;
const SERVERS: usize = 16;

async fn fan_out<R: Futures>(requests: u64) -> Figures {
    let (ask, mut asked) = R::channel::<(u64, R::Sender<u64>)>(64);
    let began = Instant::now();
    let serve = |_| {
        let (hand, mut handed) = R::channel::<(u64, R::Sender<u64>)>(16);
        R::detach(R::spawn(async move {
            while let Some((value, reply)) = R::recv(&mut handed).await {
                R::send(&reply, value + 1).await;
            }
        }));
        hand
    };
    let servers: Vec<_> = (0..SERVERS).map(serve).collect();
    R::detach(R::spawn(async move {
        let mut next = 0;
        while let Some(request) = R::recv(&mut asked).await {
            R::send(&servers[next % SERVERS], request).await;
            next += 1;
        }
    }));
    let clients = (0..CLIENTS).map(|_| {
        let ask = ask.clone();
        R::spawn(async move {
            let (reply, mut replied) = R::channel::<u64>(1);
            for value in 0..requests / CLIENTS {
                R::send(&ask, (value, reply.clone())).await;
                assert_eq!(R::recv(&mut replied).await, Some(value + 1));
            }
        })
    });
    join_all::<R, ()>(clients.collect()).await;
    ns_per_op(requests, began)
}
