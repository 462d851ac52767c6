//! The shapes of programs that placement gets wrong, and light load, in async style.

use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::futures::{Futures, join_all};
use super::measure::{CHUNK, Figures, Load, compute, ns_per_op, orders, sum_of};

/// Runs the workload. `None` if there is no such workload.
pub(crate) async fn run<R: Futures>(workload: &str) -> Option<Figures> {
    let figures = match workload {
        "pipeline" => pipeline::<R>(100_000).await,
        "reqreply" => any_order::<R>(1_000).await,
        "ring" => ring::<R>(500_000).await,
        "broadcast" => broadcast::<R>(200).await,
        // In a task, because the caller may be beside the workers.
        "busy_maker" => R::join(R::spawn(busy_maker::<R>(25_000))).await,
        "light1ms" => light::<R>(Duration::from_millis(1)).await,
        "light200us" => light::<R>(Duration::from_micros(200)).await,
        "light100us" => light::<R>(Duration::from_micros(100)).await,
        "light_sleep" => sleepers::<R>().await,
        _ => return None,
    };
    Some(figures)
}

/// Adds what the chunks come to, with a task for each.
pub(crate) async fn parallel_sum<R: Futures>(items: Arc<[u64]>) -> u64 {
    let sum = |chunk: usize| {
        let items = items.clone();
        R::spawn(async move { sum_of(&items[chunk * CHUNK..][..CHUNK]) })
    };
    let all = (0..items.len() / CHUNK).map(sum).collect();
    join_all::<R, u64>(all).await.into_iter().fold(0, u64::wrapping_add)
}

async fn pipeline<R: Futures>(items: u64) -> Figures {
    const STAGES: u64 = 8;
    let began = Instant::now();
    let (source, mut out) = R::channel::<u64>(16);
    for _ in 0..STAGES {
        let (next, further) = R::channel(16);
        let mut from = mem::replace(&mut out, further);
        R::detach(R::spawn(async move {
            while let Some(value) = R::recv(&mut from).await {
                R::send(&next, value + 1).await;
            }
        }));
    }
    R::detach(R::spawn(async move {
        for value in 0..items {
            R::send(&source, value).await;
        }
    }));
    let sink = R::spawn(async move {
        let mut sum = 0;
        while let Some(value) = R::recv(&mut out).await {
            sum += value;
        }
        sum
    });
    assert_eq!(R::join(sink).await, (0..items).sum::<u64>() + items * STAGES);
    ns_per_op(items, began)
}

const CLIENTS: usize = 64;
const SERVERS: usize = 4;

async fn any_order<R: Futures>(each: u64) -> Figures {
    let mut slowest = 0.0_f64;
    for order in orders(SERVERS + CLIENTS) {
        slowest = slowest.max(ask_and_answer::<R>(&order, each).await);
    }
    vec![("ns_per_op", slowest)]
}

async fn ask_and_answer<R: Futures>(order: &[usize], each: u64) -> f64 {
    let (asks, mut asked): (Vec<_>, Vec<_>) = (0..SERVERS)
        .map(|_| R::channel::<(u64, R::Sender<u64>)>(16))
        .map(|(ask, asked)| (ask, Some(asked)))
        .unzip();
    let began = Instant::now();
    let make = |&member: &usize| match asked.get_mut(member).and_then(Option::take) {
        Some(mut asked) => R::spawn(async move {
            while let Some((value, reply)) = R::recv(&mut asked).await {
                R::send(&reply, value + 1).await;
            }
        }),
        None => {
            let ask = asks[member % SERVERS].clone();
            R::spawn(async move {
                let (reply, mut replied) = R::channel::<u64>(1);
                for value in 0..each {
                    R::send(&ask, (value, reply.clone())).await;
                    assert_eq!(R::recv(&mut replied).await, Some(value + 1));
                }
            })
        }
    };
    let all = order.iter().map(make).collect();
    drop(asks);
    join_all::<R, ()>(all).await;
    began.elapsed().as_nanos() as f64 / (CLIENTS as u64 * each) as f64
}

async fn ring<R: Futures>(hops: u64) -> Figures {
    const ACTORS: usize = 503;
    let (done, mut ended) = R::channel::<()>(1);
    let (mut boxes, sources): (Vec<_>, Vec<_>) = (0..ACTORS).map(|_| R::channel::<u64>(1)).unzip();
    let first = boxes[0].clone();
    boxes.rotate_left(1);
    for (next, mut from) in boxes.into_iter().zip(sources) {
        let done = done.clone();
        R::detach(R::spawn(async move {
            while let Some(left) = R::recv(&mut from).await {
                match left {
                    0 => R::send(&done, ()).await,
                    _ => R::send(&next, left - 1).await,
                }
            }
        }));
    }
    let mut began = Instant::now();
    for hops in [hops / 10, hops] {
        began = Instant::now();
        R::send(&first, hops).await;
        assert_eq!(R::recv(&mut ended).await, Some(()));
    }
    ns_per_op(hops, began)
}

async fn broadcast<R: Futures>(rounds: u64) -> Figures {
    const LISTENERS: usize = 1_000;
    let (heard, mut hears) = R::channel::<u64>(LISTENERS);
    let listen = |_| {
        let ((tell, mut told), heard) = (R::channel::<u64>(1), heard.clone());
        R::detach(R::spawn(async move {
            while let Some(value) = R::recv(&mut told).await {
                R::send(&heard, value).await;
            }
        }));
        tell
    };
    let listeners: Vec<_> = (0..LISTENERS).map(listen).collect();
    let speaker = R::spawn(async move {
        let mut began = Instant::now();
        for value in 0..rounds / 10 + rounds {
            if value == rounds / 10 {
                began = Instant::now();
            }
            for tell in &listeners {
                R::send(tell, value).await;
            }
            for _ in 0..LISTENERS {
                assert_eq!(R::recv(&mut hears).await, Some(value));
            }
        }
        ns_per_op(rounds * LISTENERS as u64, began)
    });
    R::join(speaker).await
}

const BUSY: Duration = Duration::from_micros(100);
const PAIRS: usize = 4;

async fn busy_maker<R: Futures>(round_trips: u64) -> Figures {
    let pair = |_| {
        let (ping, mut pinged) = R::channel::<u64>(1);
        let (pong, mut ponged) = R::channel::<u64>(1);
        let (start, mut started) = R::channel::<()>(1);
        R::detach(R::spawn(async move {
            while let Some(value) = R::recv(&mut pinged).await {
                R::send(&pong, value).await;
            }
        }));
        compute(BUSY);
        let player = R::spawn(async move {
            assert_eq!(R::recv(&mut started).await, Some(()));
            for value in 0..round_trips {
                R::send(&ping, value).await;
                assert_eq!(R::recv(&mut ponged).await, Some(value));
            }
        });
        compute(BUSY);
        (start, player)
    };
    let (starts, players): (Vec<_>, Vec<_>) = (0..PAIRS).map(pair).unzip();
    let began = Instant::now();
    for start in &starts {
        R::send(start, ()).await;
    }
    join_all::<R, ()>(players).await;
    ns_per_op(PAIRS as u64 * round_trips, began)
}

async fn light<R: Futures>(every: Duration) -> Figures {
    let load = Load::begin();
    let (first, mut sent) = R::channel::<Instant>(16);
    let (second, mut relayed) = R::channel::<Instant>(16);
    R::detach(R::spawn(async move {
        while let Some(began) = R::recv(&mut sent).await {
            R::send(&second, began).await;
        }
    }));
    let last = R::spawn(async move {
        let mut took = Vec::new();
        while let Some(began) = R::recv(&mut relayed).await {
            took.push(began.elapsed().as_nanos() as u64);
        }
        took
    });
    thread::spawn(move || {
        while load.lasts() {
            thread::sleep(every);
            R::send_outside(&first, Instant::now());
        }
    });
    load.figures(R::join(last).await)
}

async fn sleepers<R: Futures>() -> Figures {
    let load = Load::begin();
    let sleep = |_| {
        R::spawn(async move {
            let mut late = Vec::new();
            while load.lasts() {
                let deadline = Instant::now() + Duration::from_millis(1);
                R::sleep_until(deadline).await;
                late.push(deadline.elapsed().as_nanos() as u64);
            }
            late
        })
    };
    let all = (0..4).map(sleep).collect();
    load.figures(join_all::<R, Vec<u64>>(all).await.concat())
}
