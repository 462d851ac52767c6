//! Closures that capture what is bound to their thread: they run there and are dropped there, or
//! not at all.
//!
//! # Safety
//!
//! A function is called with the user data of its own callback.
#![expect(unsafe_code, reason = "calls functions as C does; the mode's promise")]

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::Rc;
use std::thread;

use gosched::callback::{LocalCallback, OwnedByC, leaked_callbacks};
use gosched::{Mode, Runtime, blocking, chan};

type OfInt = fn(i32) -> i32;

/// What C has of a callback.
#[derive(Clone, Copy)]
struct InC(unsafe extern "C" fn(i32, *mut c_void) -> i32, *mut c_void);

// SAFETY: C may call from any thread; the callback looks which one it is.
unsafe impl Send for InC {}
// SAFETY: as above.
unsafe impl Sync for InC {}

impl InC {
    fn of(callback: &LocalCallback<OfInt>) -> Self {
        Self(callback.with_data_last(), callback.user_data())
    }

    fn owned(by_c: &OwnedByC<OfInt>) -> Self {
        Self(by_c.with_data_last, by_c.user_data)
    }

    fn call(self, value: i32) -> i32 {
        // SAFETY: they belong together.
        unsafe { (self.0)(value, self.1) }
    }

    fn call_elsewhere(self, value: i32) -> i32 {
        thread::scope(|scope| scope.spawn(move || self.call(value)).join().expect("no panic"))
    }
}

fn runtime() -> Runtime {
    Runtime::builder(Mode::threads()).build().expect("a runtime")
}

/// Returns a callback that adds to what it shares with the caller.
fn adds(runtime: &Runtime) -> (LocalCallback<OfInt>, Rc<Cell<i32>>) {
    let sum = Rc::new(Cell::new(0));
    let captured = sum.clone();
    let add = move |n: i32| {
        captured.set(captured.get() + n);
        captured.get()
    };
    (LocalCallback::new(runtime.handle(), -1, add).expect("memory"), sum)
}

#[test]
fn a_closure_runs_on_its_own_thread_and_on_no_other() {
    let runtime = runtime();
    let (callback, sum) = adds(&runtime);
    let in_c = InC::of(&callback);
    assert_eq!((in_c.call(3), in_c.call_elsewhere(100), in_c.call(4)), (3, -1, 7));
    drop(callback);
    assert_eq!((in_c.call(5), in_c.call_elsewhere(5)), (-1, -1), "late calls");
    assert_eq!(Rc::into_inner(sum).map(Cell::into_inner), Some(7), "dropped with its owner");
}

#[test]
fn a_callback_that_waits_and_drops_itself_stays_where_it_is() {
    let runtime = runtime();
    let (tx, rx) = chan::bounded(0);
    let sender = runtime.handle().go(move || (0..3).try_for_each(|n| tx.send(n)));
    let slot = Rc::new(RefCell::new(None::<LocalCallback<OfInt>>));
    let (captured, here) = (slot.clone(), thread::current().id());
    let f = move |n: i32| {
        let received: i32 = (0..3).map(|_| rx.recv().expect("sent")).sum();
        drop(captured.take());
        assert_eq!(thread::current().id(), here);
        received + n
    };
    let callback = LocalCallback::new(runtime.handle(), -1, f).expect("memory");
    let in_c = InC::of(&callback);
    slot.replace(Some(callback));
    assert_eq!((in_c.call(1), in_c.call(1)), (4, -1));
    assert_eq!(Rc::strong_count(&slot), 1, "what was captured is gone");
    sender.join().expect("no panic").expect("received");
}

/// What runs for a goroutine need not run on its thread.
#[test]
fn a_goroutine_has_its_callback_where_it_made_it() {
    // SAFETY: nothing waits in an initialiser, nor in code that keeps something on the thread.
    let settled = unsafe { Mode::settled() };
    for mode in [Mode::threads(), settled] {
        let runtime = Runtime::builder(mode).procs(2).build().expect("a runtime");
        let handle = runtime.handle();
        let ends = runtime.handle().go(move || {
            let sum = Rc::new(Cell::new(0));
            let captured = sum.clone();
            let add = move |n: i32| captured.replace(captured.get() + n) + n;
            let callback = LocalCallback::<OfInt>::new(handle, -1, add).expect("memory");
            let in_c = InC::of(&callback);
            let here = thread::current().id();
            let there = blocking(move || (thread::current().id() == here, in_c.call(100)));
            let is_right = there == (true, 100) || there == (false, -1);
            drop(callback);
            is_right && Rc::strong_count(&sum) == 1
        });
        assert!(ends.join().expect("no panic"));
    }
}

#[test]
fn what_c_ends_elsewhere_is_never_dropped() {
    let runtime = runtime();
    let before = leaked_callbacks();
    let (callback, sum) = adds(&runtime);
    let by_c = callback.into_c();
    assert_eq!(InC::owned(&by_c).call(3), 3);
    // SAFETY: nothing calls it any more.
    unsafe { (by_c.drop)(by_c.user_data) };
    assert_eq!((Rc::strong_count(&sum), leaked_callbacks()), (1, before), "ended where it belongs");

    let (callback, sum) = adds(&runtime);
    let by_c = callback.into_c();
    let in_c = InC::owned(&by_c);
    let end = by_c.drop;
    let ends = move || {
        let InC(_, data) = { in_c };
        // SAFETY: as above.
        unsafe { end(data) }
    };
    thread::scope(|scope| scope.spawn(ends).join().expect("no panic"));
    assert_eq!((Rc::strong_count(&sum), leaked_callbacks()), (2, before + 1));

    // The thread is gone, and no other one will be it.
    let in_c = thread::scope(|scope| {
        let maker = scope.spawn(|| {
            let (callback, _sum) = adds(&runtime);
            let in_c = InC::of(&callback);
            std::mem::forget(callback);
            assert_eq!(in_c.call(1), 1);
            in_c
        });
        maker.join().expect("no panic")
    });
    assert!((0..100).all(|_| in_c.call_elsewhere(1) == -1) && in_c.call(1) == -1);
}
