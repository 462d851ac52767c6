//! The shapes of programs that placement gets wrong, and light load, in blocking style.

use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use super::measure::{Figures, Load, compute, ns_per_op, orders};
use super::stackful::Stackful;

/// Runs the workload. The caller is a goroutine. `None` if it is none of these workloads.
pub(crate) fn run<R: Stackful>(r: &R, workload: &str) -> Option<Figures> {
    let figures = match workload {
        "pipeline" => pipeline(r, 100_000),
        "reqreply" => any_order(r, 1_000),
        "ring" => ring(r, 500_000),
        "broadcast" => broadcast(r, 200),
        "busy_maker" => busy_maker(r, 25_000),
        "light1ms" => light::<R>(Duration::from_millis(1)),
        "light200us" => light::<R>(Duration::from_micros(200)),
        "light100us" => light::<R>(Duration::from_micros(100)),
        "light_sleep" => sleepers::<R>(),
        _ => return None,
    };
    Some(figures)
}

/// A source, eight stages and a sink, in a line.
fn pipeline<R: Stackful>(r: &R, items: u64) -> Figures {
    const STAGES: usize = 8;
    let began = Instant::now();
    let (source, mut out) = R::channel::<u64>(16);
    for stage in 0..STAGES {
        let (next, further) = R::channel(16);
        let from = mem::replace(&mut out, further);
        drop(r.go_at(stage, move || {
            while let Some(value) = R::recv(&from) {
                R::send(&next, value + 1);
            }
        }));
    }
    drop(r.go_at(0, move || (0..items).for_each(|value| R::send(&source, value))));
    let sink = r.go_at(STAGES - 1, move || {
        let mut sum = 0;
        while let Some(value) = R::recv(&out) {
            sum += value;
        }
        sum
    });
    assert_eq!(R::join(sink), (0..items).sum::<u64>() + items * STAGES as u64);
    ns_per_op(items, began)
}

const CLIENTS: usize = 64;
const SERVERS: usize = 4;

/// Clients ask servers, each client its own. The figure is that of the slowest of three orders in
/// which they are made.
fn any_order<R: Stackful>(r: &R, each: u64) -> Figures {
    let took = orders(SERVERS + CLIENTS).map(|order| ask_and_answer(r, &order, each));
    vec![("ns_per_op", took.into_iter().fold(0.0, f64::max))]
}

/// Makes them in that order, the servers being the first numbers. Returns the nanoseconds of each
/// request.
fn ask_and_answer<R: Stackful>(r: &R, order: &[usize], each: u64) -> f64 {
    let (asks, mut asked): (Vec<_>, Vec<_>) = (0..SERVERS)
        .map(|_| R::channel::<(u64, R::Sender<u64>)>(16))
        .map(|(ask, asked)| (ask, Some(asked)))
        .unzip();
    let began = Instant::now();
    let make = |&member: &usize| match asked.get_mut(member).and_then(Option::take) {
        Some(asked) => r.go_at(member, move || {
            while let Some((value, reply)) = R::recv(&asked) {
                R::send(&reply, value + 1);
            }
        }),
        None => {
            let ask = asks[member % SERVERS].clone();
            r.go_at(member, move || {
                let (reply, replied) = R::channel::<u64>(1);
                for value in 0..each {
                    R::send(&ask, (value, reply.clone()));
                    assert_eq!(R::recv(&replied), Some(value + 1));
                }
            })
        }
    };
    let all: Vec<_> = order.iter().map(make).collect();
    drop(asks);
    all.into_iter().for_each(R::join);
    began.elapsed().as_nanos() as f64 / (CLIENTS as u64 * each) as f64
}

/// Each actor hands a number to the next actor, one less each time, until it is 0.
fn ring<R: Stackful>(r: &R, hops: u64) -> Figures {
    const ACTORS: usize = 503;
    let (done, ended) = R::channel::<()>(1);
    let (mut boxes, sources): (Vec<_>, Vec<_>) = (0..ACTORS).map(|_| R::channel::<u64>(1)).unzip();
    let first = boxes[0].clone();
    boxes.rotate_left(1);
    for (place, (next, from)) in boxes.into_iter().zip(sources).enumerate() {
        let done = done.clone();
        drop(r.go_at(place, move || {
            while let Some(left) = R::recv(&from) {
                match left {
                    0 => R::send(&done, ()),
                    _ => R::send(&next, left - 1),
                }
            }
        }));
    }
    let lap = |hops| {
        R::send(&first, hops);
        assert_eq!(R::recv(&ended), Some(()));
    };
    lap(hops / 10);
    let began = Instant::now();
    lap(hops);
    ns_per_op(hops, began)
}

/// One goroutine sends a value to each of a thousand, and waits until each has said that it has it.
fn broadcast<R: Stackful>(r: &R, rounds: u64) -> Figures {
    const LISTENERS: usize = 1_000;
    let (heard, hears) = R::channel::<u64>(LISTENERS);
    let listeners: Vec<_> = (0..LISTENERS)
        .map(|place| {
            let ((tell, told), heard) = (R::channel::<u64>(1), heard.clone());
            drop(r.go_at(place, move || {
                while let Some(value) = R::recv(&told) {
                    R::send(&heard, value);
                }
            }));
            tell
        })
        .collect();
    let speaker = r.go_at(0, move || {
        let speak = |rounds| {
            for value in 0..rounds {
                listeners.iter().for_each(|tell| R::send(tell, value));
                (0..LISTENERS).for_each(|_| assert_eq!(R::recv(&hears), Some(value)));
            }
        };
        speak(rounds / 10);
        let began = Instant::now();
        speak(rounds);
        ns_per_op(rounds * LISTENERS as u64, began)
    });
    R::join(speaker)
}

/// How long the maker computes after each goroutine that it makes.
const BUSY: Duration = Duration::from_micros(100);
const PAIRS: usize = 4;

/// Four pairs play ping-pong. Their maker computes after each of the eight; then they begin to
/// play.
fn busy_maker<R: Stackful>(r: &R, round_trips: u64) -> Figures {
    let pair = |pair: usize| {
        let (ping, pinged) = R::channel::<u64>(0);
        let (pong, ponged) = R::channel::<u64>(0);
        let (start, started) = R::channel::<()>(1);
        drop(r.go_at(2 * pair, move || {
            while let Some(value) = R::recv(&pinged) {
                R::send(&pong, value);
            }
        }));
        compute(BUSY);
        let player = r.go_at(2 * pair + 1, move || {
            assert_eq!(R::recv(&started), Some(()));
            for value in 0..round_trips {
                R::send(&ping, value);
                assert_eq!(R::recv(&ponged), Some(value));
            }
        });
        compute(BUSY);
        (start, player)
    };
    let pairs: Vec<_> = (0..PAIRS).map(pair).collect();
    let began = Instant::now();
    pairs.iter().for_each(|(start, _)| R::send(start, ()));
    pairs.into_iter().for_each(|(_, player)| R::join(player));
    ns_per_op(PAIRS as u64 * round_trips, began)
}

/// A thread that is no worker sends a value again and again, through one goroutine to another.
fn light<R: Stackful>(every: Duration) -> Figures {
    let load = Load::begin();
    let (first, sent) = R::channel::<Instant>(16);
    let (second, relayed) = R::channel::<Instant>(16);
    drop(R::go(move || {
        while let Some(began) = R::recv(&sent) {
            R::send(&second, began);
        }
    }));
    let last = R::go(move || {
        let mut took = Vec::new();
        while let Some(began) = R::recv(&relayed) {
            took.push(began.elapsed().as_nanos() as u64);
        }
        took
    });
    thread::spawn(move || {
        while load.lasts() {
            thread::sleep(every);
            R::send(&first, Instant::now());
        }
    });
    load.figures(R::join(last))
}

/// Four goroutines sleep for a millisecond, again and again.
fn sleepers<R: Stackful>() -> Figures {
    let load = Load::begin();
    let sleep = move || {
        let mut late = Vec::new();
        while load.lasts() {
            let deadline = Instant::now() + Duration::from_millis(1);
            R::sleep_until(deadline);
            late.push(deadline.elapsed().as_nanos() as u64);
        }
        late
    };
    let all = [(); 4].map(|()| R::go(sleep));
    load.figures(all.into_iter().flat_map(R::join).collect())
}
