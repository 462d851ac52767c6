//! `Builder::check_promises`: each kind of broken promise is found and told once, with the stack,
//! and what breaks none is not.
//!
//! Each program runs in a child process, because it breaks a promise. None of them is so unlucky
//! that harm comes of it: the goroutine that waits has no sibling.
//!
//! # Safety
//!
//! The children break the promises of the modes that they make.
#![cfg(debug_assertions)]
#![expect(unsafe_code, reason = "makes the promises that are then broken")]

use std::cell::Cell;

use gosched::{Mode, Runtime, Warnings, chan, go, yield_now};
use test_support::in_child;

/// In a child: runs `f` in a runtime that checks. In the parent: returns what the child warned of.
fn warned(test: &str, mode: Mode, f: impl FnOnce()) -> Option<Vec<String>> {
    let Some(output) = in_child(test) else {
        let rt = Runtime::builder(mode)
            .procs(1)
            .warnings(Warnings::Stderr)
            .check_promises(true)
            .check_promises_in("promises::arena::with")
            .build()
            .expect("a runtime");
        rt.run(f);
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let said: Vec<String> = said.split("gosched: goroutine").skip(1).map(str::to_owned).collect();
    Some(said)
}

fn settled() -> Mode {
    // SAFETY: see the head.
    unsafe { Mode::settled() }
}

fn migratory() -> Mode {
    // SAFETY: see the head.
    unsafe { Mode::migratory() }
}

/// Asserts that the one warning is about that promise and function, and shows who waited.
fn tells(said: &[String], promise: &str, function: &str) {
    let [said] = said else { panic!("{} warnings: {said:#?}", said.len()) };
    let marked = said.lines().find(|line| line.contains("-->")).unwrap_or_default();
    assert!(said.contains(&format!("breaks promise ({promise})")), "{said}");
    assert!(marked.contains(function), "{marked:?} of {said}");
    assert!(said.contains("promises::"), "the function that waits: {said}");
    assert!(said.contains("beside/tests/promises.rs:"), "its line: {said}");
    let (waits, made) = said.split_once("the goroutine was made at").expect("its maker");
    assert!(waits.contains(function) && !made.contains("-->"), "{said}");
    // The stack of the maker, from its own line on: of the root goroutine, where `run` is called.
    assert!(made.contains("promises::") && made.contains("beside/tests/promises.rs:"), "{said}");
}

/// A warning has the stack of the wait and that of the goroutine's maker.
#[test]
fn both_stacks_are_told() {
    fn waits_there() {
        WORLD.set(&7, yield_now);
    }
    #[inline(never)]
    fn makes_it() -> gosched::JoinHandle<()> {
        go(waits_there)
    }
    let breaks = || makes_it().join().expect("no panic");
    if let Some(said) = warned("both_stacks_are_told", settled(), breaks) {
        tells(&said, "b", "scoped_tls::ScopedKey::set");
        let (waits, made) = said[0].split_once("the goroutine was made at").expect("its maker");
        assert!(waits.contains("waits_there") && !waits.contains("makes_it"), "{waits}");
        assert!(made.contains("makes_it") && !made.contains("waits_there"), "{made}");
    }
}

thread_local! {
    static WAITS: u32 = {
        let (tx, rx) = chan::bounded(1);
        tx.send(7).expect("it is there");
        rx.recv().expect("it is there")
    };
    static HITS: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn a_wait_in_an_initialiser() {
    let breaks = || go(|| assert_eq!(WAITS.with(|seven| *seven), 7)).join().expect("no panic");
    if let Some(said) = warned("a_wait_in_an_initialiser", settled(), breaks) {
        // The send and the receive are two.
        assert_eq!(said.len(), 2, "{said:#?}");
        said.iter().for_each(|said| tells(std::slice::from_ref(said), "a", "get_or_init_slow"));
    }
}

scoped_tls::scoped_thread_local!(static WORLD: u32);

#[test]
fn a_wait_in_a_scoped_thread_local() {
    let breaks = || go(|| WORLD.set(&7, yield_now)).join().expect("no panic");
    if let Some(said) = warned("a_wait_in_a_scoped_thread_local", settled(), breaks) {
        tells(&said, "b", "scoped_tls::ScopedKey::set");
    }
}

#[test]
fn a_wait_inside_of_tokio() {
    let breaks = || {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        go(move || tokio.block_on(async { yield_now() })).join().expect("no panic");
    };
    if let Some(said) = warned("a_wait_inside_of_tokio", settled(), breaks) {
        tells(&said, "b", "tokio::runtime::context::scoped::Scoped::set");
    }
}

mod arena {
    pub(super) fn with<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

#[test]
fn a_wait_in_a_function_of_the_users() {
    let breaks = || {
        let many = || (0..10).for_each(|_| arena::with(yield_now));
        let goroutines = [go(many), go(many)];
        goroutines.into_iter().for_each(|goroutine| goroutine.join().expect("no panic"));
    };
    if let Some(said) = warned("a_wait_in_a_function_of_the_users", settled(), breaks) {
        tells(&said, "b", "promises::arena::with");
    }
}

#[test]
fn a_migratory_wait_in_a_borrow_of_a_thread_local() {
    let breaks = || {
        let borrows = || {
            HITS.with(|hits| {
                hits.set(1);
                yield_now();
            });
        };
        go(borrows).join().expect("no panic");
    };
    let name = "a_migratory_wait_in_a_borrow_of_a_thread_local";
    if let Some(said) = warned(name, migratory(), breaks) {
        tells(&said, "c", "with");
    }
}

/// What a settled goroutine may do, and what waits in place.
#[test]
fn what_breaks_no_promise() {
    let breaks_none = || {
        let goroutine = go(|| {
            HITS.with(|_| yield_now());
            assert_eq!((0..9).map(|n| go(move || n).join().expect("no panic")).sum::<i32>(), 36);
            gosched::on_thread_stack(|| arena::with(yield_now));
            arena::with(|| gosched::no_wait(|| go(|| ()))).join().expect("no panic");
        });
        goroutine.join().expect("no panic");
        let own = gosched::goroutine::Builder::new().own_thread();
        let own = own.go(|| arena::with(yield_now)).join();
        own.expect("no panic");
    };
    if let Some(said) = warned("what_breaks_no_promise", settled(), breaks_none) {
        assert!(said.is_empty(), "{said:#?}");
    }
}

#[test]
fn threads_promise_nothing() {
    let waits = || go(|| WORLD.set(&7, yield_now)).join().expect("no panic");
    if let Some(said) = warned("threads_promise_nothing", Mode::threads(), waits) {
        assert!(said.is_empty(), "{said:#?}");
    }
}
