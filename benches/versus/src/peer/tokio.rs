//! tokio: its multi-threaded scheduler, its channels and its mutex.

use std::future::Future;
use std::hint::black_box;
use std::time::Instant;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time;

use super::async_patterns;
use super::callbacks::{self, Door};
use super::futures::{self, Futures};
use super::measure::{Figures, compute, deliver, items, scaling, workers};

/// Runs a workload.
pub(crate) fn run(workload: &str) -> ! {
    if workload == "parallel_sum" {
        deliver(Some(&parallel_sum()))
    }
    let runtime = runtime(workers());
    if callbacks::are_in(workload) {
        deliver(callbacks::run(runtime.handle(), workload).as_deref())
    }
    runtime.block_on(async {
        let figures = match futures::run::<Tokio>(workload).await {
            None => async_patterns::run::<Tokio>(workload).await,
            figures => figures,
        };
        deliver(figures.as_deref())
    })
}

/// The sum is a task, because the thread that waits for it is beside the workers.
fn parallel_sum() -> Figures {
    scaling(|workers, sums| {
        let runtime = runtime(workers);
        let sum = || async_patterns::parallel_sum::<Tokio>(items());
        sums(&|| runtime.block_on(runtime.spawn(sum())).expect("no panic"))
    })
}

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_time().build().expect("a runtime")
}

#[derive(Clone)]
struct Tokio;

impl Futures for Tokio {
    type Handle<T: Send + 'static> = JoinHandle<T>;
    type Sender<T: Send + 'static> = mpsc::Sender<T>;
    type Receiver<T: Send + 'static> = mpsc::Receiver<T>;
    type Mutex = Mutex<u64>;

    fn spawn<T: Send + 'static>(f: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        tokio::spawn(f)
    }

    async fn join<T: Send + 'static>(handle: JoinHandle<T>) -> T {
        handle.await.expect("no panic")
    }

    fn detach<T: Send + 'static>(handle: JoinHandle<T>) {
        drop(handle);
    }

    async fn yield_now() {
        tokio::task::yield_now().await;
    }

    async fn sleep_until(deadline: Instant) {
        time::sleep_until(deadline.into()).await;
    }

    fn channel<T: Send + 'static>(capacity: usize) -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
        mpsc::channel(capacity)
    }

    async fn send<T: Send + 'static>(sender: &mpsc::Sender<T>, value: T) {
        sender.send(value).await.unwrap_or_else(|_| panic!("somebody receives"));
    }

    fn send_outside<T: Send + 'static>(sender: &mpsc::Sender<T>, value: T) {
        sender.blocking_send(value).unwrap_or_else(|_| panic!("somebody receives"));
    }

    async fn recv<T: Send + 'static>(receiver: &mut mpsc::Receiver<T>) -> Option<T> {
        receiver.recv().await
    }

    async fn recv_any([a, b, c, d]: &mut [mpsc::Receiver<u64>; 4]) -> u64 {
        let sent = tokio::select! {
            value = a.recv() => value,
            value = b.recv() => value,
            value = c.recv() => value,
            value = d.recv() => value,
        };
        sent.unwrap_or(0)
    }

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    async fn increment(mutex: &Mutex<u64>) {
        *mutex.lock().await += 1;
    }
}

/// A thread is inside tokio while it holds the guard of `Handle::enter`. A callback that waits
/// sends to a channel, and waits for the oneshot that it sent along.
impl Door for Handle {
    type Line = mpsc::Sender<(u64, oneshot::Sender<u64>)>;
    const ENTERS: bool = true;

    fn enter(&self) {
        let _inside = Handle::enter(self);
        black_box(());
    }

    fn line(&self) -> Self::Line {
        let (ask, mut asked) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(64);
        self.spawn(async move {
            while let Some((value, reply)) = asked.recv().await {
                reply.send(value).expect("somebody waits");
            }
        });
        ask
    }

    fn round_trip(&self, ask: &Self::Line) {
        let (reply, replied) = oneshot::channel();
        ask.blocking_send((7, reply)).unwrap_or_else(|_| panic!("somebody answers"));
        assert_eq!(replied.blocking_recv(), Ok(7));
    }

    fn hog(&self, hogs: usize) {
        (0..hogs).for_each(|_| drop(self.spawn(async { compute(std::time::Duration::MAX) })));
    }
}
