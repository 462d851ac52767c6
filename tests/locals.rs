//! Goroutine-locals, and context in thread-locals that goroutines carry along.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use gosched::callback::{Binding, Bridge};
use gosched::local::NoGoroutine;
use gosched::{
    Cancelled, Carry, Mode, Runtime, blocking, chan, go, goroutine, goroutine_local, yield_now,
};
use test_support::{death, each_mode, in_child, modes, settled};

goroutine_local! {
    static COUNT: Cell<u32> = Cell::new(0);
    /// Not `Send`.
    static LIST: RefCell<Vec<Rc<u32>>> = RefCell::default();
}

#[test]
fn each_goroutine_has_its_own() {
    each_mode(|rt, _| {
        rt.run(|| {
            let goroutines: Vec<_> = (1..20)
                .map(|n| {
                    go(move || {
                        for _ in 0..n {
                            COUNT.with(|count| count.set(count.get() + 1));
                            yield_now();
                            LIST.with(|list| {
                                // Held over a wait. A sibling on this thread has a list of its own.
                                let mut list = list.borrow_mut();
                                yield_now();
                                list.push(Rc::new(n));
                            });
                        }
                        (
                            COUNT.with(Cell::get),
                            LIST.with(|list| list.borrow().iter().map(|n| **n).sum::<u32>()),
                        )
                    })
                })
                .collect();
            for (n, goroutine) in (1..20).zip(goroutines) {
                assert_eq!(goroutine.join().expect("no panic"), (n, n * n));
            }
            assert_eq!(COUNT.with(Cell::get), 0, "the root has its own, too");
        });
        assert_eq!(rt.run(|| COUNT.with(|count| count.replace(5))), 0, "and each root");
    });
}

#[test]
fn a_plain_thread_has_none() {
    assert_eq!(COUNT.try_with(Cell::get), Err(NoGoroutine));
    thread::spawn(|| COUNT.with(Cell::get)).join().expect_err("it panicked");
}

/// Notes its drop, while its goroutine is still the current one, and waits there.
struct Tells(&'static str, Arc<Mutex<Vec<&'static str>>>, u64);

impl Drop for Tells {
    fn drop(&mut self) {
        yield_now();
        assert_eq!(goroutine::current_id(), Some(self.2));
        self.1.lock().expect("no panic").push(self.0);
    }
}

fn tells(name: &'static str, log: &Arc<Mutex<Vec<&'static str>>>) -> Tells {
    Tells(name, log.clone(), goroutine::current_id().expect("a goroutine"))
}

goroutine_local! {
    static FIRST: RefCell<Option<Tells>> = RefCell::new(None);
    static SECOND: RefCell<Option<Tells>> = RefCell::new(None);
    static MAKES_ANOTHER: MakesAnother = MakesAnother(RefCell::new(None));
}

/// Initialises another local while it is dropped.
struct MakesAnother(RefCell<Option<Arc<Mutex<Vec<&'static str>>>>>);

impl Drop for MakesAnother {
    fn drop(&mut self) {
        if let Some(log) = self.0.take() {
            FIRST.with(|first| drop(first.replace(Some(tells("made by a drop", &log)))));
        }
    }
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

goroutine_local! {
    static COUNTED: RefCell<Option<Counted>> = RefCell::new(None);
}

#[test]
fn they_are_dropped_with_their_goroutine_before_it_is_joined() {
    each_mode(|rt, _| {
        for how in ["returns", "panics", "is cancelled"] {
            let drops = Arc::new(AtomicUsize::new(0));
            let counted = Counted(drops.clone());
            let (_tx, rx) = chan::bounded::<()>(0);
            let (begun, has_begun) = chan::bounded(1);
            let goroutine = rt.handle().go(move || {
                COUNTED.with(|local| local.replace(Some(counted)));
                begun.send(()).expect("awaited");
                match how {
                    "panics" => std::panic::resume_unwind(Box::new(1_u8)),
                    "is cancelled" => drop(rx.recv()),
                    _ => {}
                }
            });
            has_begun.recv().expect("it begins");
            if how == "is cancelled" {
                goroutine.cancel();
            }
            match goroutine.join() {
                Ok(()) => assert_eq!(how, "returns"),
                Err(payload) => assert_eq!(payload.is::<Cancelled>(), how == "is cancelled"),
            }
            assert_eq!(drops.load(Relaxed), 1, "a goroutine that {how}");
        }
    });
}

#[test]
fn the_last_one_is_dropped_first_and_may_wait_and_make_another() {
    each_mode(|rt, _| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let theirs = log.clone();
        let goroutine = rt.handle().go(move || {
            FIRST.with(|first| first.replace(Some(tells("first", &theirs))));
            SECOND.with(|second| second.replace(Some(tells("second", &theirs))));
        });
        goroutine.join().expect("no panic");
        assert_eq!(*log.lock().expect("no panic"), ["second", "first"]);
        log.lock().expect("no panic").clear();
        let theirs = log.clone();
        rt.run(|| {
            MAKES_ANOTHER.with(|makes| makes.0.replace(Some(theirs.clone())));
            SECOND.with(|second| second.replace(Some(tells("second", &theirs))));
        });
        assert_eq!(*log.lock().expect("no panic"), ["second", "made by a drop"]);
    });
}

goroutine_local! {
    static WAITS: u64 = {
        let id = goroutine::current_id().expect("a goroutine");
        yield_now();
        id
    };
    static NESTED: u32 = NESTED_DEPTH.with(|depth| {
        depth.set(depth.get() + 1);
        if depth.get() < 3 { NESTED.with(|value| value + 100) } else { 7 }
    });
    static NESTED_DEPTH: Cell<u32> = Cell::new(0);
    static PANICS: u32 = {
        COUNT.with(|count| count.set(count.get() + 1));
        assert!(COUNT.with(Cell::get) > 1, "the first time");
        9
    };
}

#[test]
fn an_initialiser_may_wait_fail_and_ask_for_itself() {
    each_mode(|rt, _| {
        rt.run(|| {
            let goroutines: Vec<_> =
                (0..8).map(|_| go(|| (WAITS.with(|id| *id), goroutine::current_id()))).collect();
            for goroutine in goroutines {
                let (value, id) = goroutine.join().expect("no panic");
                assert_eq!(Some(value), id);
            }
            // The innermost value was there first, and stays.
            let nested = go(|| (NESTED.with(|value| *value), NESTED.with(|value| *value)));
            assert_eq!(nested.join().expect("no panic"), (7, 7));
            let again = go(|| {
                std::panic::catch_unwind(|| PANICS.with(|_| ())).expect_err("the first time");
                PANICS.with(|value| *value)
            });
            assert_eq!(again.join().expect("no panic"), 9);
        });
    });
}

#[test]
fn a_callback_has_locals_until_it_returns() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        each_mode(|rt, _| {
            let bridge = Bridge::new(rt).with_binding(binding);
            let log = Arc::new(Mutex::new(Vec::new()));
            let theirs = log.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    bridge
                        .enter(|| {
                            FIRST.with(|first| first.replace(Some(tells("first", &theirs))));
                            // Nested, it is the same goroutine.
                            let nested = c_side::thread::through_c(|| {
                                bridge.enter(|| COUNT.with(|count| count.replace(count.get() + 1)))
                            });
                            assert_eq!(nested.expect("let in"), 0);
                            assert_eq!(COUNT.with(Cell::get), 1);
                        })
                        .expect("let in");
                    assert_eq!(theirs.lock().expect("no panic").pop(), Some("first"));
                    assert_eq!(COUNT.try_with(Cell::get), Err(NoGoroutine));
                }
            })
            .join()
            .expect("no panic");
        });
    }
}

#[test]
fn a_blocking_call_does_not_disturb_them() {
    each_mode(|rt, _| {
        rt.run(|| {
            let goroutine = go(|| {
                COUNT.with(|count| count.set(3));
                blocking(|| COUNT.with(|count| count.set(count.get() + 10)));
                COUNT.with(Cell::get)
            });
            // On another thread it has its own value; in place, this goroutine's.
            assert!([3, 13].contains(&goroutine.join().expect("no panic")));
        });
    });
}

#[test]
fn a_panic_in_a_drop_of_one_ends_the_process() {
    let Some(output) = in_child("a_panic_in_a_drop_of_one_ends_the_process") else {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("in a drop");
            }
        }
        goroutine_local! {
            static ONE: Panics = Panics;
        }
        let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
        return rt.run(|| ONE.with(|_| ()));
    };
    let (signal, said) = death(&output);
    assert_eq!(signal, Some(libc::SIGABRT), "{said}");
    assert!(said.contains("gosched: a goroutine-local panicked while it was dropped"), "{said}");
}

thread_local! {
    static SPAN: Cell<u64> = const { Cell::new(0) };
}

/// Carries `SPAN`, and counts.
struct CarrySpan {
    taken: Arc<AtomicUsize>,
    put_back: Arc<AtomicUsize>,
}

impl Carry for CarrySpan {
    type Context = u64;

    fn suspend(&self) -> u64 {
        assert_eq!(goroutine::current_id(), None);
        self.taken.fetch_add(1, Relaxed);
        SPAN.replace(0)
    }

    fn resume(&self, span: u64) {
        assert_eq!(goroutine::current_id(), None);
        self.put_back.fetch_add(1, Relaxed);
        SPAN.set(span);
    }
}

/// Waits in both functions, which carried context should not do: the thread waits.
struct WaitsAtSwitches;

impl Carry for WaitsAtSwitches {
    type Context = thread::ThreadId;

    fn suspend(&self) -> thread::ThreadId {
        let (tx, rx) = chan::bounded(1);
        tx.send(thread::current().id()).expect("there is room");
        rx.recv().expect("sent")
    }

    fn resume(&self, _: thread::ThreadId) {
        let (tx, rx) = chan::bounded(0);
        let sends = thread::spawn(move || tx.send(3).expect("received"));
        assert_eq!(rx.recv(), Ok(3));
        sends.join().expect("no panic");
        yield_now();
    }
}

#[test]
fn context_stays_with_its_goroutine() {
    for mode in modes() {
        for procs in [1, 2, 4, 8] {
            let (taken, put_back) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let carry = CarrySpan { taken: taken.clone(), put_back: put_back.clone() };
            let rt = Runtime::builder(mode).procs(procs).carry(carry).build().expect("a runtime");
            SPAN.set(1000);
            rt.run(|| {
                assert_eq!(SPAN.get(), 1000, "the root begins with its thread's");
                let (tx, rx) = chan::bounded(0);
                let goroutines: Vec<_> = (1..20)
                    .map(|n| {
                        let tx = tx.clone();
                        go(move || {
                            assert_eq!(SPAN.get(), 0, "begun with another one's context");
                            SPAN.set(n);
                            for round in 0..50 {
                                yield_now();
                                assert_eq!(SPAN.get(), n);
                                tx.send(round).expect("received");
                                assert_eq!(SPAN.get(), n);
                            }
                            // It ends with the context that it has.
                        })
                    })
                    .collect();
                drop(tx);
                assert_eq!(rx.iter().count(), 19 * 50);
                assert_eq!(SPAN.get(), 1000);
                goroutines.into_iter().for_each(|goroutine| goroutine.join().expect("no panic"));
            });
            assert_eq!(SPAN.replace(0), 1000);
            rt.shutdown(gosched::DROP_GRACE).expect("it ends");
            // What those 19 had at their ends was taken and not put back.
            let switches = taken.load(Relaxed) - 19;
            assert_eq!(put_back.load(Relaxed), switches);
            assert_eq!(
                switches > 0,
                mode != Mode::threads(),
                "a thread of its own is not switched away from"
            );
        }
    }
}

#[test]
fn who_waits_at_a_switch_blocks_the_thread_and_nothing_else() {
    for mode in modes() {
        for procs in [1, 2] {
            let rt = Runtime::builder(mode)
                .procs(procs)
                .carry(WaitsAtSwitches)
                .build()
                .expect("a runtime");
            let sum = rt.run(|| {
                let (tx, rx) = chan::bounded(0);
                let goroutines: Vec<_> = (0..4)
                    .map(|n| (n, tx.clone()))
                    .map(|(n, tx)| go(move || (0..5).for_each(|_| tx.send(n).expect("received"))))
                    .collect();
                drop(tx);
                let sum: u32 = rx.iter().sum();
                goroutines.into_iter().for_each(|goroutine| goroutine.join().expect("no panic"));
                sum
            });
            assert_eq!(sum, 30);
        }
    }
}

#[test]
fn a_panic_at_a_switch_ends_the_process() {
    struct Panics;
    impl Carry for Panics {
        type Context = ();
        fn suspend(&self) {
            panic!("at a switch");
        }
        fn resume(&self, (): ()) {}
    }
    let Some(output) = in_child("a_panic_at_a_switch_ends_the_process") else {
        let rt = Runtime::builder(settled()).procs(1).carry(Panics).build().expect("a runtime");
        return rt.run(|| drop(go(|| ()).join()));
    };
    let (signal, said) = death(&output);
    assert_eq!(signal, Some(libc::SIGABRT), "{said}");
    assert!(
        said.contains("gosched: what a goroutine carries along panicked at a switch"),
        "{said}"
    );
}
