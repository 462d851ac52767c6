//! What an unbounded channel takes from the allocator, and gives back. A process of its own, for
//! its allocator counts.
//!
//! # Safety
//!
//! The allocator is the system's, and counts. A clock is read into a variable.
#![expect(unsafe_code, reason = "a global allocator, and a thread's clock")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gosched::chan::{self, Receiver, Sender};
use gosched::future::block_on;
use gosched::{Runtime, select};
use test_support::modes;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are allocated.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// The largest allocation since it was set to zero.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// How many values are in the channel at most.
const MANY: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

/// What a channel may keep: two blocks, and what else is allocated in a runtime meanwhile.
const KEPT: usize = 64 << 10;

/// One test at a time: they share the counters.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

type Ends = (Sender<[u64; 2]>, Receiver<[u64; 2]>);

fn fill(tx: &Sender<[u64; 2]>) {
    (0..MANY as u64).for_each(|n| tx.send([n, !n]).expect("the receiver is there"));
}

/// Fills the channel and empties it with `recv`, in each mode and on a plain thread.
fn comes_back(recv: fn(&Receiver<[u64; 2]>) -> [u64; 2]) {
    let _alone = alone();
    let check = move |(tx, rx): Ends| {
        let before = BYTES.load(Relaxed);
        LARGEST.store(0, Relaxed);
        fill(&tx);
        let peak = BYTES.load(Relaxed) - before;
        assert!(peak >= 16 * MANY, "{peak} bytes");
        let largest = LARGEST.load(Relaxed);
        assert!(largest <= 16 << 10, "a piece of {largest} bytes");
        (0..MANY as u64).for_each(|n| assert_eq!(recv(&rx), [n, !n]));
        let kept = BYTES.load(Relaxed).saturating_sub(before);
        assert!(kept <= KEPT, "{kept} of {peak} bytes stay");
        // It is fast again, and in order, when the burst comes back.
        (0..100).for_each(|n| tx.send([n, 0]).expect("the receiver is there"));
        (0..100).for_each(|n| assert_eq!(recv(&rx), [n, 0]));
    };
    check(chan::unbounded());
    for mode in modes() {
        for procs in [1, 2, 4] {
            let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
            rt.run(|| check(chan::unbounded()));
        }
    }
}

#[test]
fn a_backlog_is_given_back_as_it_is_received() {
    comes_back(|rx| rx.recv().expect("it was sent"));
}

#[test]
fn a_backlog_is_given_back_as_it_is_tried() {
    comes_back(|rx| rx.try_recv().expect("it was sent"));
}

#[test]
fn a_backlog_is_given_back_as_it_is_selected() {
    comes_back(|rx| {
        select! {
            recv(rx) -> value => value.expect("it was sent"),
        }
    });
}

#[test]
fn a_backlog_is_given_back_as_it_is_awaited() {
    comes_back(|rx| block_on(rx.recv_async()).expect("it was sent"));
}

#[test]
fn a_backlog_that_nobody_receives_is_given_back() {
    let _alone = alone();
    let (tx, rx) = chan::unbounded();
    let before = BYTES.load(Relaxed);
    fill(&tx);
    drop(rx);
    let kept = BYTES.load(Relaxed).saturating_sub(before);
    assert!(kept <= KEPT, "{kept} bytes stay");
}

/// Many channels with a value each are small.
#[test]
fn a_channel_with_little_in_it_takes_little() {
    let _alone = alone();
    let before = BYTES.load(Relaxed);
    let ends: Vec<Ends> = (0..1000).map(|_| chan::unbounded()).collect();
    ends.iter().for_each(|(tx, _)| tx.send([1, 2]).expect("the receiver is there"));
    let each = (BYTES.load(Relaxed) - before) / ends.len();
    assert!(each <= 1024, "{each} bytes");
}

/// Returns the processor time that the calling thread has had, in nanoseconds.
fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is there to be written.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// No send copies what others have sent. It is the thread's own time that counts: another process
/// may have the core for long.
#[test]
fn no_send_takes_long_however_much_is_there() {
    let _alone = alone();
    let (tx, rx) = chan::unbounded();
    let mut took: Vec<u64> = (0..MANY as u64)
        .map(|n| {
            let began = thread_time();
            tx.send([n; 16]).expect("the receiver is there");
            thread_time() - began
        })
        .collect();
    drop(rx);
    took.sort_unstable();
    let (median, longest) = (took[MANY / 2].max(100), took[MANY - 1]);
    assert!(longest < 10_000 * median, "{median} ns at the median, {longest} ns at worst");
}
