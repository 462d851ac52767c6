//! Broken promises. The modes that switch stacks ask their builder to promise two things. Here are
//! safe programs that do not keep them, what becomes of them in settled mode, and the same
//! programs, right, in `Mode::threads()`.
//!
//! In settled mode they have undefined behaviour: a reference outlives its value. The tests make it
//! visible without relying on it. The value notes in a static when it is dropped, and the program
//! looks there, not through the reference. Still, each program runs in a child process.
//! `docs/soundness.md` documents what the tests assert.
//!
//! # Safety
//!
//! `settled` promises what the programs below do not keep: they show that. They read no memory that
//! is gone.
#![expect(unsafe_code, reason = "breaks the promise of a mode, in a child process")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use gosched::goroutine::Builder;
use gosched::{Mode, Runtime, chan, go};
use scoped_tls::scoped_thread_local;
use test_support::{death, in_child};

/// Makes the promise that these programs break.
fn settled() -> Mode {
    // SAFETY: see the file's head.
    unsafe { Mode::settled() }
}

/// In a child: asserts that `program` has the expected outcome. In the parent: asserts that the
/// child reported so.
fn in_child_it_is(name: &str, mode: Mode, expected: Outcome, program: fn(Mode) -> Outcome) {
    let Some(output) = in_child(name) else {
        let outcome = program(mode);
        assert_eq!(outcome, expected);
        // The child ends here, without the destructors of thread-locals that two goroutines own.
        eprintln!("the outcome is {outcome:?}");
        c_side::thread::exit_process(0);
    };
    let (signal, stderr) = death(&output);
    assert_eq!((output.status.code(), signal), (Some(0), None), "{stderr}");
    assert!(stderr.contains(&format!("the outcome is {expected:?}")), "{stderr}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Every goroutine saw its own value, alive while it held the reference.
    Right,
    /// A goroutine holds a reference to a value whose destructor has run.
    UsedAfterDrop,
    /// A goroutine sees the value that another goroutine lent to its own scope.
    SawAnothers,
}

/// A value with a destructor; one of the first few ever made.
struct Canary(usize);

static MADE: AtomicU32 = AtomicU32::new(0);
static DROPPED: [AtomicBool; 4] = [const { AtomicBool::new(false) }; 4];

impl Canary {
    fn new() -> Self {
        Self(MADE.fetch_add(1, Relaxed) as usize)
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        DROPPED[self.0].store(true, Relaxed);
    }
}

thread_local! {
    /// Its initialiser calls `INITIALISING`, if that is set, and so waits.
    static CANARY: Canary = {
        if let Some(wait) = INITIALISING.take() {
            wait();
        }
        Canary::new()
    };
    /// What the first initialiser on this thread does; the second finds nothing.
    static INITIALISING: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

/// The first goroutine waits inside the initialiser. Meanwhile a second one initialises, on the
/// same thread if the mode shares threads. It holds the reference while the first goes on.
fn waits_in_an_initialiser(mode: Mode) -> Outcome {
    let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
    rt.run(|| {
        let (inside, is_inside) = chan::bounded(1);
        let (go_on, may_go_on) = chan::bounded::<()>(1);
        let first = go(move || {
            INITIALISING.set(Some(Box::new(move || {
                inside.send(()).expect("it is awaited");
                may_go_on.recv().expect("somebody lets it go on");
            })));
            CANARY.with(|mine| DROPPED[mine.0].load(Relaxed))
        });
        is_inside.recv().expect("it gets there");
        let (first_done, is_first_done) = chan::bounded::<()>(1);
        let second = Builder::new().with(&first).go(move || {
            CANARY.with(|mine| {
                let number = mine.0;
                go_on.send(()).expect("the first waits");
                is_first_done.recv().expect("the root says so");
                // `mine` is still borrowed here. It is not read any more.
                DROPPED[number].load(Relaxed)
            })
        });
        let first_lost = first.join().expect("no panic");
        first_done.send(()).expect("the second waits");
        let second_lost = second.join().expect("no panic");
        if first_lost || second_lost { Outcome::UsedAfterDrop } else { Outcome::Right }
    })
}

#[test]
fn a_wait_in_an_initialiser_breaks_the_promise_of_settled() {
    let name = "a_wait_in_an_initialiser_breaks_the_promise_of_settled";
    in_child_it_is(name, settled(), Outcome::UsedAfterDrop, waits_in_an_initialiser);
}

#[test]
fn a_wait_in_an_initialiser_is_right_with_threads() {
    let name = "a_wait_in_an_initialiser_is_right_with_threads";
    in_child_it_is(name, Mode::threads(), Outcome::Right, waits_in_an_initialiser);
}

scoped_thread_local!(static SCOPED: Canary);

/// Two goroutines lend a value each to a scope of a crate that relies on nested scopes of one
/// thread. The first goroutine's scope ends first. What does the second one's scope hold then?
fn scopes_overlap(mode: Mode) -> Outcome {
    let rt = Runtime::builder(mode).procs(1).build().expect("a runtime");
    rt.run(|| {
        let (inside, is_inside) = chan::bounded(1);
        let (go_on, may_go_on) = chan::bounded::<()>(1);
        let first = go(move || {
            let mine = Canary::new();
            SCOPED.set(&mine, || {
                inside.send(()).expect("it is awaited");
                may_go_on.recv().expect("the second lets it go on");
                SCOPED.with(|seen| seen.0 == mine.0)
            })
        });
        is_inside.recv().expect("it gets there");
        let (first_done, is_first_done) = chan::bounded::<()>(1);
        let (left, has_left) = chan::bounded::<()>(1);
        let second = Builder::new().with(&first).go(move || {
            let mine = Canary::new();
            SCOPED.set(&mine, || {
                go_on.send(()).expect("the first waits");
                is_first_done.recv().expect("the root says so");
            });
            // The scope is over. It restored what it found when it began: the first goroutine's
            // value, which is gone.
            let dangles = SCOPED.is_set();
            left.send(()).expect("there is room");
            dangles
        });
        let saw_its_own = first.join().expect("no panic");
        first_done.send(()).expect("the second waits");
        has_left.recv().expect("it leaves");
        let dangles = second.join().expect("no panic");
        match (saw_its_own, dangles) {
            (true, false) => Outcome::Right,
            // The first canary was dropped at the end of its goroutine, and `SCOPED` leads to it.
            (_, true) if DROPPED[0].load(Relaxed) => Outcome::UsedAfterDrop,
            _ => Outcome::SawAnothers,
        }
    })
}

#[test]
fn overlapping_scopes_break_the_promise_of_settled() {
    let name = "overlapping_scopes_break_the_promise_of_settled";
    in_child_it_is(name, settled(), Outcome::UsedAfterDrop, scopes_overlap);
}

#[test]
fn overlapping_scopes_are_right_with_threads() {
    let name = "overlapping_scopes_are_right_with_threads";
    in_child_it_is(name, Mode::threads(), Outcome::Right, scopes_overlap);
}
