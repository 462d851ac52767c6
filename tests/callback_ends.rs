//! What a callback leaves on its thread: nothing for the next one, and for the host what it had.
//!
//! # Safety
//!
//! A call has the user data of the callback that the function is from.
#![expect(unsafe_code, reason = "a call that C makes")]

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use gosched::callback::{Binding, Bridge, Callback, EnterError};
use gosched::{Carry, Runtime, go, goroutine, goroutine_local, lock_thread, yield_now};
use test_support::modes;

/// A span as tracing libraries have them: on a thread, and counted.
struct Span {
    name: &'static str,
    there: Arc<AtomicUsize>,
}

impl Drop for Span {
    fn drop(&mut self) {
        self.there.fetch_sub(1, Relaxed);
    }
}

thread_local! {
    static SPAN: RefCell<Option<Span>> = const { RefCell::new(None) };
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// The name of the thread's span.
fn span() -> &'static str {
    SPAN.with_borrow(|span| span.as_ref().map_or("none", |span| span.name))
}

fn set_span(name: &'static str, there: &Arc<AtomicUsize>) {
    there.fetch_add(1, Relaxed);
    SPAN.set(Some(Span { name, there: there.clone() }));
}

struct CarrySpan;

impl Carry for CarrySpan {
    type Context = Option<Span>;

    fn suspend(&self) -> Option<Span> {
        assert_eq!(goroutine::current_id(), None);
        SPAN.take()
    }

    fn resume(&self, span: Option<Span>) {
        assert_eq!(goroutine::current_id(), None);
        SPAN.set(span);
    }
}

/// A second one, which the runtime carries along as well.
struct CarryNumber;

impl Carry for CarryNumber {
    type Context = u32;

    fn suspend(&self) -> u32 {
        NUMBER.replace(0)
    }

    fn resume(&self, number: u32) {
        NUMBER.set(number);
    }
}

/// Sets the span when it is dropped, as the last code of its goroutine.
struct SetsSpan(RefCell<Option<Arc<AtomicUsize>>>);

impl Drop for SetsSpan {
    fn drop(&mut self) {
        if let Some(there) = self.0.take() {
            set_span("dropped", &there);
        }
    }
}

goroutine_local! {
    static LAST: SetsSpan = SetsSpan(RefCell::new(None));
}

/// What the body of each callback here does: it finds no context, and leaves some.
fn body(there: &Arc<AtomicUsize>) {
    assert_eq!((span(), NUMBER.get()), ("none", 0), "begun with another one's context");
    set_span("callback", there);
    NUMBER.set(7);
    let beside = go(|| {
        yield_now();
        (span(), NUMBER.get())
    });
    assert_eq!(beside.join().expect("no panic"), ("none", 0));
    assert_eq!((span(), NUMBER.get()), ("callback", 7), "it stays while the callback waits");
}

/// Calls `f` on a new thread for each mode and binding, with a bridge into a runtime that carries.
fn each(f: impl Fn(&Bridge, &Runtime, &Arc<AtomicUsize>) + Sync) {
    for mode in modes() {
        for binding in [Binding::PerCall, Binding::UntilThreadExit] {
            let builder = Runtime::builder(mode).procs(2).carry(CarrySpan).carry(CarryNumber);
            let rt = builder.build().expect("a runtime");
            let bridge = Bridge::new(&rt).with_binding(binding);
            let there = Arc::new(AtomicUsize::new(0));
            thread::scope(|scope| {
                scope.spawn(|| {
                    set_span("host", &there);
                    NUMBER.set(1);
                    f(&bridge, &rt, &there);
                    assert_eq!((span(), NUMBER.get()), ("host", 1), "the host's own is back");
                    assert_eq!(there.load(Relaxed), 1, "what the callbacks left is dropped");
                    SPAN.take();
                });
            });
        }
    }
}

#[test]
fn context_of_a_callback_ends_with_it() {
    each(|bridge, rt, there| {
        for _ in 0..3 {
            bridge.enter(|| body(there)).expect("enter");
            assert_eq!((span(), NUMBER.get()), ("host", 1));
        }
        let panicked = bridge.enter(|| {
            body(there);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(matches!(panicked, Err(EnterError::Panicked(_))));
        let theirs = there.clone();
        let callback: Callback<fn() -> i32> =
            Callback::with_binding(rt.handle(), bridge.binding(), -1, move || {
                body(&theirs);
                1
            })
            .expect("memory");
        // SAFETY: the function and the user data of one callback, which is there.
        let called = unsafe { callback.with_data_last()(callback.user_data()) };
        assert_eq!(called, 1);
    });
}

#[test]
fn context_of_an_attached_thread_ends_with_its_last_guard() {
    each(|bridge, _, there| {
        for _ in 0..2 {
            let first = bridge.attach().expect("attach");
            body(there);
            let second = bridge.attach().expect("attach");
            drop(first);
            bridge.enter(|| assert_eq!(span(), "callback", "a part of it")).expect("enter");
            drop(second);
            assert_eq!((span(), NUMBER.get()), ("host", 1));
        }
    });
}

#[test]
fn context_that_a_last_destructor_leaves_ends_with_its_callback() {
    each(|bridge, _, there| {
        for _ in 0..2 {
            bridge
                .enter(|| {
                    assert_eq!(span(), "none");
                    LAST.with(|last| last.0.replace(Some(there.clone())));
                })
                .expect("enter");
            assert_eq!(span(), "host");
        }
    });
}

#[test]
fn a_callback_in_a_goroutine_of_another_runtime_has_context_of_its_own() {
    each(|bridge, _, there| {
        let outer = Runtime::builder(modes()[0]).carry(CarrySpan).build().expect("a runtime");
        let outer = Bridge::new(&outer);
        let entered = outer.enter(|| {
            assert_eq!((span(), NUMBER.get()), ("none", 1), "carries no numbers");
            set_span("outer", there);
            bridge.enter(|| body(there)).expect("enter");
            assert_eq!((span(), NUMBER.get()), ("outer", 1));
        });
        entered.expect("enter");
    });
}

#[test]
fn nothing_else_of_a_callback_is_there_in_the_next() {
    goroutine_local! {
        static LOCAL: Cell<u32> = Cell::new(0);
    }
    each(|bridge, _, _| {
        let mut ids = Vec::new();
        for _ in 0..3 {
            let seen = bridge.enter(|| {
                let lock = lock_thread();
                std::mem::forget(lock);
                let named = goroutine::Builder::new().name("named").go(goroutine::current_name);
                assert_eq!(named.join().expect("no panic").as_deref(), Some("named"));
                let found = (LOCAL.with(|local| local.replace(5)), goroutine::current_name());
                (found, goroutine::current_id())
            });
            let (found, id) = seen.expect("enter");
            assert_eq!(found, (0, None));
            ids.push(id);
        }
        ids.dedup();
        assert_eq!(ids.len(), 3);
    });
}
