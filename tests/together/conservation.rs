//! Conservation: whatever is cancelled, fails or panics, each goroutine of a set, scope or group
//! has one outcome, and nothing of it is left.
//!
//! `GOSCHED_SEED` repeats the choices.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use gosched::cancel::Token;
use gosched::future::block_on;
use gosched::{Group, JoinError, JoinSet, Runtime, go, scope_try, time, yield_now};
use test_support::modes;

/// xorshift64*
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = env::var("GOSCHED_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("GOSCHED_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

/// Counts those that are alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What a goroutine does: returns, fails, panics, waits.
fn work(what: u64, alive: Alive) -> Result<Alive, u64> {
    match what {
        0..8 => Ok(alive),
        8..14 => {
            yield_now();
            Ok(alive)
        }
        14..18 => {
            time::sleep(Duration::from_micros(what * 5));
            Ok(alive)
        }
        18 => Err(what),
        _ => resume_unwind(Box::new("a panic")),
    }
}

/// A token that is cancelled by another goroutine, soon or never.
fn cancelled_soon(random: &mut Random) -> Token {
    let token = Token::new();
    let (theirs, rounds) = (token.clone(), random.below(12));
    if rounds < 8 {
        go(move || {
            (0..rounds).for_each(|_| yield_now());
            theirs.cancel();
        });
    }
    token
}

type Joined = Result<Result<Alive, u64>, JoinError>;

fn join_one(set: &mut JoinSet<Result<Alive, u64>>, how: u64) -> Option<Joined> {
    match how {
        0 => set.join_next(),
        1 => set.try_join_next(),
        2 => set.join_next_timeout(Duration::from_micros(20)).ok().flatten(),
        _ => block_on(set.join_next_async()),
    }
}

/// Joins under tokens; each member has one outcome, joined here or dropped with the set.
fn set(random: &mut Random, count: &Arc<AtomicUsize>) {
    let (mut set, mut made, mut joined) = (JoinSet::new(), 0, 0);
    for _ in 0..6 {
        for _ in 0..random.below(6) {
            let (what, alive) = (random.below(20), Alive::new(count));
            set.spawn(move || work(what, alive));
            made += 1;
        }
        if random.below(4) == 0 {
            set.abort_all();
        }
        let token = cancelled_soon(random);
        let _cancelled_or_not = token.run(|| {
            for _ in 0..random.below(6) {
                joined += usize::from(join_one(&mut set, random.below(4)).is_some());
            }
        });
        assert_eq!(set.len(), made - joined, "an outcome was lost, or came twice");
    }
    if random.below(3) > 0 {
        while set.join_next().is_some() {
            joined += 1;
        }
        assert_eq!(joined, made, "an outcome was lost, or came twice");
    }
}

/// A scope in a token that is cancelled: when it is over, nothing of its goroutines is left.
fn scoped(random: &mut Random, count: &Arc<AtomicUsize>) {
    let before = count.load(Relaxed);
    let token = cancelled_soon(random);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        token.run(|| {
            scope_try(|s| {
                if random.below(2) == 0 {
                    s.set_limit(2);
                }
                let parts: Vec<_> = (0..random.below(8))
                    .map(|_| {
                        let (what, alive) = (random.below(20), Alive::new(count));
                        s.go(move || work(what, alive))
                    })
                    .collect();
                if random.below(2) == 0 {
                    parts.into_iter().for_each(|part| drop(part.join()));
                }
                Ok(())
            })
        })
    }));
    if let Err(payload) = outcome {
        assert!(payload.is::<&str>(), "it is the panic of a goroutine");
    }
    assert_eq!(count.load(Relaxed), before, "something is left of a goroutine");
}

fn group(random: &mut Random, count: &Arc<AtomicUsize>) {
    let before = count.load(Relaxed);
    let token = cancelled_soon(random);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        token.run(|| {
            let group = Group::new();
            if random.below(2) == 0 {
                group.set_limit(2);
            }
            for _ in 0..random.below(8) {
                let (what, alive) = (random.below(20), Alive::new(count));
                group.go(move || work(what, alive).map(drop));
            }
            if random.below(2) == 0 { group.wait() } else { block_on(group.wait_async()) }
        })
    }));
    // One that was dropped does not wait.
    let waited = outcome.as_ref().is_ok_and(Result::is_ok);
    if waited {
        assert_eq!(count.load(Relaxed), before, "something is left of a goroutine");
    }
    while count.load(Relaxed) > before {
        yield_now();
    }
}

#[test]
fn each_goroutine_has_one_outcome() {
    let mut random = Random::new();
    for mode in modes() {
        for procs in [1, 2, 4] {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            rt.run(|| {
                let count = Arc::new(AtomicUsize::new(0));
                for _ in 0..40 {
                    set(&mut random, &count);
                    while count.load(Relaxed) > 0 {
                        yield_now();
                    }
                    scoped(&mut random, &count);
                    group(&mut random, &count);
                }
            });
        }
    }
}
