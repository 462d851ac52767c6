//! C threads that call in, and the signal storm on them.
#![expect(unsafe_code, reason = "hands callbacks to C, installs a signal handler")]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use c_side::storm::Storm;
use gosched::callback::Bridge;
use gosched::{chan, go, signal};

use crate::Shared;

/// The argument of one C thread's calls.
struct Caller {
    bridge: Bridge,
    shared: Arc<Shared>,
}

/// Signals that found a goroutine without a whole signal stack.
static TORN: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_signal(_signal: c_int) {
    if matches!(signal::context(), signal::Context::Goroutine { on_signal_stack: false, .. }) {
        TORN.fetch_add(1, Relaxed);
    }
}

/// Enters, and makes a goroutine send an item for it.
///
/// # Safety
///
/// `ctx` is a `Caller` that no one else uses meanwhile; `line` points to `len` bytes.
unsafe extern "C" fn on_line(ctx: *mut c_void, line: *const u8, len: usize) -> i64 {
    // SAFETY: this function's contract.
    let caller = unsafe { &*ctx.cast::<Caller>() };
    // SAFETY: likewise.
    let words = c_side::lines::count_words(unsafe { slice::from_raw_parts(line, len) });
    let books = &caller.shared.books;
    let entered = caller.bridge.enter(|| {
        books.called.fetch_add(1, Relaxed);
        books.made.fetch_add(1, Relaxed);
        let shared = caller.shared.clone();
        let (reply, answer) = chan::bounded(0);
        let child = go(move || {
            shared.books.sent.fetch_add(1, Relaxed);
            shared.items.send(words).expect("the collector is there");
            reply.send(words).expect("it is awaited");
            shared.books.ended.fetch_add(1, Relaxed);
        });
        let words = answer.recv().expect("the child sends");
        child.join().expect("no panic");
        words
    });
    entered.map_or(-1, |words| i64::try_from(words).unwrap_or(i64::MAX))
}

/// Starts a plain thread that makes `threads` C threads call in until it is stopped. It returns how
/// often they did.
pub(crate) fn start(
    bridge: &Bridge,
    shared: &Arc<Shared>,
    threads: usize,
) -> thread::JoinHandle<u64> {
    const TEXT: &[u8] =
        b"a few words\nin lines\nof which each\nis counted by a goroutine\nand none is lost\n";
    let caller = || Caller { bridge: bridge.clone(), shared: shared.clone() };
    let mut callers: Vec<_> = (0..threads).map(|_| caller()).collect();
    let shared = shared.clone();
    thread::spawn(move || {
        // SAFETY: the handler reads what `signal::context` may read in a handler, and an atomic.
        let storm = unsafe { Storm::start(on_signal) }.expect("a storm");
        let ctxs: Vec<*mut c_void> =
            callers.iter_mut().map(|caller| ptr::from_mut(caller).cast()).collect();
        let mut lines = 0;
        while !shared.stop.load(Relaxed) {
            // SAFETY: each ctx is a caller of its own, which stays borrowed until the threads are
            // joined; `on_line` returns a panic of the closure as a number.
            let report =
                unsafe { c_side::lines::run(TEXT, 20, on_line, &ctxs) }.expect("C threads");
            assert_eq!(report.refused, 0, "a callback was refused");
            lines += report.lines;
        }
        assert!(storm.sent() > 0, "no signal was sent");
        assert_eq!(
            TORN.load(Relaxed),
            0,
            "a signal found a goroutine without a whole signal stack"
        );
        lines
    })
}
