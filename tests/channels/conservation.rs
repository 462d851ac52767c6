//! Conservation: whatever times out or is cancelled, each value is received once or comes back.
//!
//! `cargo xtask conserve` does it with ten million. The number of values, of all modes and numbers
//! of Ps together, can be set, as can the seed, which is printed:
//!
//! ```sh
//! cargo xtask conserve --items 10000000 --seed 1
//! ```

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use futures_lite::StreamExt;
use gosched::cancel::Token;
use gosched::chan::{self, Receiver, RecvTimeoutError, Select, Sender};
use gosched::future::block_on;
use gosched::time::timeout_async;
use gosched::{Cancelled, Runtime, go, select, select_async, select_biased};

use crate::waker;

const RECEIVED: u8 = 1;
const BACK: u8 = 16;
/// Values that a producer handles under one token.
const BATCH: usize = 64;
const PRODUCERS: usize = 4;

/// xorshift64*
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        let given = env::var("GOSCHED_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("GOSCHED_SEED={seed}");
        Self(seed | 1)
    }

    pub(crate) fn split(&mut self) -> Self {
        Self(self.below(u64::MAX) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }

    pub(crate) fn pause(&mut self) -> Duration {
        Duration::from_micros(self.below(30))
    }
}

/// What became of each value: how often it was received, and how often it came back.
pub(crate) type Ledger = Arc<Vec<AtomicU8>>;

/// Returns a ledger of so many values.
pub(crate) fn ledger(items: usize) -> Ledger {
    Arc::new((0..items).map(|_| AtomicU8::new(0)).collect())
}

/// Asserts that each value has one fate. Returns how many were received.
pub(crate) fn account(ledger: &Ledger) -> usize {
    let fate = |state: &AtomicU8| state.load(Ordering::Relaxed);
    assert!(
        ledger.iter().all(|state| [RECEIVED, BACK].contains(&fate(state))),
        "a value was lost, or came twice"
    );
    ledger.iter().filter(|state| fate(state) == RECEIVED).count()
}

/// One value. Unless it was received, its drop says that it came back.
pub(crate) struct Item(pub(crate) usize, pub(crate) Ledger);

impl Item {
    pub(crate) fn receive(self) {
        self.1[self.0].fetch_add(RECEIVED.wrapping_sub(BACK), Ordering::Relaxed);
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.1[self.0].fetch_add(BACK, Ordering::Relaxed);
    }
}

type Ends<E> = [E; 3];

/// Sends one value in one of several ways, until it is sent or the token's cancel takes it.
fn send(txs: &Ends<Sender<Item>>, item: Item, random: &mut Random) {
    let mut slot = Some(item);
    while let Some(item) = slot.take() {
        let [a, b, c] = txs;
        match random.below(8) {
            0 => slot = a.send_timeout(item, random.pause()).err().map(|error| error.into_inner()),
            1 => slot = b.try_send(item).err().map(|error| error.into_inner()),
            2 => {
                slot = Some(item);
                select! {
                    offer(a, slot) -> sent => sent.expect("it is received from"),
                    default(random.pause()) => {}
                }
            }
            // Given up, the value is dropped with the future, and so comes back.
            3 => _ = block_on(timeout_async(random.pause(), b.send_async(item))),
            4 => {
                slot = Some(item);
                block_on(async {
                    select_async! {
                        offer(a, slot) -> sent => sent.expect("it is received from"),
                        recv(chan::never::<()>()) -> _ => unreachable!("nothing comes"),
                        default(random.pause()) => {}
                    }
                });
            }
            5 => {
                // Ready, it may be late.
                let mut list = Select::new();
                let case = list.send(c, item);
                let _ready_or_not = list.ready_timeout(random.pause());
                slot = list.try_take_back(case, c);
                if let Some(item) = slot.take() {
                    slot = c.try_send(item).err().map(|error| error.into_inner());
                }
            }
            6 => {
                let mut list = Select::new();
                let case = list.send(b, item);
                let wait = timeout_async(random.pause(), list.select_async());
                // Given up, it may have sent.
                match block_on(async { wait.await.map(|chosen| chosen.send(b)) }) {
                    Ok(sent) => sent.expect("it is received from"),
                    Err(_) => slot = list.try_take_back(case, b),
                }
            }
            _ => {
                let mut list = Select::new();
                let case = list.send(c, item);
                let chosen = list.select_timeout(random.pause()).map(|chosen| chosen.send(c));
                match chosen {
                    Ok(sent) => sent.expect("it is received from"),
                    Err(_) => slot = Some(list.take_back(case, c)),
                }
            }
        }
    }
}

/// Sends its share, batch for batch under a token; what a cancel keeps from being sent, comes back.
fn produce(
    txs: &Ends<Sender<Item>>,
    items: std::ops::Range<usize>,
    ledger: &Ledger,
    tokens: &Sender<Token>,
    mut random: Random,
) {
    let mut next = items.start;
    while next < items.end {
        let token = Token::new();
        // Cancelled some time, or never.
        let _watched = tokens.try_send(token.clone());
        let end = items.end.min(next + BATCH);
        let outcome: Result<(), Cancelled> = token.run(|| {
            while next < end {
                let item = Item(next, ledger.clone());
                next += 1;
                send(txs, item, &mut random);
            }
        });
        if outcome.is_err() {
            (next..end).for_each(|n| drop(Item(n, ledger.clone())));
            next = end;
        }
    }
}

/// Receives in one of several ways until all channels are disconnected.
fn consume(rxs: &Ends<Receiver<Item>>, tokens: Option<&Sender<Token>>, mut random: Random) {
    let mut open = vec![0, 1, 2];
    while !open.is_empty() {
        let token = Token::new();
        if let Some(tokens) = tokens {
            let _watched = tokens.try_send(token.clone());
        }
        // A receive that is cancelled has received nothing.
        let _cancelled = token.run(|| {
            for _ in 0..BATCH {
                let one = random.below(open.len() as u64) as usize;
                let (n, got) = match random.below(4) {
                    0 => (one, rxs[open[one]].recv_timeout(random.pause())),
                    1 => {
                        // Now and then it is the same channel.
                        let last = open.len() - 1;
                        select_biased! {
                            recv(rxs[open[one]]) -> got => (one, got.map_err(From::from)),
                            recv(rxs[open[last]]) -> got => (last, got.map_err(From::from)),
                            default(random.pause()) => continue,
                        }
                    }
                    2 => {
                        let mut list = Select::new();
                        for n in &open {
                            list.recv(&rxs[*n]);
                        }
                        let Ok(n) = list.ready_timeout(random.pause()) else { continue };
                        // Somebody may have been faster.
                        (n, rxs[open[n]].recv_timeout(Duration::ZERO))
                    }
                    _ => {
                        let mut list = Select::new();
                        for n in &open {
                            list.recv(&rxs[*n]);
                        }
                        match list.select_timeout(random.pause()) {
                            Ok(chosen) => {
                                let n = chosen.index();
                                (n, chosen.recv(&rxs[open[n]]).map_err(From::from))
                            }
                            Err(_) => continue,
                        }
                    }
                };
                match got {
                    Ok(item) => item.receive(),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => drop(open.remove(n)),
                }
                if open.is_empty() {
                    return;
                }
            }
        });
    }
}

/// Cancels the tokens that it is given, now and then.
fn cancel(tokens: &Receiver<Token>, mut random: Random) {
    for token in tokens {
        if random.below(4) == 0 {
            gosched::time::sleep(random.pause());
            token.cancel();
        }
    }
}

fn conserve(rt: &Runtime, items: usize, random: &mut Random) -> usize {
    let ledger = ledger(items);
    let (txs, rxs): (Vec<_>, Vec<_>) = [0, 1, 16].map(chan::bounded::<Item>).into_iter().unzip();
    let txs: Ends<_> = txs.try_into().unwrap_or_else(|_| unreachable!());
    let rxs: Ends<_> = rxs.try_into().unwrap_or_else(|_| unreachable!());
    let stop = Arc::new(AtomicBool::new(false));
    let plain = {
        let (rxs, random) = (rxs.clone(), random.split());
        thread::spawn(move || consume(&rxs, None, random))
    };
    let future = {
        let (rx, other, stop, mut seed) =
            (rxs[1].clone(), rxs[0].clone(), stop.clone(), random.split());
        thread::spawn(move || {
            waker::block_on(async {
                while let Ok(item) = rx.recv_async().await {
                    item.receive();
                    // Dropped at once, now and then after it was woken.
                    drop(rx.recv_async());
                    // Given up, it has taken nothing.
                    if let Ok(Ok(item)) = timeout_async(seed.pause(), rx.recv_async()).await {
                        item.receive();
                    }
                    select_async! {
                        recv(rx) -> item => item.into_iter().for_each(Item::receive),
                        recv(other) -> item => item.into_iter().for_each(Item::receive),
                        default(seed.pause()) => {}
                    }
                    // A stream that is dropped, perhaps after it was woken.
                    let mut stream = rx.stream();
                    if let Ok(Some(item)) = timeout_async(seed.pause(), stream.next()).await {
                        item.receive();
                    }
                    drop(stream);
                    let mut list = Select::new();
                    list.recv(&other);
                    list.recv(&rx);
                    if let Ok(chosen) = timeout_async(seed.pause(), list.select_async()).await {
                        let from = [&other, &rx][chosen.index()];
                        chosen.recv(from).into_iter().for_each(Item::receive);
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        })
    };
    let theirs = ledger.clone();
    let mut seeds: Vec<_> = (0..PRODUCERS + 3).map(|_| random.split()).collect();
    rt.run(move || {
        let (tokens_tx, tokens) = chan::bounded(4);
        let seed = seeds.remove(0);
        let canceller = go(move || cancel(&tokens, seed));
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                let (rxs, tokens, seed) = (rxs.clone(), tokens_tx.clone(), seeds.remove(0));
                go(move || consume(&rxs, Some(&tokens), seed))
            })
            .collect();
        drop(rxs);
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|n| {
                let share = items * n / PRODUCERS..items * (n + 1) / PRODUCERS;
                let (txs, ledger, tokens, seed) =
                    (txs.clone(), theirs.clone(), tokens_tx.clone(), seeds.remove(0));
                go(move || produce(&txs, share, &ledger, &tokens, seed))
            })
            .collect();
        drop((txs, tokens_tx));
        producers.into_iter().chain(consumers).for_each(|g| g.join().expect("no panic"));
        canceller.join().expect("no panic");
    });
    plain.join().expect("no panic");
    stop.store(true, Ordering::Relaxed);
    future.join().expect("no panic");
    account(&ledger)
}

#[test]
fn each_value_is_received_once_or_comes_back() {
    let items =
        env::var("GOSCHED_ITEMS").ok().and_then(|items| items.parse().ok()).unwrap_or(48_000_usize);
    let mut random = Random::new();
    let mut total = 0;
    for mode in test_support::modes() {
        for procs in [1, 2, 4, 8] {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            let share = items.div_ceil(12);
            let received = conserve(&rt, share, &mut random);
            println!("{mode:?}, {procs} Ps: {received} of {share} received, the others came back");
            assert!(received > share / 4, "nearly all were cancelled: nothing is shown");
            total += share;
        }
    }
    assert!(total >= items);
}
