//! Callbacks of code that switches stacks: what is entered is left in order, or the process ends
//! with a message.
//!
//! The coroutines are the C library's. Those of a Rust crate do the same without any `unsafe`.
#![expect(unsafe_code, reason = "makecontext and swapcontext, the promises of modes")]

use gosched_callback_bridge::{Binding, Bridge};
use gosched_scheduler::signal::{Context, context};
use gosched_scheduler::{Mode, Runtime, cancel, chan, current_id, goroutine_local};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

const STACK: usize = 256 << 10;

type Body = Box<dyn FnOnce(&Coroutine)>;

/// A function on a stack of its own, which the calling thread enters and leaves. Leaked.
struct Coroutine {
    own: *mut libc::ucontext_t,
    resumer: *mut libc::ucontext_t,
    body: Cell<Option<Body>>,
    done: Cell<bool>,
}

impl Coroutine {
    /// Makes one, which begins at the first [`resume`](Self::resume).
    fn make(body: impl FnOnce(&Coroutine) + 'static) -> &'static Self {
        let context = || Box::leak(Box::new(MaybeUninit::zeroed())).as_mut_ptr();
        let own: *mut libc::ucontext_t = context();
        // SAFETY: a context to be filled in.
        assert_eq!(unsafe { libc::getcontext(own) }, 0);
        let stack: &'static mut [u8] = Box::leak(vec![0; STACK].into_boxed_slice());
        // SAFETY: filled in above; the stack is nobody else's.
        let its_stack = unsafe { &mut (*own).uc_stack };
        its_stack.ss_sp = stack.as_mut_ptr().cast();
        its_stack.ss_size = STACK;
        // SAFETY: a context with a stack; `begin` takes no arguments and never returns.
        unsafe { libc::makecontext(own, begin, 0) };
        let (body, done): (Body, _) = (Box::new(body), Cell::new(false));
        Box::leak(Box::new(Self { own, resumer: context(), body: Cell::new(Some(body)), done }))
    }

    /// Runs it until it suspends. True if it is done.
    fn resume(&'static self) -> bool {
        BEGINS.set(Some(self));
        // SAFETY: both are leaked. Its own context is one that has not begun, or was suspended.
        unsafe { libc::swapcontext(self.resumer, self.own) };
        self.done.get()
    }

    /// Goes back to the resumer, until the next [`resume`](Self::resume).
    fn suspend(&self) {
        // SAFETY: both are leaked. The resumer waits in `resume`.
        unsafe { libc::swapcontext(self.own, self.resumer) };
    }

    /// Runs it on another thread until it suspends.
    fn resume_elsewhere(&'static self) {
        struct Elsewhere(&'static Coroutine);
        // SAFETY: this thread waits meanwhile.
        unsafe impl Send for Elsewhere {}
        impl Elsewhere {
            fn resume(self) -> bool {
                self.0.resume()
            }
        }
        let it = Elsewhere(self);
        std::thread::spawn(move || it.resume()).join().expect("join");
    }
}

thread_local! {
    static BEGINS: Cell<Option<&'static Coroutine>> = const { Cell::new(None) };
}

extern "C" fn begin() {
    let coroutine = BEGINS.get().expect("it was resumed");
    let body = coroutine.body.take().expect("it begins once");
    body(coroutine);
    coroutine.done.set(true);
    loop {
        coroutine.suspend();
    }
}

/// Every mode, number of Ps and binding, as `GOSCHED_TEST_CASE` numbers them.
fn case(number: usize) -> (Mode, usize, Binding) {
    // SAFETY: no goroutine of these tests suspends in a thread-local's initialiser or in code that
    // relies on nesting.
    let settled = unsafe { Mode::settled() };
    // SAFETY: as above; nothing bound to a thread is held over a wait.
    let migratory = unsafe { Mode::migratory() };
    let mode = [Mode::threads(), settled, migratory][number % 3];
    let binding = [Binding::PerCall, Binding::UntilThreadExit][number / 3 % 2];
    (mode, [1, 2, 4][number / 6], binding)
}

const CASES: usize = 18;

/// Bridges into two runtimes, for a coroutine to keep.
fn bridges(number: usize) -> [&'static Bridge; 2] {
    let (mode, procs, binding) = case(number);
    [(); 2].map(|()| {
        let runtime = Runtime::builder(mode).procs(procs).build().expect("a runtime");
        let bridge = Box::leak(Box::new(Bridge::new(&runtime).with_binding(binding)));
        std::mem::forget(runtime);
        &*bridge
    })
}

const VARIABLE: &str = "GOSCHED_TEST_CASE";
const STARTED: &str = "the child's body runs";

/// Runs `body` for every case in a child each: this executable once more, with only the calling
/// test (`path`) selected.
fn in_children(path: &str, body: fn([&'static Bridge; 2])) -> Vec<Output> {
    if let Ok(number) = std::env::var(VARIABLE) {
        eprintln!("{STARTED}");
        body(bridges(number.parse().expect("a number")));
        std::process::exit(0);
    }
    let run = |number: usize| {
        Command::new(std::env::current_exe().expect("own path"))
            .args([path, "--exact", "--nocapture"])
            .env(VARIABLE, number.to_string())
            .output()
            .expect("a child")
    };
    (0..CASES).map(run).collect()
}

/// Asserts that every child says that something was left out of turn, and aborts.
#[track_caller]
fn all_end_with_the_message(path: &str, body: fn([&'static Bridge; 2])) {
    for (number, output) in in_children(path, body).into_iter().enumerate() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(STARTED), "no test is called {path}:\n{stderr}");
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "case {number}: {stderr}");
        // A callback that is a part of the thread's goroutine is a nested call of that goroutine.
        let said = ["was left out of turn or on another thread", "has entered was left elsewhere"];
        assert!(said.iter().any(|said| stderr.contains(said)), "{number}: {stderr}");
    }
}

/// Asserts that every child ends as it should.
#[track_caller]
fn all_go_on(path: &str, body: fn([&'static Bridge; 2])) {
    for (number, output) in in_children(path, body).into_iter().enumerate() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(STARTED), "no test is called {path}:\n{stderr}");
        assert!(output.status.success(), "case {number}: {}\n{stderr}", output.status);
    }
}

/// A coroutine that is suspended in a callback.
fn suspended_in(bridge: &'static Bridge) -> &'static Coroutine {
    let inside = Coroutine::make(move |this| bridge.enter(|| this.suspend()).expect("enter"));
    assert!(!inside.resume());
    inside
}

#[test]
fn the_outer_callback_is_left_before_the_inner_one() {
    all_end_with_the_message("the_outer_callback_is_left_before_the_inner_one", |[bridge, _]| {
        let outer = suspended_in(bridge);
        let _inner = suspended_in(bridge);
        outer.resume();
    });
}

#[test]
fn inner_callbacks_are_left_in_the_order_they_were_entered() {
    all_end_with_the_message(
        "inner_callbacks_are_left_in_the_order_they_were_entered",
        |[bridge, _]| {
            bridge
                .enter(|| {
                    let first = suspended_in(bridge);
                    let _second = suspended_in(bridge);
                    first.resume();
                })
                .expect("enter");
        },
    );
}

#[test]
fn a_callback_of_one_runtime_is_left_inside_one_of_another() {
    all_end_with_the_message(
        "a_callback_of_one_runtime_is_left_inside_one_of_another",
        |[one, other]| {
            let inside = suspended_in(one);
            other.enter(|| inside.resume()).expect("enter");
        },
    );
}

#[test]
fn a_callback_is_left_on_another_thread() {
    all_end_with_the_message("a_callback_is_left_on_another_thread", |[bridge, _]| {
        suspended_in(bridge).resume_elsewhere();
    });
}

#[test]
fn an_inner_callback_is_left_on_another_thread() {
    all_end_with_the_message("an_inner_callback_is_left_on_another_thread", |[bridge, _]| {
        bridge.enter(|| suspended_in(bridge).resume_elsewhere()).expect("enter");
    });
}

#[test]
fn a_callback_is_left_by_the_drop_of_another_ones_local() {
    struct Resumes(Cell<Option<&'static Coroutine>>);
    impl Drop for Resumes {
        fn drop(&mut self) {
            self.0.get().expect("it was set").resume();
        }
    }
    goroutine_local! {
        static RESUMES: Resumes = Resumes(Cell::new(None));
    }
    all_end_with_the_message(
        "a_callback_is_left_by_the_drop_of_another_ones_local",
        |[one, other]| {
            let inside = suspended_in(one);
            other.enter(|| RESUMES.with(|resumes| resumes.0.set(Some(inside)))).expect("enter");
        },
    );
}

/// Shields of one goroutine are counted, so their order does not matter.
#[test]
fn shields_may_be_left_in_another_order() {
    fn in_a_shield() -> &'static Coroutine {
        let inside = Coroutine::make(|this| cancel::shield(|| this.suspend()));
        assert!(!inside.resume());
        inside
    }
    all_go_on("shields_may_be_left_in_another_order", |[bridge, _]| {
        bridge
            .enter(|| {
                let first = in_a_shield();
                let second = in_a_shield();
                assert!(first.resume() && second.resume());
            })
            .expect("enter");
    });
}

/// A lent thread that a coroutine leaves before what it entered later.
#[test]
fn a_run_is_left_inside_a_callback() {
    all_end_with_the_message("a_run_is_left_inside_a_callback", |[_, bridge]| {
        let inside = Coroutine::make(|this| {
            let runtime = Runtime::builder(Mode::threads()).build().expect("a runtime");
            runtime.run(|| this.suspend());
        });
        assert!(!inside.resume());
        bridge.enter(|| inside.resume()).expect("enter");
    });
}

/// What is right stays right: entered and left between two switches, or left in order.
#[test]
fn callbacks_that_are_left_in_order_are_none_the_worse() {
    all_go_on("callbacks_that_are_left_in_order_are_none_the_worse", |[one, other]| {
        let whole = Coroutine::make(move |this| {
            for _ in 0..10 {
                let asked = one.enter(|| {
                    let (tx, rx) = chan::bounded(1);
                    tx.send(current_id()).expect("there is room");
                    rx.recv().expect("there is one")
                });
                assert!(asked.expect("enter").is_some());
                this.suspend();
            }
        });
        while !whole.resume() {}
        let (outer, inner) = (suspended_in(one), suspended_in(one));
        let elsewhere = suspended_in(other);
        one.enter(|| ()).expect("a new goroutine");
        assert!(elsewhere.resume() && inner.resume() && outer.resume());
        assert_eq!((context(), current_id()), (Context::Outside, None));
        one.enter(|| other.enter(|| ()).expect("enter")).expect("enter");
    });
}
