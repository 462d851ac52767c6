//! Goroutines that keep their threads, or take long turns, beside those that serve, sleep, poll or
//! take short turns. Nobody says beforehand which is which.

use std::mem;

use super::{MS, Outcome, S, US, outcome, worker};
use crate::gmp::g::{Chan, Me, NOTHING, Op, Script};
use crate::gmp::world::{Config, World};
use crate::proc::events::run;
use crate::proc::spawn::{beside, foreign, go, go_migratory, lend};

/// What a goroutine does that keeps its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hog {
    Computes,
    Blocks,
    /// It computes for 3 ms between its yields.
    InPieces,
    /// The same after two short turns, so that its call site counts as one that talks.
    InPiecesLater,
}

/// When the goroutines begin that keep their threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Before those that serve.
    Before,
    After,
    /// After those that serve, and others of their kind have ended before that.
    Known,
}

/// Keeps its thread until then.
fn keeps(hog: Hog, until: u64) -> impl Script {
    let (mut turns, mut yields) = (0, false);
    move |me: &mut Me<'_>| match hog {
        _ if me.now >= until => Op::End,
        Hog::Computes => Op::Compute(MS),
        Hog::Blocks => Op::Block(5 * MS),
        Hog::InPieces | Hog::InPiecesLater => {
            yields = !yields;
            turns += u32::from(yields);
            match (yields, hog) {
                (false, _) => Op::Yield,
                (true, Hog::InPiecesLater) if turns <= 2 => Op::Compute(US),
                (true, _) => Op::Compute(3 * MS),
            }
        }
    }
}

/// Four goroutines that serve, and `hogs` that keep their threads. A callback each 3 ms asks for an
/// answer.
pub(crate) fn service(config: Config, hog: Hog, hogs: usize, begin: Begin) -> Outcome {
    let mut world = World::new(config);
    let (requests, answer) = (world.channel(16), world.channel(1));
    let pause = 50 * MS;
    let start_hogs = |world: &mut World, until| {
        (0..hogs).for_each(|_| go(world, keeps(hog, until)));
        let now = world.now;
        run(world, now + pause);
    };
    match begin {
        Begin::Before => start_hogs(&mut world, 2 * S),
        Begin::After => {}
        Begin::Known => {
            start_hogs(&mut world, 20 * MS);
            run(&mut world, 500 * MS);
        }
    }
    (0..4).for_each(|_| go(&mut world, worker(requests, vec![answer])));
    let now = world.now;
    run(&mut world, now + pause);
    if begin != Begin::Before {
        start_hogs(&mut world, 2 * S);
    }
    foreign(&mut world, visitor(requests, answer));
    let now = world.now;
    run(&mut world, now + S);
    outcome(world, "callbacks", "a callback")
}

/// Two bursts of 50 goroutines that a thread makes beside `hogs` that keep their threads.
pub(crate) fn bursts(config: Config, hog: Hog, hogs: usize, migratory: bool) -> Outcome {
    let mut world = World::new(config);
    for _ in 0..hogs {
        if migratory {
            go_migratory(&mut world, keeps(hog, 2 * S));
        } else {
            go(&mut world, keeps(hog, 2 * S));
        }
    }
    for _ in 0..2 {
        let made = world.now + 50 * MS;
        run(&mut world, made);
        for _ in 0..50 {
            go(&mut world, move |me: &mut Me<'_>| {
                me.totals.took("to begin", me.now - made);
                me.totals.count("begun");
                Op::End
            });
        }
    }
    run(&mut world, S);
    outcome(world, "begun", "to begin")
}

/// A C thread that sleeps between its callbacks.
fn visitor(requests: Chan, answer: Chan) -> impl Script {
    let (mut step, mut entered) = (0_u64, 0);
    move |me: &mut Me<'_>| {
        step += 1;
        match step % 3 {
            1 => {
                if step > 1 {
                    me.totals.took("a callback", me.now - entered);
                    me.totals.count("callbacks");
                }
                Op::Sleep(3 * MS)
            }
            2 => {
                entered = me.now;
                Op::Send(requests, 0)
            }
            _ => Op::Recv(answer),
        }
    }
}

/// The root of a lent thread makes a goroutine for each P that keeps its thread for 300 ms, and
/// then sleeps for 10 ms at a time.
pub(crate) fn root(config: Config, hog: Hog) -> Outcome {
    let mut world = World::new(config);
    let (mut left, mut slept_at) = (config.procs, None);
    let _m = lend(&mut world, move |me: &mut Me<'_>| {
        if left > 0 {
            left -= 1;
            return Op::Go(Box::new(keeps(hog, 300 * MS)));
        }
        if let Some(slept_at) = slept_at.replace(me.now) {
            me.totals.took("a sleep", me.now - slept_at);
            me.totals.count("sleeps");
        }
        Op::Sleep(10 * MS)
    });
    run(&mut world, 400 * MS);
    outcome(world, "sleeps", "a sleep")
}

/// On an M for each P, a pair with turns of `short` ns, and one with turns of `long` ns.
pub(crate) fn turns_of(config: Config, short: u64, long: u64, until: u64) -> Outcome {
    let mut world = World::new(config);
    for _ in 0..config.procs {
        let channels = |world: &mut World| (world.channel(0), world.channel(0));
        let of_short = channels(&mut world);
        let m = lend(&mut world, asks(of_short, short, SHORT));
        beside(&mut world, m, answers(of_short, short));
        let of_long = channels(&mut world);
        beside(&mut world, m, asks(of_long, long, LONG));
        beside(&mut world, m, answers(of_long, long));
    }
    run(&mut world, until);
    outcome(world, SHORT, SHORT)
}

/// For each P, a pair with turns of `short` ns on an M, and one with turns of `long` ns on another.
pub(crate) fn turns_apart(config: Config, short: u64, long: u64, until: u64) -> Outcome {
    let mut world = World::new(config);
    for _ in 0..config.procs {
        for (turn, what) in [(short, SHORT), (long, LONG)] {
            let channels = (world.channel(0), world.channel(0));
            let m = lend(&mut world, asks(channels, turn, what));
            beside(&mut world, m, answers(channels, turn));
        }
    }
    run(&mut world, until);
    outcome(world, SHORT, SHORT)
}

/// Round trips of the pairs with short turns, and with long ones.
pub(crate) const SHORT: &str = "short round trips";
/// See [`SHORT`].
pub(crate) const LONG: &str = "long round trips";

fn asks((ping, pong): (Chan, Chan), turn: u64, what: &'static str) -> impl Script {
    let (mut step, mut sent) = (0_u64, 0);
    move |me: &mut Me<'_>| {
        step += 1;
        match step % 3 {
            1 => {
                if step > 1 {
                    me.totals.took(what, me.now - sent);
                    me.totals.count(what);
                }
                sent = me.now;
                Op::Compute(turn)
            }
            2 => Op::Send(ping, 0),
            _ => Op::Recv(pong),
        }
    }
}

fn answers((ping, pong): (Chan, Chan), turn: u64) -> impl Script {
    let mut step = 0_u64;
    move |_: &mut Me<'_>| {
        step += 1;
        match step % 3 {
            1 => Op::Recv(ping),
            2 => Op::Compute(turn),
            _ => Op::Send(pong, 0),
        }
    }
}

/// A goroutine makes four pairs that talk in turns of a microsecond, and after each of the first
/// two one that computes for 200 ms.
pub(crate) fn mix(config: Config) -> Outcome {
    let mut world = World::new(config);
    let pairs = [(); 4].map(|()| (world.channel(0), world.channel(0)));
    let mut makes = pairs
        .iter()
        .enumerate()
        .flat_map(|(pair, channels)| {
            let answers: Box<dyn Script> = Box::new(answers(*channels, US));
            let asks: Box<dyn Script> = Box::new(asks(*channels, US, SHORT));
            let hog: Option<Box<dyn Script>> =
                (pair < 2).then(|| Box::new(keeps(Hog::Computes, 200 * MS)) as _);
            [Some(answers), Some(asks), hog]
        })
        .flatten()
        .collect::<Vec<_>>()
        .into_iter();
    go(&mut world, move |_: &mut Me<'_>| makes.next().map_or(Op::Stay, Op::Go));
    run(&mut world, 300 * MS);
    outcome(world, SHORT, SHORT)
}

/// For each P, four workers and room for four jobs of 20 us; one goroutine makes all of them and
/// the jobs.
pub(crate) fn pool(config: Config) -> Outcome {
    let mut world = World::new(config);
    let size = 4 * config.procs;
    let jobs = world.channel(size);
    let mut made = 0;
    go(&mut world, move |_: &mut Me<'_>| {
        made += 1;
        if made <= size { Op::Go(Box::new(pool_worker(jobs))) } else { Op::Send(jobs, 0) }
    });
    run(&mut world, 100 * MS);
    outcome(world, JOBS, JOBS)
}

/// The jobs that a pool has done.
pub(crate) const JOBS: &str = "jobs";
/// How long a job of a pool takes.
pub(crate) const JOB: u64 = 20 * US;

fn pool_worker(jobs: Chan) -> impl Script {
    let (mut takes, mut took) = (false, false);
    move |me: &mut Me<'_>| {
        takes = !takes;
        if takes {
            if mem::replace(&mut took, true) {
                me.totals.count(JOBS);
            }
            return Op::Recv(jobs);
        }
        Op::Compute(JOB)
    }
}

/// On an M for each P, a goroutine that tries to receive until there is something, and one that
/// sends it the next item when it has had the last.
pub(crate) fn polling(config: Config) -> Outcome {
    let mut world = World::new(config);
    for _ in 0..config.procs {
        let (items, had) = (world.channel(1), world.channel(1));
        let (mut tries, mut since) = (true, 0);
        let m = lend(&mut world, move |me: &mut Me<'_>| {
            if tries && me.received != NOTHING && since > 0 {
                me.totals.took("a poll", me.now - since);
                me.totals.count("items");
                (tries, since) = (false, me.now);
                return Op::Send(had, 0);
            }
            (tries, since) = (true, if since == 0 { me.now } else { since });
            Op::TryRecv(items)
        });
        let mut sends = false;
        beside(&mut world, m, move |_: &mut Me<'_>| {
            sends = !sends;
            if sends { Op::Send(items, 0) } else { Op::Recv(had) }
        });
    }
    // The more Ps, the more happens at a time.
    run(&mut world, 60 * MS);
    outcome(world, "items", "a poll")
}
