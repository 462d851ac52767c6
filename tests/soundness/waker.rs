//! A `Waker` is user code: it may call into the scheduler wherever the scheduler calls it.
//!
//! # Safety
//!
//! The table's functions take the pointer of one `Arc` count each and give as many back.
#![expect(unsafe_code, reason = "a waker whose clone and drop are seen takes a table of its own")]

use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use gosched::chan::{self, Receiver, Sender};
use gosched::{Handle, JoinHandle, go, yield_now};
use test_support::each_mode;

/// What a meddling waker does, and how often.
struct Meddler {
    handle: Handle,
    woken: Sender<()>,
    clones: AtomicUsize,
    wakes: AtomicUsize,
    /// Goroutines that it spawned and that have run.
    ran: Arc<AtomicUsize>,
    made: AtomicUsize,
    noise: (Sender<u64>, Receiver<u64>),
    /// Lets the awaited goroutine end, and when.
    open: Sender<u32>,
    when: When,
}

/// In the middle of the waker's function the awaited goroutine ends. Its end completes while the
/// function has not returned. If the function were called under the lock that the two share, none
/// of them could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Cloned,
    /// The waker of the last poll, which another one replaces.
    Dropped,
    /// After the polls: this waker will be woken.
    Later,
}

impl Meddler {
    /// All operations that do not wait for another goroutine, and a yield, which does.
    fn meddle(&self, now: Option<When>) {
        if now == Some(self.when) {
            let _open_already = self.open.try_send(4);
        }
        let ran = Arc::clone(&self.ran);
        self.made.fetch_add(1, Relaxed);
        drop(self.handle.go(move || ran.fetch_add(1, Relaxed)));
        let _full = self.noise.0.try_send(1);
        let _empty = self.noise.1.try_recv();
        for _ in 0..10 {
            yield_now();
        }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_one);

fn waker(meddler: Arc<Meddler>) -> Waker {
    // SAFETY: the table's functions keep a waker's contract; the count is the waker's.
    unsafe { Waker::new(Arc::into_raw(meddler).cast(), &TABLE) }
}

/// # Safety
///
/// `data` is a live waker's.
unsafe fn borrow(data: *const ()) -> ManuallyDrop<Arc<Meddler>> {
    // SAFETY: from `Arc::into_raw`; the count stays the waker's.
    ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Meddler>()) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: as the caller's.
    let meddler = unsafe { borrow(data) };
    meddler.clones.fetch_add(1, Relaxed);
    meddler.meddle(Some(When::Cloned));
    RawWaker::new(Arc::into_raw(Arc::clone(&meddler)).cast(), &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as the caller's.
    unsafe { wake_by_ref(data) };
    // SAFETY: the caller gives its count up.
    unsafe { drop_one(data) };
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as the caller's.
    let meddler = unsafe { borrow(data) };
    meddler.wakes.fetch_add(1, Relaxed);
    meddler.meddle(None);
    let _already_woken = meddler.woken.try_send(());
}

unsafe fn drop_one(data: *const ()) {
    // SAFETY: the caller gives its count up.
    let meddler = unsafe { Arc::from_raw(data.cast::<Meddler>()) };
    meddler.meddle(Some(When::Dropped));
}

/// Polls a goroutine that waits at `open` to its end, twice with each meddling waker.
fn poll_to_the_end<T>(
    handle: &Handle,
    mut goroutine: JoinHandle<T>,
    open: Sender<u32>,
    when: When,
) -> (std::thread::Result<T>, Arc<Meddler>) {
    let (woken, is_woken) = chan::bounded(1);
    let meddler = Arc::new(Meddler {
        handle: handle.clone(),
        woken,
        clones: AtomicUsize::new(0),
        wakes: AtomicUsize::new(0),
        ran: Arc::new(AtomicUsize::new(0)),
        made: AtomicUsize::new(0),
        noise: chan::bounded(1),
        open,
        when,
    });
    loop {
        let first = waker(Arc::clone(&meddler));
        let mut poll = || Pin::new(&mut goroutine).poll(&mut Context::from_waker(&first));
        // Twice: the second waker replaces the first one, which is dropped in the middle.
        for _ in 0..2 {
            if let Poll::Ready(outcome) = poll() {
                return (outcome, meddler);
            }
        }
        drop(first);
        let _open_already = meddler.open.try_send(4);
        is_woken.recv().expect("the waker has the sender");
    }
}

/// A goroutine that ends once it may, and the waker of its poller: how often it was cloned and
/// woken.
fn once(handle: &Handle, when: When) -> (usize, usize) {
    let (open, gate) = chan::bounded::<u32>(1);
    let goroutine = handle.go(move || gate.recv().expect("it opens") + 1);
    let (outcome, meddler) = poll_to_the_end(handle, goroutine, open, when);
    assert_eq!(outcome.expect("no panic"), 5);
    // The last poll's clone is dropped with the state that the two share, perhaps on the
    // goroutine's thread.
    while meddler.ran.load(Relaxed) < meddler.made.load(Relaxed) {
        yield_now();
    }
    (meddler.clones.load(Relaxed), meddler.wakes.load(Relaxed))
}

#[test]
fn a_waker_may_call_into_the_scheduler() {
    each_mode(|rt, _| {
        let mut woken = 0;
        for when in [When::Cloned, When::Dropped, When::Later].into_iter().cycle().take(30) {
            let handle = rt.handle();
            let (clones, wakes) =
                rt.run(|| go(move || once(&handle, when)).join().expect("no panic"));
            assert!(clones > 0);
            woken += wakes;
            // And on a thread that is no goroutine.
            woken += once(&rt.handle(), when).1;
        }
        assert!(woken > 0, "no waker was ever woken");
    });
}

#[test]
fn a_panic_comes_out_of_the_future_too() {
    each_mode(|rt, _| {
        let (open, gate) = chan::bounded(1);
        let goroutine: JoinHandle<()> = rt.handle().go(move || {
            let _opens = gate.recv();
            std::panic::resume_unwind(Box::new(3_u16));
        });
        let (outcome, _) = poll_to_the_end(&rt.handle(), goroutine, open, When::Later);
        assert_eq!(
            *outcome.expect_err("it panicked").downcast::<u16>().expect("its own payload"),
            3
        );
    });
}
