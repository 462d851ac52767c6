//! smol: its global executor with as many threads as there are workers (`SMOL_THREADS`), its
//! channels and its mutex.

use std::future::Future;
use std::time::Instant;

use smol::channel::{self, Receiver, Sender};
use smol::future;
use smol::lock::Mutex;
use smol::{Task, Timer};

use super::async_patterns;
use super::callbacks::{self, Door};
use super::futures::{self, Futures};
use super::measure::{compute, deliver};

/// Runs a workload.
pub(crate) fn run(workload: &str) -> ! {
    if callbacks::are_in(workload) {
        deliver(callbacks::run(&Smol, workload).as_deref())
    }
    smol::block_on(async {
        let figures = match futures::run::<Smol>(workload).await {
            None => async_patterns::run::<Smol>(workload).await,
            figures => figures,
        };
        deliver(figures.as_deref())
    })
}

#[derive(Clone)]
struct Smol;

impl Futures for Smol {
    type Handle<T: Send + 'static> = Task<T>;
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;
    type Mutex = Mutex<u64>;

    fn spawn<T: Send + 'static>(f: impl Future<Output = T> + Send + 'static) -> Task<T> {
        smol::spawn(f)
    }

    async fn join<T: Send + 'static>(handle: Task<T>) -> T {
        handle.await
    }

    fn detach<T: Send + 'static>(handle: Task<T>) {
        handle.detach();
    }

    async fn yield_now() {
        future::yield_now().await;
    }

    async fn sleep_until(deadline: Instant) {
        Timer::at(deadline).await;
    }

    fn channel<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        channel::bounded(capacity)
    }

    async fn send<T: Send + 'static>(sender: &Sender<T>, value: T) {
        sender.send(value).await.unwrap_or_else(|_| panic!("somebody receives"));
    }

    fn send_outside<T: Send + 'static>(sender: &Sender<T>, value: T) {
        sender.send_blocking(value).unwrap_or_else(|_| panic!("somebody receives"));
    }

    async fn recv<T: Send + 'static>(receiver: &mut Receiver<T>) -> Option<T> {
        receiver.recv().await.ok()
    }

    async fn recv_any([a, b, c, d]: &mut [Receiver<u64>; 4]) -> u64 {
        let either =
            future::race(future::race(a.recv(), b.recv()), future::race(c.recv(), d.recv()));
        either.await.unwrap_or(0)
    }

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    async fn increment(mutex: &Mutex<u64>) {
        *mutex.lock().await += 1;
    }
}

/// No thread enters smol. Threads outside can wait for its channels.
impl Door for Smol {
    type Line = (Sender<u64>, Receiver<u64>);
    const ENTERS: bool = false;

    fn enter(&self) {}

    fn line(&self) -> Self::Line {
        let (ask, asked) = channel::bounded(1);
        let (answer, answered) = channel::bounded(1);
        smol::spawn(async move {
            while let Ok(value) = asked.recv().await {
                answer.send(value).await.expect("somebody waits");
            }
        })
        .detach();
        (ask, answered)
    }

    fn round_trip(&self, (ask, answered): &Self::Line) {
        ask.send_blocking(7).expect("somebody answers");
        assert_eq!(answered.recv_blocking(), Ok(7));
    }

    fn hog(&self, hogs: usize) {
        (0..hogs).for_each(|_| smol::spawn(async { compute(std::time::Duration::MAX) }).detach());
    }
}
