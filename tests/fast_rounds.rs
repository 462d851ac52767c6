//! Goroutines of one thread that do nothing but yield, or wake each other, make fast rounds, which
//! look at nothing else. Work that comes up meanwhile still has its turn, after no more rounds than
//! it would have without fast rounds.
//!
//! The tests count rounds and measure no times: a busy machine makes rounds longer, but does not
//! make more of them. Each test tries it over and over, each time at another distance from the
//! round in which a thread looks everywhere.
#![expect(
    unsafe_code,
    reason = "makes a migratory goroutine, which holds nothing bound to a thread"
)]

use std::hint::spin_loop;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use gosched::goroutine::Builder;
use gosched::{Handle, JoinHandle, Runtime, chan, go, go_migratory, yield_now};
use test_support::settled;

/// The number of rounds after which a thread looks everywhere.
const LOOK: u32 = 61;
/// How often in a row the G that was woken last goes before all others.
const CHAIN: u32 = 61;
/// Longer than a thread keeps its processor while other threads stand in the line.
const A_TURN: Duration = Duration::from_micros(300);

/// The load that keeps a thread busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// One goroutine that yields alone.
    Alone,
    /// Three goroutines that yield.
    InTurn,
    /// Two goroutines that wake each other.
    Pair,
}

impl Load {
    const ALL: [Load; 3] = [Load::Alone, Load::InTurn, Load::Pair];

    /// Returns the number of its goroutines: between two rounds of one of them each of the others
    /// has one.
    fn goroutines(self) -> u32 {
        match self {
            Load::Alone => 1,
            Load::InTurn => 3,
            Load::Pair => 2,
        }
    }

    /// Returns how many rounds its goroutines may go before what is queued behind them.
    fn goes_first(self) -> u32 {
        self.goroutines() + if self == Load::Pair { CHAIN } else { 0 }
    }
}

/// The rounds of the goroutines of a load.
struct Rounds {
    made: AtomicU32,
    /// The length of each round.
    pace: Duration,
}

impl Rounds {
    fn count(&self) {
        self.made.fetch_add(1, Relaxed);
        let began = Instant::now();
        while began.elapsed() < self.pace {
            spin_loop();
        }
    }

    fn made(&self) -> u32 {
        self.made.load(Relaxed)
    }
}

/// The goroutine of a load in which the test takes place.
struct Driver {
    rt: Handle,
    rounds: Arc<Rounds>,
    /// A builder of goroutines that settle on this thread.
    beside: Builder,
    partner: Option<(chan::Sender<()>, chan::Receiver<()>)>,
}

impl Driver {
    /// Lets every goroutine of the load make a round.
    fn round(&self) {
        self.rounds.count();
        match &self.partner {
            None => yield_now(),
            Some((to, from)) => {
                to.send(()).expect("the partner listens");
                from.recv().expect("the partner answers");
            }
        }
    }

    /// Makes rounds until there is an answer.
    #[track_caller]
    fn until<T>(&self, mut answer: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = answer() {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it does not come");
            self.round();
        }
    }

    /// Makes rounds until `ready`. Returns how many rounds all goroutines made.
    #[track_caller]
    fn rounds_until(&self, ready: impl Fn() -> bool) -> u32 {
        let before = self.rounds.made();
        self.until(|| ready().then_some(()));
        self.rounds.made() - before
    }

    /// Runs a test for each distance from the round that looks everywhere, and collects the
    /// results.
    fn each_distance<T>(&self, mut body: impl FnMut() -> T) -> Vec<T> {
        let distances = 0..LOOK.div_ceil(2);
        distances
            .map(|rounds| {
                (0..rounds).for_each(|_| self.round());
                body()
            })
            .collect()
    }

    fn keep_company(&mut self, load: Load, over: &Arc<AtomicBool>) {
        let begun = Arc::new(AtomicU32::new(1));
        match load {
            Load::Alone => {}
            Load::InTurn => (1..load.goroutines()).for_each(|_| {
                let (rounds, over, begun) = (self.rounds.clone(), over.clone(), begun.clone());
                let yields = move || {
                    begun.fetch_add(1, Relaxed);
                    while !over.load(Relaxed) {
                        rounds.count();
                        yield_now();
                    }
                };
                drop(self.beside.clone().go(yields));
            }),
            Load::Pair => {
                let ((to, theirs), (back, from)) = (chan::bounded::<()>(1), chan::bounded(1));
                let (rounds, begun) = (self.rounds.clone(), begun.clone());
                let answers = move || {
                    begun.fetch_add(1, Relaxed);
                    for () in &theirs {
                        rounds.count();
                        back.send(()).expect("somebody listens");
                    }
                };
                drop(self.beside.clone().go(answers));
                self.partner = Some((to, from));
            }
        }
        while begun.load(Relaxed) < load.goroutines() {
            yield_now();
        }
    }
}

/// Runs `test` in a goroutine of a load.
fn under<T: Send + 'static>(
    rt: &Runtime,
    load: Load,
    pace: Duration,
    test: impl FnOnce(&Driver) -> T + Send + 'static,
) -> T {
    let (rounds, handle) = (Arc::new(Rounds { made: AtomicU32::new(0), pace }), rt.handle());
    let (itself, host) = mpsc::channel();
    let driver = rt.handle().go(move || {
        let beside = host.recv().expect("it is sent");
        let mut driver = Driver { rt: handle, rounds, beside, partner: None };
        let over = Arc::new(AtomicBool::new(false));
        driver.keep_company(load, &over);
        let outcome = test(&driver);
        over.store(true, Relaxed);
        outcome
    });
    itself.send(Builder::new().runtime(&rt.handle()).with(&driver)).expect("it waits for it");
    driver.join().expect("no panic")
}

fn runtime(procs: usize) -> Runtime {
    Runtime::builder(settled()).procs(procs).build().expect("a runtime")
}

#[track_caller]
fn assert_at_most(load: Load, rounds: &[u32], most: u32) {
    assert!(
        rounds.iter().all(|rounds| *rounds <= most),
        "{load:?}: {rounds:?} rounds instead of at most {most}"
    );
}

/// Between two rounds of one goroutine each of the others has one.
#[test]
fn those_that_are_ready_take_turns() {
    for load in Load::ALL {
        let rounds = under(&runtime(1), load, Duration::ZERO, |driver| {
            driver.each_distance(|| {
                let before = driver.rounds.made();
                driver.round();
                driver.rounds.made() - before
            })
        });
        assert!(rounds.iter().all(|rounds| *rounds == load.goroutines()), "{load:?}: {rounds:?}");
    }
}

/// A goroutine on another thread is woken and has no processor. That thread gets the only one once
/// the time of the thread that has it is over. From then on rounds as long as these look at the
/// clock; a few rounds that sysmon ends early may not.
#[test]
fn a_thread_that_waits_for_a_processor_gets_it() {
    for load in Load::ALL {
        let rt = runtime(2);
        let rounds = under(&rt, load, A_TURN, |driver| {
            let ((wake, woken), (told, answer)) = (chan::unbounded::<()>(), mpsc::channel());
            let (rounds, began) = (driver.rounds.clone(), Arc::new(AtomicBool::new(false)));
            let here = began.clone();
            let elsewhere = go(move || {
                here.store(true, Relaxed);
                woken.iter().for_each(|()| told.send(rounds.made()).expect("somebody listens"));
                thread::current().id()
            });
            while !began.load(Relaxed) {
                // Nothing that suspends: so it begins on another thread.
                thread::yield_now();
            }
            driver.rt.set_procs(1).expect("in range");
            driver.rounds_until(|| driver.rt.stats().surplus_procs == 0);
            let late = driver.each_distance(|| {
                let before = driver.rounds.made();
                wake.send(()).expect("it waits");
                while driver.rt.stats().queued_threads == 0 {
                    match answer.try_recv() {
                        // This goroutine's thread was off its core for so long that sysmon revoked
                        // its processor.
                        Ok(at) => return at - before,
                        Err(_) => thread::yield_now(),
                    }
                }
                driver.until(|| answer.try_recv().ok()) - before
            });
            drop(wake);
            assert_ne!(elsewhere.join().expect("no panic"), thread::current().id());
            late
        });
        assert_at_most(load, &rounds, 8);
    }
}

/// One of two processors in use shall go. The other processor's goroutine does not suspend before
/// that is done.
#[test]
fn a_processor_too_many_goes_with_the_round() {
    for load in Load::ALL {
        let rt = runtime(2);
        let rounds = under(&rt, load, Duration::ZERO, |driver| {
            let (over, keeps) =
                (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let (rt, until, kept) = (driver.rt.clone(), over.clone(), keeps.clone());
            let elsewhere = go(move || {
                while !until.load(Relaxed) {
                    let stats = rt.stats();
                    let keep = stats.procs == 2 || stats.surplus_procs > 0;
                    kept.store(keep, Relaxed);
                    if keep { thread::yield_now() } else { yield_now() }
                }
            });
            while !keeps.load(Relaxed) {
                thread::yield_now();
            }
            let late = driver.each_distance(|| {
                driver.rt.set_procs(2).expect("in range");
                driver.rounds_until(|| keeps.load(Relaxed));
                driver.rt.set_procs(1).expect("in range");
                driver.rounds_until(|| driver.rt.stats().surplus_procs == 0)
            });
            over.store(true, Relaxed);
            elsewhere.join().expect("no panic");
            late
        });
        assert_at_most(load, &rounds, load.goroutines());
    }
}

/// Has a plain thread do something, over and over; when it is done the goroutines have made so many
/// rounds.
fn from_outside(
    driver: &Driver,
    mut act: impl FnMut() + Send,
    mut answer: impl FnMut() -> Option<u32>,
) -> Vec<u32> {
    let (ask, asked) = mpsc::channel::<()>();
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for () in asked {
                act();
                done.fetch_add(1, Release);
            }
        });
        let mut trial = 0;
        let late = driver.each_distance(|| {
            ask.send(()).expect("it listens");
            trial += 1;
            driver.rounds_until(|| done.load(Acquire) == trial);
            let before = driver.rounds.made();
            driver.until(&mut answer).saturating_sub(before)
        });
        drop(ask);
        late
    })
}

/// Returns after how many rounds a goroutine that `make` has made runs, woken by a plain thread.
fn woken_outside(
    driver: &Driver,
    make: impl FnOnce(&Driver, Box<dyn FnOnce() + Send>) -> JoinHandle<()>,
) -> Vec<u32> {
    let ((wake, woken), (told, answer)) = (chan::unbounded::<()>(), mpsc::channel());
    let rounds = driver.rounds.clone();
    let listens = move || {
        let tell = || told.send(rounds.made()).expect("somebody listens");
        tell();
        woken.iter().for_each(|()| tell());
    };
    let sleeper = make(driver, Box::new(listens));
    let _it_has_begun = driver.until(|| answer.try_recv().ok());
    let late = from_outside(driver, || wake.send(()).expect("it waits"), || answer.try_recv().ok());
    drop(wake);
    sleeper.join().expect("no panic");
    late
}

/// It goes before those that have yielded.
#[test]
fn what_was_woken_from_outside_is_next() {
    for load in Load::ALL {
        let rt = runtime(1);
        let rounds = under(&rt, load, Duration::ZERO, |driver| {
            woken_outside(driver, |driver, listens| driver.beside.clone().go(listens))
        });
        let most = if load == Load::Pair { 1 + load.goes_first() } else { 2 };
        assert_at_most(load, &rounds, most);
    }
}

/// The thread's own goroutines and migratory ones take turns.
#[test]
fn what_was_woken_from_outside_and_is_migratory_has_its_turn() {
    for load in [Load::Alone, Load::InTurn] {
        let rt = runtime(1);
        let rounds = under(&rt, load, Duration::ZERO, |driver| {
            woken_outside(driver, |_, listens| {
                // SAFETY: it holds nothing that is bound to a thread.
                unsafe { go_migratory(listens) }
            })
        });
        assert_at_most(load, &rounds, 4);
    }
}

#[test]
fn what_was_made_outside_begins_with_the_next_look_everywhere() {
    for load in Load::ALL {
        let rt = runtime(1);
        let rounds = under(&rt, load, Duration::ZERO, |driver| {
            let (told, answer) = mpsc::channel();
            let make = || {
                let (told, rounds) = (told.clone(), driver.rounds.clone());
                let talks = Builder::new().runtime(&driver.rt).talks();
                drop(talks.go(move || told.send(rounds.made()).expect("somebody listens")));
            };
            from_outside(driver, make, || answer.try_recv().ok())
        });
        assert_at_most(load, &rounds, LOOK);
    }
}

/// Not for a pair, which would show nothing: a woken G goes before others, as often as a thread
/// looks everywhere.
#[test]
fn what_comes_into_the_processors_queues_has_its_turn() {
    for load in [Load::Alone, Load::InTurn] {
        let rt = runtime(1);
        let (made, woken) = under(&rt, load, Duration::ZERO, |driver| {
            let (told, answer) = mpsc::channel();
            let made = driver.each_distance(|| {
                let (told, rounds, before) =
                    (told.clone(), driver.rounds.clone(), driver.rounds.made());
                let talks = Builder::new().talks();
                drop(talks.go(move || told.send(rounds.made()).expect("somebody listens")));
                driver.until(|| answer.try_recv().ok()) - before
            });
            let ((wake, woken), rounds) = (chan::unbounded::<()>(), driver.rounds.clone());
            let listens = move || {
                woken.iter().for_each(|()| told.send(rounds.made()).expect("somebody listens"))
            };
            // SAFETY: nothing bound to a thread is held while it waits.
            let sleeper = unsafe { go_migratory(listens) };
            // It begins on another thread.
            wake.send(()).expect("it will listen");
            let _begun = driver.until(|| answer.try_recv().ok());
            let woken = driver.each_distance(|| {
                let before = driver.rounds.made();
                wake.send(()).expect("it waits");
                driver.until(|| answer.try_recv().ok()) - before
            });
            drop(wake);
            sleeper.join().expect("no panic");
            (made, woken)
        });
        // New goroutines take turns with woken ones, and among the woken ones settled goroutines
        // with migratory ones.
        assert_at_most(load, &made, 2);
        assert_at_most(load, &woken, 4);
    }
}
