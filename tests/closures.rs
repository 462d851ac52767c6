//! Closures that C calls: what it gets, who waits, and when what was captured goes.
//!
//! # Safety
//!
//! Each call has the user data of the callback that the function is from, which was not ended by
//! C's own function.
#![expect(unsafe_code, reason = "calls that C makes, and fork; an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use gosched::callback::{
    Binding, Bridge, Callback, CloseError, Closure, Otherwise, OwnedByC, kept_callbacks,
};
use gosched::goroutine::current_id;
use gosched::{Handle, Mode, Runtime, chan};
use test_support::{death, each_mode, in_child};

const LONG: Duration = Duration::from_secs(60);

type OfInt = fn(c_int) -> c_int;
type Last = unsafe extern "C" fn(c_int, *mut c_void) -> c_int;

/// What C has: a function and user data. Any thread may call.
#[derive(Clone, Copy)]
struct InC(Last, *mut c_void);

// SAFETY: a callback may be called from any thread.
unsafe impl Send for InC {}
// SAFETY: as above.
unsafe impl Sync for InC {}

impl InC {
    fn of(callback: &Callback<OfInt>) -> Self {
        Self(callback.with_data_last(), callback.user_data())
    }

    fn owned(by_c: OwnedByC<OfInt>) -> (Self, unsafe extern "C" fn(*mut c_void)) {
        (Self(by_c.with_data_last, by_c.user_data), by_c.drop)
    }

    fn call(self, value: c_int) -> c_int {
        // SAFETY: they belong together.
        unsafe { (self.0)(value, self.1) }
    }
}

const OTHERWISE: Otherwise<c_int> = Otherwise { refused: -1, panicked: -2, cancelled: -3 };

fn callback(handle: Handle, f: impl Closure<OfInt>) -> Callback<OfInt> {
    Callback::new(handle, OTHERWISE, f).expect("memory")
}

fn runtime() -> Runtime {
    Runtime::builder(Mode::threads()).build().expect("a runtime")
}

/// Calls `test` on a thread that has not called in yet, and on one that has an M: a call finds its
/// way to what it calls from inside by another word there.
fn first_and_later(test: fn(&Runtime)) {
    for later in [false, true] {
        let rt = runtime();
        let body = move || {
            if later {
                Bridge::new(&rt).enter(|| ()).expect("it is open");
            }
            test(&rt);
        };
        thread::spawn(body).join().expect("no panic");
    }
}

/// Captured by a closure: says when it is dropped.
struct Captured(Arc<AtomicUsize>);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn captured() -> (Captured, impl Fn() -> usize) {
    let drops = Arc::new(AtomicUsize::new(0));
    (Captured(drops.clone()), move || drops.load(Relaxed))
}

#[test]
fn the_user_data_is_first_or_last() {
    let rt = runtime();
    let none: Callback<fn()> = Callback::new(rt.handle(), (), || ()).expect("memory");
    // SAFETY: they belong together.
    unsafe { (none.with_data_first())(none.user_data()) };
    type Eight = fn(u8, u16, f32, i64, bool, usize, f64, *const u8) -> f64;
    let eight: Callback<Eight> = Callback::new(
        rt.handle(),
        f64::NAN,
        |a: u8, b: u16, c: f32, d: i64, e: bool, f: usize, g: f64, h: *const u8| {
            assert!(e && h.is_null() && current_id().is_some());
            f64::from(a) + f64::from(b) + f64::from(c) + d as f64 + f as f64 + g
        },
    )
    .expect("memory");
    let (first, last, data) = (eight.with_data_first(), eight.with_data_last(), eight.user_data());
    // SAFETY: they belong together.
    let sum = unsafe { first(data, 1, 2, 3.0, 4, true, 5, 6.0, std::ptr::null()) };
    assert_eq!(sum, 21.0);
    // SAFETY: as above.
    let sum = unsafe { last(1, 2, 3.0, 4, true, 5, 6.0, std::ptr::null(), data) };
    assert_eq!(sum, 21.0);
}

#[test]
fn c_gets_a_value_for_each_way_to_fail() {
    each_mode(|rt, mode| {
        for binding in [Binding::PerCall, Binding::UntilThreadExit] {
            // One of its own: the shutdown ends it.
            let own = Runtime::builder(mode).build().expect("a runtime");
            let (_tx, never) = chan::bounded::<()>(0);
            let (begun, has_begun) = chan::bounded(0);
            let f = move |value: c_int| match value {
                0 => std::panic::resume_unwind(Box::new(())),
                1 => {
                    begun.send(()).expect("awaited");
                    never.recv().map_or(5, |()| 6)
                }
                _ => value * 2,
            };
            let callback: Callback<OfInt> =
                Callback::with_binding(own.handle(), binding, OTHERWISE, f).expect("memory");
            let c = InC::of(&callback);
            thread::spawn(move || assert_eq!((c.call(0), c.call(8)), (-2, 16)))
                .join()
                .expect("ran");
            // In a goroutine of the runtime, and in one of another.
            own.run(|| assert_eq!((c.call(0), c.call(8)), (-2, 16)));
            rt.run(|| assert_eq!((c.call(0), c.call(8)), (-2, 16)));
            let waits = thread::spawn(move || (c.call(1), c.call(8)));
            has_begun.recv().expect("sent");
            own.shutdown(LONG).expect("it unwinds");
            assert_eq!(waits.join().expect("no panic"), (-3, -1));
        }
    });
}

#[test]
fn late_calls_are_refused_and_what_was_captured_is_gone() {
    let rt = runtime();
    let (captured, drops) = captured();
    let callback = callback(rt.handle(), move |value| {
        let _captured = &captured;
        value
    });
    let c = InC::of(&callback);
    thread::spawn(move || assert_eq!(c.call(3), 3)).join().expect("ran");
    assert_eq!((c.call(4), drops()), (4, 0));
    let kept = kept_callbacks();
    callback.unregister();
    assert_eq!((c.call(4), drops()), (-1, 1));
    thread::spawn(move || assert_eq!(c.call(3), -1)).join().expect("ran");
    // Other tests may unregister as well.
    assert!(kept_callbacks() > kept);
}

#[test]
fn unregistering_waits_for_calls_of_others() {
    each_mode(|rt, _| {
        let (captured, drops) = captured();
        let (inside, is_inside) = chan::bounded(0);
        let (leave, may_leave) = chan::bounded::<()>(0);
        let callback = callback(rt.handle(), move |value| {
            let _captured = &captured;
            inside.send(()).expect("awaited");
            may_leave.recv().expect("sent");
            value
        });
        let c = InC::of(&callback);
        let callers = [1, 2].map(|value| thread::spawn(move || c.call(value)));
        (0..2).for_each(|_| is_inside.recv().expect("sent"));
        assert_eq!(callback.close(Duration::ZERO), Err(CloseError::Running { calls: 2 }));
        assert_eq!(c.call(3), -1, "it is closed");
        let unregisters = rt.handle().go(move || callback.unregister());
        leave.send(()).expect("awaited");
        assert_eq!(drops(), 0, "one is inside");
        leave.send(()).expect("awaited");
        unregisters.join().expect("no panic");
        assert_eq!(drops(), 1);
        assert_eq!(callers.map(|caller| caller.join().expect("no panic")), [1, 2]);
    });
}

type Kept = Arc<Mutex<Option<Callback<OfInt>>>>;

/// A callback that calls itself down to 0, and there does `at_the_bottom` with its owner.
fn calls_itself(
    rt: &Runtime,
    captured: Captured,
    at_the_bottom: impl Fn(Option<Callback<OfInt>>) + Send + Sync + 'static,
) -> (InC, Kept) {
    let kept: Kept = Arc::default();
    let (theirs, own) = (kept.clone(), Arc::new(Mutex::new(None::<InC>)));
    let to_itself = own.clone();
    let callback = callback(rt.handle(), move |value| {
        let Captured(drops) = &captured;
        let itself = to_itself.lock().expect("no panic").expect("it is there");
        if value > 0 {
            let inner = itself.call(value - 1);
            assert_eq!(drops.load(Relaxed), 0, "it is in use");
            return inner + 1;
        }
        at_the_bottom(theirs.lock().expect("no panic").take());
        assert_eq!(drops.load(Relaxed), 0, "it is in use");
        assert_eq!(itself.call(0), -1, "it is unregistered");
        0
    });
    let c = InC::of(&callback);
    *own.lock().expect("no panic") = Some(c);
    *kept.lock().expect("no panic") = Some(callback);
    (c, kept)
}

#[test]
fn a_callback_may_drop_itself_inside_itself() {
    each_mode(|rt, _| {
        for (depth, later) in [(0, false), (1, false), (3, false), (0, true), (1, true), (3, true)]
        {
            let (captured, drops) = captured();
            let (c, _kept) = calls_itself(rt, captured, drop);
            let bridge = Bridge::new(rt);
            let calls = move || {
                if later {
                    bridge.enter(|| ()).expect("it is open");
                }
                assert_eq!((c.call(depth), c.call(0)), (depth, -1));
            };
            thread::spawn(calls).join().expect("no panic");
            assert_eq!(drops(), 1);
            let (captured, drops) = self::captured();
            let (c, _kept) = calls_itself(rt, captured, |callback| {
                callback.expect("it is there").unregister();
            });
            rt.run(|| assert_eq!((c.call(depth), c.call(0)), (depth, -1)));
            assert_eq!(drops(), 1);
        }
    });
}

#[test]
fn a_callback_may_replace_itself() {
    first_and_later(replaces_itself);
}

fn replaces_itself(rt: &Runtime) {
    let (captured, drops) = captured();
    let handle = rt.handle();
    let new: Kept = Arc::default();
    let theirs = new.clone();
    let (c, _kept) = calls_itself(rt, captured, move |old| {
        let mut new = theirs.lock().expect("no panic");
        *new = Some(callback(handle.clone(), |value| value + 100));
        drop(old);
    });
    assert_eq!(c.call(0), 0);
    let new = new.lock().expect("no panic").take().expect("it was replaced");
    assert_eq!((InC::of(&new).call(1), drops()), (101, 1));
}

#[test]
fn what_c_owns_is_freed_by_its_function() {
    let rt = runtime();
    let (captured, drops) = captured();
    let of_c = callback(rt.handle(), move |value| {
        let _captured = &captured;
        value
    });
    let (c, end) = InC::owned(of_c.into_c());
    assert_eq!((c.call(2), drops()), (2, 0));
    // SAFETY: no call is under way, and none comes.
    unsafe { end(c.1) };
    assert_eq!(drops(), 1);
}

#[test]
fn what_c_owns_may_be_ended_inside_itself() {
    first_and_later(ends_inside_itself);
}

fn ends_inside_itself(rt: &Runtime) {
    let (captured, drops) = captured();
    let end = Arc::new(Mutex::new(None::<(InC, unsafe extern "C" fn(*mut c_void))>));
    let to_end = end.clone();
    let of_c = callback(rt.handle(), move |value| {
        let Captured(drops) = &captured;
        let (c, end) = to_end.lock().expect("no panic").take().expect("it is there");
        // SAFETY: this call alone is under way, and none comes.
        unsafe { end(c.1) };
        assert_eq!(drops.load(Relaxed), 0, "it is in use");
        value
    });
    let (c, drop_by_c) = InC::owned(of_c.into_c());
    *end.lock().expect("no panic") = Some((c, drop_by_c));
    assert_eq!((c.call(2), drops()), (2, 1));
}

/// Nothing runs after `unregister`, whoever is about to call.
#[test]
fn nothing_runs_after_unregistering_while_threads_call() {
    let rt = runtime();
    for _ in 0..20 {
        let (captured, drops) = captured();
        let calls = Arc::new(AtomicUsize::new(0));
        let (counts, over) = (calls.clone(), Arc::new(AtomicBool::new(false)));
        let is_over = over.clone();
        let callback = callback(rt.handle(), move |value| {
            let Captured(drops) = &captured;
            counts.fetch_add(1, Relaxed);
            assert!(!is_over.load(Relaxed) && drops.load(Relaxed) == 0);
            value
        });
        let (c, begin) = (InC::of(&callback), Barrier::new(4));
        thread::scope(|scope| {
            let callers = [(); 3].map(|()| {
                scope.spawn(|| {
                    begin.wait();
                    let mut answer = 7;
                    while answer == 7 {
                        answer = c.call(7);
                    }
                    answer
                })
            });
            begin.wait();
            while calls.load(Relaxed) < 50 {
                thread::yield_now();
            }
            callback.unregister();
            over.store(true, Relaxed);
            assert_eq!(drops(), 1);
            for caller in callers {
                assert_eq!(caller.join().expect("no panic"), -1);
            }
        });
    }
}

#[test]
fn in_a_forked_child_calls_are_refused_and_nothing_is_dropped() {
    let name = "in_a_forked_child_calls_are_refused_and_nothing_is_dropped";
    let Some(output) = in_child(name) else {
        let rt = runtime();
        let (captured, drops) = captured();
        let callback = callback(rt.handle(), move |value| {
            let _captured = &captured;
            value
        });
        let c = InC::of(&callback);
        assert_eq!(c.call(1), 1);
        // SAFETY: the child uses what is documented to work there, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            assert_eq!(c.call(1), -1);
            callback.unregister();
            assert_eq!((c.call(1), drops()), (-1, 0));
            // SAFETY: has no precondition.
            unsafe { libc::_exit(0) }
        }
        let mut status = 0;
        // SAFETY: a child of ours, waited for once.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
        assert_eq!(c.call(1), 1);
        return;
    };
    assert!(output.status.success(), "{}", death(&output).1);
}

/// A callback in an entry of a bridge, and an entry in a callback, are one goroutine.
#[test]
fn callbacks_and_bridges_nest() {
    let rt = runtime();
    let bridge = Bridge::new(&rt);
    let inner = bridge.clone();
    let callback = callback(rt.handle(), move |value| {
        assert_eq!(inner.enter(current_id).expect("it is open"), current_id());
        value
    });
    let c = InC::of(&callback);
    let answer = bridge.enter(|| (c.call(1), current_id().is_some()));
    assert_eq!(answer.expect("it is open"), (1, true));
    let _attached = bridge.attach().expect("it is open");
    assert_eq!(c.call(2), 2);
}

gosched::goroutine_local! {
    static AT_THE_END: Unregisters = Unregisters(Arc::default());
}

/// The goroutine's locals are dropped inside of its call.
#[test]
fn a_local_may_unregister_the_call_that_it_ends_with() {
    first_and_later(|rt| {
        let (captured, dropped) = captured();
        let kept: Kept = Arc::default();
        let own = kept.clone();
        let unregisters = callback(rt.handle(), move |value| {
            let _captured = &captured;
            let callback = own.lock().expect("no panic").take();
            AT_THE_END.with(|end| *end.0.lock().expect("no panic") = callback);
            value
        });
        let c = InC::of(&unregisters);
        *kept.lock().expect("no panic") = Some(unregisters);
        assert_eq!((c.call(3), dropped()), (3, 1));
        assert_eq!(c.call(3), -1);
    });
}

/// A callback of one runtime calls one of another, which ends them both.
#[test]
fn a_callback_may_end_one_of_another_runtime_around_it() {
    first_and_later(|rt| {
        let other = runtime();
        let (captured, dropped) = captured();
        let outer: Kept = Arc::default();
        let to_end = outer.clone();
        let inner = callback(other.handle(), move |value| {
            drop(to_end.lock().expect("no panic").take());
            value
        });
        let to_inner = InC::of(&inner);
        let calls = callback(rt.handle(), move |value| {
            let Captured(drops) = &captured;
            let answer = to_inner.call(value);
            assert_eq!(drops.load(Relaxed), 0, "it is in use");
            answer + 1
        });
        let c = InC::of(&calls);
        *outer.lock().expect("no panic") = Some(calls);
        assert_eq!((c.call(4), dropped(), c.call(4)), (5, 1, -1));
        drop(inner);
    });
}

/// The payload of a panic, which unregisters the callback when it is dropped.
struct Unregisters(Arc<Mutex<Option<Callback<OfInt>>>>);

impl Drop for Unregisters {
    fn drop(&mut self) {
        drop(self.0.lock().expect("no panic").take());
    }
}

#[test]
fn a_payload_that_unregisters_waits_for_the_calls_of_others() {
    let rt = runtime();
    let registered: Arc<Mutex<Option<Callback<OfInt>>>> = Arc::default();
    let (captured, dropped) = captured();
    let (inside, is_inside) = chan::bounded(1);
    let (go_on, may_go_on) = chan::bounded::<()>(1);
    let in_closure = registered.clone();
    let registers = callback(rt.handle(), move |value: c_int| {
        let _captured = &captured;
        if value == 2 {
            return value;
        }
        if value == 0 {
            std::panic::resume_unwind(Box::new(Unregisters(in_closure.clone())));
        }
        inside.send(()).expect("it is awaited");
        may_go_on.recv().expect("it comes");
        value
    });
    let c = InC::of(&registers);
    *registered.lock().expect("no panic") = Some(registers);
    let user = thread::spawn(move || c.call(1));
    is_inside.recv().expect("it comes");
    let panics = thread::spawn(move || c.call(0));
    // It has been taken, so its drop is under way. New calls are refused from then on.
    while c.call(2) != -1 {
        thread::yield_now();
    }
    assert_eq!(dropped(), 0, "another thread runs the closure");
    go_on.send(()).expect("it is awaited");
    assert_eq!((user.join().expect("no panic"), panics.join().expect("no panic")), (1, -2));
    assert_eq!(dropped(), 1);
}

/// Two closers wait, one of them in a call. The last other call to go out tells both.
#[test]
fn a_closer_inside_itself_is_told_beside_another_closer() {
    let rt = runtime();
    let registered: Arc<Mutex<Option<Arc<Callback<OfInt>>>>> = Arc::default();
    let (inside, is_inside) = chan::bounded(2);
    let (go_on, may_go_on) = chan::bounded::<()>(0);
    let (close, may_close) = chan::bounded::<()>(0);
    let in_closure = registered.clone();
    let callback = Arc::new(callback(rt.handle(), move |value: c_int| {
        if value == 2 {
            return value;
        }
        inside.send(()).expect("it is awaited");
        if value == 0 {
            may_close.recv().expect("it comes");
            let callback = in_closure.lock().expect("no panic").clone().expect("it is there");
            return c_int::from(callback.close(LONG).is_ok());
        }
        may_go_on.recv().expect("it comes");
        1
    }));
    *registered.lock().expect("no panic") = Some(callback.clone());
    let c = InC::of(&callback);
    let (inner, other) = (thread::spawn(move || c.call(0)), thread::spawn(move || c.call(1)));
    (0..2).for_each(|_| is_inside.recv().expect("it comes"));
    let outer = {
        let callback = callback.clone();
        thread::spawn(move || callback.close(LONG).is_ok())
    };
    while c.call(2) != -1 {
        thread::yield_now();
    }
    close.send(()).expect("it is awaited");
    go_on.send(()).expect("it is awaited");
    assert_eq!(other.join().expect("no panic"), 1);
    assert_eq!(inner.join().expect("no panic"), 1);
    assert!(outer.join().expect("no panic"));
    registered.lock().expect("no panic").take();
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are allocated.
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// How many bytes are allocated, and how many mappings the process has.
fn in_use() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("procfs");
    (BYTES.load(Relaxed), maps.lines().count())
}

/// The block of an unregistered callback stays, and with it nothing of its runtime: in a child,
/// because other tests map memory at the same time.
#[test]
fn a_kept_callback_keeps_no_runtime() {
    const RUNTIMES: usize = 100;
    let path = "a_kept_callback_keeps_no_runtime";
    let round = |keep: &mut Vec<InC>| {
        let rt = runtime();
        let kept = callback(rt.handle(), |value| value + 1);
        let c = InC::of(&kept);
        assert_eq!(thread::spawn(move || c.call(1)).join().expect("ran"), 2);
        assert_eq!((c.call(2), rt.run(|| c.call(3))), (3, 4));
        drop(kept);
        rt.shutdown(LONG).expect("nobody is inside");
        keep.push(c);
    };
    let Some(output) = in_child(path) else {
        let mut keep = Vec::new();
        // The first ones map what stays for all.
        (0..10).for_each(|_| round(&mut keep));
        let before = in_use();
        (0..RUNTIMES).for_each(|_| round(&mut keep));
        let after = in_use();
        assert!(keep.into_iter().all(|c| c.call(1) == -1));
        assert_eq!(kept_callbacks(), 10 + RUNTIMES);
        // A runtime has 50 KB, and two mappings where goroutines have stacks.
        let told = format!("{before:?} and then {after:?}");
        assert!(after.0 < before.0 + RUNTIMES * 5000, "{told} bytes and mappings");
        assert!(after.1 < before.1 + RUNTIMES / 4, "{told} bytes and mappings");
        return;
    };
    assert!(output.status.success(), "{output:?}");
}
