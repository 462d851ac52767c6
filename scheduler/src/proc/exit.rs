//! The end of the process, from a goroutine.

use std::process;

use crate::gmp::current::{self, Current};
use crate::proc::park::pinned;

/// Ends the process with this exit code, as [`std::process::exit`] does, from a goroutine or any
/// other thread. No other goroutine runs on the calling thread any more.
///
/// `exit` runs the destructors of the calling thread's thread-locals, and then the handlers of
/// `atexit`, on the stack of its caller. If one of them waits, no goroutine that settled on this
/// thread may run meanwhile, because it would find thread-locals that are gone. With this function
/// such a wait puts the thread to sleep. One that a goroutine settled here would have to end never
/// ends: let destructors and handlers wait for other threads only, or with a time limit.
///
/// `std::process::exit` and C's `exit` do the same, except for the destructors of thread-locals
/// that the thread used for the first time after the runtime had got it: see the promise of
/// [`Mode`](crate::Mode). Other threads go on meanwhile, as with these.
///
/// ```no_run
/// use gosched::{Mode, run};
///
/// run(Mode::threads(), || gosched::exit(3));
/// ```
#[doc(alias("process::exit", "os.Exit", "quit"))]
pub fn exit(code: i32) -> ! {
    pinned(|| process::exit(code))
}

/// Keeps the goroutine that runs on this thread from switching ever again.
///
/// The thread's thread-locals are being destroyed while it is in an M's loop: the goroutine has
/// called `exit`. A sibling that ran now would find thread-locals that are gone.
pub(crate) fn pin_for_good() {
    current::with(|cx| {
        if let Some(owned) = cx.and_then(Current::owned) {
            owned.pins.set(owned.pins.get() + 1);
        }
    });
}
