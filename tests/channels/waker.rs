//! A waker that counts, and the smallest executor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use gosched_runtime_sys::sync::note::Note;

/// Counts how often it was woken, and wakes a thread.
pub(crate) struct Count {
    times: AtomicUsize,
    note: Note,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.note.wake();
    }
}

impl Count {
    /// One that was not woken yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { times: AtomicUsize::new(0), note: Note::new() })
    }

    pub(crate) fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F, count: &Arc<Count>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(count));
    std::pin::Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// Runs a future on the calling thread, as any executor would.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let count = Count::new();
    loop {
        if let Poll::Ready(output) = poll(&mut future, &count) {
            return output;
        }
        count.note.sleep();
    }
}
