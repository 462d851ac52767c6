//! The columns, one for each way of spreading the goroutines of gosched, and the places of the
//! goroutines.
//!
//! # Safety
//!
//! The promises of the modes: the goroutines of the workloads suspend in no thread-local's
//! initialiser and in no code that nests calls, and hold nothing bound to a thread.
#![expect(unsafe_code, reason = "promises the modes, makes migratory goroutines")]

use std::collections::HashMap;
use std::sync::Mutex as StdMutex;
use std::sync::{Arc, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use gosched::chan::{self, Receiver, Sender};
use gosched::goroutine::Builder;
use gosched::sync::Mutex;
use gosched::{JoinHandle, Mode, Runtime, go, go_migratory, time, yield_now};

use crate::peer::measure::workers;
use crate::peer::stackful::Stackful;

/// Where the goroutines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Settled, as placed: wherever the scheduler puts them.
    Settled,
    /// Settled, all on one M.
    Together,
    /// Settled, in turn on two Ms.
    Apart,
    /// Migratory, as placed: without a home M.
    Migratory,
}

impl Column {
    /// Returns the column of the peer with that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "settled" => Self::Settled,
            "together" => Self::Together,
            "apart" => Self::Apart,
            "migratory" => Self::Migratory,
            _ => return None,
        })
    }

    pub(crate) fn runtime(self) -> Runtime {
        self.runtime_of(workers())
    }

    pub(crate) fn runtime_of(self, workers: usize) -> Runtime {
        let mode = match self {
            // SAFETY: see the head.
            Self::Migratory => unsafe { Mode::migratory() },
            // SAFETY: see the head.
            _ => unsafe { Mode::settled() },
        };
        Runtime::builder(mode).procs(workers).build().expect("a runtime")
    }
}

/// Goroutines beside which others settle, and where those began.
#[derive(Clone)]
pub(crate) struct Place {
    hosts: Arc<[JoinHandle<()>]>,
    begun: Arc<StdMutex<HashMap<ThreadId, u32>>>,
}

/// A goroutine that waits for ever, and the thread that it is on.
struct Host {
    handle: JoinHandle<()>,
    begun: Receiver<ThreadId>,
}

impl Host {
    fn make() -> Self {
        let (tx, begun) = chan::bounded(1);
        let handle = go(move || {
            let _awaited = tx.send(thread::current().id());
            let _never = chan::never::<()>().recv();
        });
        Self { handle, begun }
    }
}

impl Place {
    pub(crate) fn of(column: Column) -> Self {
        let hosts = match column {
            Column::Settled | Column::Migratory => Vec::new(),
            Column::Together => vec![Host::make().handle],
            Column::Apart => Self::two_hosts(),
        };
        Self { hosts: hosts.into(), begun: Arc::default() }
    }

    /// Makes two hosts on two threads. While this M is kept busy, another M takes the first host;
    /// the second may begin here, or be taken as well.
    fn two_hosts() -> Vec<JoinHandle<()>> {
        for _ in 0..1000 {
            let (far, began) = (Host::make(), Instant::now());
            let there = loop {
                match far.begun.try_recv() {
                    Ok(there) => break Some(there),
                    Err(_) if began.elapsed().as_millis() < 5 => std::hint::spin_loop(),
                    Err(_) => break None,
                }
            };
            let near = Host::make();
            let here = near.begun.recv().expect("it begins");
            if there.is_some_and(|there| there != here) {
                return vec![far.handle, near.handle];
            }
        }
        panic!("in 1000 attempts no two goroutines began apart");
    }

    /// Returns the percentage of the goroutines that began on the thread where most did.
    pub(crate) fn spread(&self) -> Option<f64> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let (most, all) = (begun.values().max()?, begun.values().sum::<u32>());
        Some(f64::from(*most) * 100.0 / f64::from(all))
    }
}

fn joined<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("no panic")
}

impl Stackful for Place {
    type Handle<T: Send + 'static> = JoinHandle<T>;
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;
    type Mutex = Mutex<u64>;

    // Each workload has call sites of its own, as each user has: the scheduler knows them apart.
    #[track_caller]
    fn go<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        go(f)
    }

    #[track_caller]
    fn go_at<T: Send + 'static>(
        &self,
        place: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let begun = self.begun.clone();
        let noted = move || {
            let mut threads = begun.lock().unwrap_or_else(PoisonError::into_inner);
            *threads.entry(thread::current().id()).or_default() += 1;
            drop(threads);
            f()
        };
        match self.hosts.len() {
            0 => go(noted),
            hosts => Builder::new().with(&self.hosts[place % hosts]).go(noted),
        }
    }

    #[track_caller]
    fn go_free<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        // SAFETY: see the head.
        unsafe { go_migratory(f) }
    }

    fn join<T: Send + 'static>(handle: JoinHandle<T>) -> T {
        joined(handle)
    }

    fn yield_now() {
        yield_now();
    }

    fn sleep_until(deadline: Instant) {
        time::sleep_until(deadline);
    }

    fn channel<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        chan::bounded(capacity)
    }

    fn send<T: Send + 'static>(sender: &Sender<T>, value: T) {
        sender.send(value).expect("somebody receives");
    }

    fn recv<T: Send + 'static>(receiver: &Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    fn increment(mutex: &Mutex<u64>) {
        *mutex.lock().expect("no panic") += 1;
    }

    fn value(mutex: &Mutex<u64>) -> u64 {
        *mutex.lock().expect("no panic")
    }
}
