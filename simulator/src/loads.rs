//! The loads: programs of the kinds that schedulers handle badly.

pub(crate) mod apart;

use std::rc::Rc;

use crate::cost;
use crate::gmp::g::{Chan, Me, Op, Script};
use crate::gmp::world::{Config, World};
use crate::proc::events::run;
use crate::proc::set_procs::set_procs;
use crate::proc::spawn::{foreign, go, go_migratory};
use crate::proc::sysmon::{BLOCKED, COMPUTING};
use crate::report::{Times, Totals};

pub(crate) const US: u64 = 1_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const S: u64 = 1_000_000_000;

/// The result of a load.
pub(crate) struct Outcome {
    /// What was counted, and its rate per second.
    pub(crate) counted: &'static str,
    pub(crate) per_second: u64,
    /// What was timed.
    pub(crate) timed: &'static str,
    pub(crate) times: Times,
    pub(crate) totals: Totals,
    /// The most threads of the runtime at one time, and those at the end.
    pub(crate) threads: usize,
    pub(crate) threads_left: usize,
    /// Settled goroutines of the resident M with the most, in percent of the resident M with the
    /// fewest.
    pub(crate) spread: Option<usize>,
    /// When all work was done.
    pub(crate) done_at: u64,
}

impl Outcome {
    /// Returns how many Ps sysmon revoked.
    pub(crate) fn retaken(&self) -> u64 {
        self.totals.counted(BLOCKED) + self.totals.counted(COMPUTING)
    }
}

/// Counts what happens until then, times something, and gives both.
fn outcome(world: World, counted: &'static str, timed: &'static str) -> Outcome {
    let done_at = world.totals.times("done at").max();
    let ran = if done_at > 0 { done_at } else { world.now };
    let per_second =
        u128::from(world.totals.counted(counted)) * u128::from(S) / u128::from(ran.max(1));
    let foreign = world.gs.iter().filter(|g| g.thread.is_some()).count();
    let settled = (0..world.procs).filter_map(|m| world.ms.get(m)).map(|m| m.settled);
    let least = settled.clone().min().filter(|_| world.ms.len() >= world.procs);
    Outcome {
        counted,
        per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
        timed,
        times: world.totals.times(timed),
        threads: world.os.most_alive - foreign,
        threads_left: world.os.alive() - foreign,
        spread: least
            .filter(|least| *least > 0)
            .map(|least| settled.max().unwrap_or(0) * 100 / least),
        totals: world.totals,
        done_at,
    }
}

/// Does one operation after the other, then ends.
fn sequence(mut ops: Vec<Op>) -> impl Script {
    ops.reverse();
    move |_: &mut Me<'_>| ops.pop().unwrap_or(Op::End)
}

/// Runs `n` scripts, made by one goroutine.
fn parent(n: usize, mut child: impl FnMut(usize) -> Box<dyn Script> + 'static) -> impl Script {
    let mut made = 0;
    move |_: &mut Me<'_>| {
        made += 1;
        if made > n { Op::End } else { Op::Go(child(made - 1)) }
    }
}

/// Sleeps for a millisecond at a time, and notes how long each sleep took.
fn ticker() -> impl Script {
    let mut last = None;
    move |me: &mut Me<'_>| {
        if let Some(last) = last {
            me.totals.took("a ticker's gap", me.now - last);
        }
        last = Some(me.now);
        Op::Sleep(MS)
    }
}

/// Spawns a goroutine every few milliseconds. That goroutine notes how long it took to start.
fn starter(every: u64) -> impl Script {
    let mut sleeps = false;
    move |me: &mut Me<'_>| {
        sleeps = !sleeps;
        if sleeps {
            return Op::Sleep(me.rng.around(every));
        }
        Op::Go(newcomer(me.now))
    }
}

fn newcomer(made: u64) -> Box<dyn Script> {
    Box::new(move |me: &mut Me<'_>| {
        me.totals.took("a beginning", me.now - made);
        Op::End
    })
}

/// `n` goroutines that compute for 2 s without a call; a ticker; and others that want to start. The
/// ticker is migratory, because a ticker that is settled on the M of a hog waits for the hog.
pub(crate) fn hogs(config: Config, n: usize) -> Outcome {
    let mut world = World::new(config);
    go_migratory(&mut world, ticker());
    go_migratory(&mut world, starter(5 * MS));
    run(&mut world, 20 * MS);
    go(&mut world, parent(n, |_| Box::new(sequence(vec![Op::Compute(2 * S)]))));
    run(&mut world, 3 * S);
    outcome(world, "looks", "a ticker's gap")
}

/// Goroutines that yield and do nothing else, four for each P, and others that want to start.
pub(crate) fn yields(config: Config) -> Outcome {
    let mut world = World::new(config);
    let yielder = |me: &mut Me<'_>| {
        me.totals.count("yields");
        Op::Yield
    };
    go(&mut world, parent(4 * config.procs, move |_| Box::new(yielder)));
    go_migratory(&mut world, starter(300 * US));
    // The more Ps, the more happens at a time.
    run(&mut world, (128 * MS / config.procs as u64).clamp(4 * MS, 20 * MS));
    outcome(world, "yields", "a beginning")
}

/// Goroutines whose operations succeed at once, four for each P, so that none suspends by itself;
/// and others, spawned from outside, that want to start.
pub(crate) fn never_wait(config: Config) -> Outcome {
    let mut world = World::new(config);
    let loops = 4 * config.procs;
    let channels: Vec<Chan> = (0..loops).map(|_| world.channel(1)).collect();
    go(
        &mut world,
        parent(loops, move |n| {
            let (channel, mut step, mut last) = (channels[n], 0_u64, None);
            Box::new(move |me: &mut Me<'_>| {
                step += 1;
                match step % 3 {
                    1 => {
                        if let Some(last) = last.replace(me.now) {
                            me.totals.took("a turn", me.now - last);
                        }
                        me.totals.count("turns");
                        Op::Compute(me.rng.around(20 * US))
                    }
                    2 => Op::Send(channel, 0),
                    _ => Op::Recv(channel),
                }
            })
        }),
    );
    for n in 1..=50 {
        run(&mut world, n * 10 * MS);
        let made = world.now;
        go(&mut world, move |me: &mut Me<'_>| newcomer(made).next(me));
    }
    outcome(world, "turns", "a turn")
}

/// Goroutines that compute and yield, four for each P of the beginning. Meanwhile the number of Ps
/// becomes one, then twice the first number, then the first number. Beside them are a hog, whose P
/// is revoked, and a ticker.
pub(crate) fn resized(config: Config) -> Outcome {
    let mut world = World::new(config);
    go_migratory(&mut world, ticker());
    let works = |_: usize| -> Box<dyn Script> {
        let mut yields = true;
        Box::new(move |me: &mut Me<'_>| {
            yields = !yields;
            if yields {
                return Op::Yield;
            }
            me.totals.count("pieces");
            Op::Compute(me.rng.around(200 * US))
        })
    };
    go(&mut world, parent(4 * config.procs, works));
    go(&mut world, sequence(vec![Op::Compute(S)]));
    let (mut now, mut before) = (0, 0);
    for procs in [config.procs, 1, 2 * config.procs, config.procs] {
        set_procs(&mut world, procs);
        now += 100 * MS;
        run(&mut world, now);
        let pieces = world.totals.counted("pieces");
        world.totals.took("pieces in 100 ms", pieces - before);
        before = pieces;
        world.totals.took("Ps too many", world.in_use().abs_diff(procs) as u64);
    }
    outcome(world, "pieces", "a ticker's gap")
}

/// One goroutine that spawns long-lived goroutines, 1000 for each P.
pub(crate) fn acceptor(config: Config) -> Outcome {
    let mut world = World::new(config);
    let mut left = 1000 * config.procs;
    let mut accepts = false;
    go(&mut world, move |me: &mut Me<'_>| {
        accepts = !accepts;
        if accepts {
            return Op::Compute(me.rng.around(US));
        }
        if left == 0 {
            return Op::End;
        }
        left -= 1;
        let made = me.now;
        Op::Go(Box::new(move |me: &mut Me<'_>| {
            me.totals.took("a beginning", me.now - made);
            me.totals.took("done at", me.now);
            me.totals.count("children");
            Op::Stay
        }))
    });
    run(&mut world, 10 * S);
    outcome(world, "children", "a beginning")
}

/// Goroutines that spawn another one and end, on each P. Before them come a hundred that want to
/// start and are never the newest.
pub(crate) fn flood(config: Config) -> Outcome {
    let mut world = World::new(config);
    let (waiting, chains) = (100, 2 * config.procs);
    // All goroutines are spawned in the first microseconds.
    go(
        &mut world,
        parent(waiting + chains, move |n| if n < waiting { newcomer(0) } else { link() }),
    );
    run(&mut world, 200 * MS);
    outcome(world, "links", "a beginning")
}

/// Computes, spawns the next one, and ends.
fn link() -> Box<dyn Script> {
    let mut step = 0;
    Box::new(move |me: &mut Me<'_>| {
        step += 1;
        match step {
            1 => Op::Compute(me.rng.around(2 * US)),
            2 => Op::Go(link()),
            _ => {
                me.totals.count("links");
                Op::End
            }
        }
    })
}

/// A tree of goroutines. Each waits for the two that it has spawned.
pub(crate) fn fork_join(config: Config, depth: u32) -> Outcome {
    let mut world = World::new(config);
    let results: Vec<Chan> = (0..1 << (depth + 1)).map(|_| world.channel(2)).collect();
    go(&mut world, node(1, results.into()));
    run(&mut world, 10 * S);
    outcome(world, "goroutines", "a beginning")
}

fn node(at: usize, results: Rc<[Chan]>) -> impl Script {
    let mut step = 0;
    move |me: &mut Me<'_>| {
        step += 1;
        if 2 * at + 1 >= results.len() {
            return match step {
                1 => Op::Compute(me.rng.around(500)),
                2 => Op::Send(results[at / 2], 0),
                _ => ended(me),
            };
        }
        match step {
            1 | 2 => Op::Go(Box::new(node(2 * at + step - 1, results.clone()))),
            3 | 4 => Op::Recv(results[at]),
            5 if at > 1 => Op::Send(results[at / 2], 0),
            _ => ended(me),
        }
    }
}

fn ended(me: &mut Me<'_>) -> Op {
    me.totals.count("goroutines");
    me.totals.took("done at", me.now);
    Op::End
}

/// Four pairs for each P that send each other an item back and forth.
pub(crate) fn pairs(config: Config) -> Outcome {
    let mut world = World::new(config);
    let pairs = 4 * config.procs;
    let ends: Vec<(Chan, Chan)> =
        (0..pairs).map(|_| (world.channel(0), world.channel(0))).collect();
    go(&mut world, parent(pairs, move |n| Box::new(pinger(ends[n]))));
    run(&mut world, (128 * MS / config.procs as u64).clamp(4 * MS, 20 * MS));
    outcome(world, "round trips", "a round trip")
}

fn pinger((ping, pong): (Chan, Chan)) -> impl Script {
    let mut step = 0_u64;
    let mut sent = 0;
    move |me: &mut Me<'_>| {
        step += 1;
        if step == 1 {
            let mut receives = false;
            return Op::Go(Box::new(move |_: &mut Me<'_>| {
                receives = !receives;
                if receives { Op::Recv(ping) } else { Op::Send(pong, 0) }
            }));
        }
        if step % 2 == 1 {
            return Op::Recv(pong);
        }
        if step > 2 {
            me.totals.took("a round trip", me.now - sent);
            me.totals.count("round trips");
        }
        sent = me.now;
        Op::Send(ping, 0)
    }
}

/// 32 goroutines for each P, which come from outside. Each spawns a helper and sends it 500 items.
/// It sends an item after the answer to the last one.
pub(crate) fn helpers(config: Config) -> Outcome {
    let mut world = World::new(config);
    for _ in 0..32 * config.procs {
        let (ping, pong) = (world.channel(0), world.channel(0));
        let (mut pings, mut step) = (pinger((ping, pong)), 0);
        go(&mut world, move |me: &mut Me<'_>| {
            step += 1;
            if step > 1 + 2 * 500 { ended(me) } else { pings.next(me) }
        });
    }
    run(&mut world, S);
    outcome(world, "round trips", "a round trip")
}

/// 32 goroutines for each P that block for 20 ms at the same time, with `blocking` or without; a
/// ticker beside them.
pub(crate) fn blocking(config: Config, says_so: bool) -> Outcome {
    let mut world = World::new(config);
    go_migratory(&mut world, ticker());
    run(&mut world, 20 * MS);
    let began = world.now;
    let blocks = move || -> Box<dyn Script> {
        let mut step = 0;
        Box::new(move |me: &mut Me<'_>| {
            step += 1;
            match step {
                1 if says_so => Op::Blocking(20 * MS),
                1 => Op::Block(20 * MS),
                _ => {
                    me.totals.count("calls");
                    me.totals.took("done at", me.now - began);
                    Op::End
                }
            }
        })
    };
    go(&mut world, parent(32 * config.procs, move |_| blocks()));
    run(&mut world, 3 * S);
    outcome(world, "calls", "a ticker's gap")
}

/// Two C threads for each P, whose callbacks ask a goroutine for an answer; and, `with_hogs`, as
/// many hogs as there are Ps.
pub(crate) fn callbacks(config: Config, with_hogs: bool) -> Outcome {
    let mut world = World::new(config);
    let requests = world.channel(64);
    let callers = 2 * config.procs;
    let answers: Vec<Chan> = (0..callers).map(|_| world.channel(1)).collect();
    let workers = answers.clone();
    go(&mut world, parent(2 * config.procs, move |_| Box::new(worker(requests, workers.clone()))));
    run(&mut world, 5 * MS);
    if with_hogs {
        go(&mut world, parent(config.procs, |_| Box::new(sequence(vec![Op::Compute(S)]))));
    }
    for (caller, answer) in answers.into_iter().enumerate() {
        foreign(&mut world, callback(caller as u64, requests, answer));
    }
    run(&mut world, if with_hogs { 300 * MS } else { 50 * MS });
    outcome(world, "callbacks", "a callback")
}

/// Migratory goroutines that answer callbacks, which wake them without a P, and for each P two that
/// compute for 3 ms between their yields.
pub(crate) fn woken_outside(config: Config) -> Outcome {
    let mut world = World::new(config);
    let requests = world.channel(64);
    let answers: Vec<Chan> = (0..2 * config.procs).map(|_| world.channel(1)).collect();
    for _ in 0..4 * config.procs {
        go_migratory(&mut world, worker(requests, answers.clone()));
    }
    run(&mut world, 5 * MS);
    for _ in 0..2 * config.procs {
        go_migratory(&mut world, in_pieces(3 * MS));
    }
    for (caller, answer) in answers.into_iter().enumerate() {
        foreign(&mut world, callback(caller as u64, requests, answer));
    }
    run(&mut world, S);
    outcome(world, "callbacks", "a callback")
}

/// Computes for so long between two yields.
fn in_pieces(piece: u64) -> impl Script {
    let mut computes = false;
    move |_: &mut Me<'_>| {
        computes = !computes;
        if computes { Op::Compute(piece) } else { Op::Yield }
    }
}

fn worker(requests: Chan, answers: Vec<Chan>) -> impl Script {
    let mut step = 0_u64;
    move |me: &mut Me<'_>| {
        step += 1;
        match step % 3 {
            1 => Op::Recv(requests),
            2 => Op::Compute(me.rng.around(US)),
            // A received value stays until the next receive.
            _ => Op::Send(answers[me.received as usize], 0),
        }
    }
}

fn callback(caller: u64, requests: Chan, answer: Chan) -> impl Script {
    let mut step = 0_u64;
    let mut entered = 0;
    move |me: &mut Me<'_>| {
        step += 1;
        match step % 3 {
            1 => {
                if step > 1 {
                    me.totals.took("a callback", me.now - entered);
                    me.totals.count("callbacks");
                }
                // In C.
                Op::Compute(me.rng.around(20 * US) + cost::ENTER)
            }
            2 => {
                entered = me.now;
                Op::Send(requests, caller)
            }
            _ => Op::Recv(answer),
        }
    }
}
