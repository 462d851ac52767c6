//! What runs on a thread after its main function: the destructors of its thread-locals.
//!
//! `exit` calls them, too, on the stack of its caller, and after them the process's own handlers
//! (`atexit`). C runs the destructors in the reverse order of their registration. So the hook of
//! [`watch`] comes before those that were registered earlier, and before all such handlers; it
//! comes after those that were registered later.
//!
//! These thread-locals stand apart from the others (`tls`), because one has a destructor. No signal
//! handler reads them. As there, each accessor is out of line, because a goroutine may resume on
//! another thread.
//!
//! Rejected: a handler of `atexit` alone. The thread-locals' destructors run before it, and so do
//! the handlers that were registered after it.

use std::cell::Cell;

thread_local! {
    static WATCH: Watch = const { Watch(Cell::new(None)) };
    static MADE_FOR: Cell<usize> = const { Cell::new(0) };
    static COUNTED: Cell<bool> = const { Cell::new(false) };
    static LAST: Last = const { Last(Cell::new(None)) };
}

/// What a thread does last; see [`at_end`].
type LastAct = Box<dyn FnOnce()>;

/// Calls its closure when the thread's thread-locals are destroyed.
struct Last(Cell<Option<LastAct>>);

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}

/// Calls its hook when the thread's thread-locals are destroyed.
struct Watch(Cell<Option<fn()>>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(hook) = self.0.get() {
            hook();
        }
    }
}

/// Has `hook` called on this thread when its thread-locals are destroyed: at its end, or in `exit`.
#[inline(never)]
pub fn watch(hook: fn()) {
    // Fails on a thread whose thread-locals are gone already.
    let _too_late = WATCH.try_with(|watch| watch.0.set(Some(hook)));
}

/// Has `act` called when the calling thread's thread-locals are destroyed: after those that it uses
/// for the first time from here on. Called once, when the thread begins.
#[inline(never)]
pub fn at_end(act: LastAct) {
    LAST.with(|last| last.0.set(Some(act)));
}

/// Sets a mark on the calling thread: that somebody counts it until its last act. Returns the mark
/// before.
#[inline(never)]
pub fn set_counted(is_counted: bool) -> bool {
    COUNTED.with(|mark| mark.replace(is_counted))
}

/// Records what the thread was made for: an address, which nothing follows.
#[inline(never)]
pub fn set_made_for(address: usize) {
    MADE_FOR.with(|word| word.set(address));
}

/// Returns the address that [`set_made_for`] recorded for this thread; zero without one.
#[inline(never)]
pub fn made_for() -> usize {
    MADE_FOR.with(Cell::get)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    static CALLED: AtomicUsize = AtomicUsize::new(0);

    fn count() {
        CALLED.fetch_add(1, Relaxed);
        assert_eq!(made_for(), 7, "it can be read until the end");
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn the_last_act_comes_after_the_destructors() {
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                LATE.store(1, Relaxed);
            }
        }
        static LATE: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THEIRS: Late = const { Late };
        }
        let thread = std::thread::spawn(|| {
            at_end(Box::new(|| assert_eq!(LATE.swap(2, Relaxed), 1)));
            THEIRS.with(|_| ());
        });
        thread.join().expect("no panic");
        assert_eq!(LATE.load(Relaxed), 2);
    }

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn the_hook_runs_once_for_each_thread_that_asked() {
        for _ in 0..3 {
            let thread = std::thread::spawn(|| {
                set_made_for(7);
                watch(count);
                watch(count);
                assert_eq!(made_for(), 7);
            });
            thread.join().expect("no panic");
        }
        std::thread::spawn(|| assert_eq!(made_for(), 0)).join().expect("no panic");
        assert_eq!(CALLED.load(Relaxed), 3);
    }
}
