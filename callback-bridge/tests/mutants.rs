//! Signals at every instruction of `need_m` and `drop_m`, and two orders that do not survive them.
//!
//! A thread calls in and out without pause while another one sends it signals. The handler asks
//! what it interrupted, and enters by itself. That is against the contract in general and harmless
//! here: the callbacks allocate nothing, and there are enough Ms. In a build with `--cfg
//! gosched_mutants` the wrong orders have to be noticed.
#![expect(unsafe_code, reason = "a signal handler, pthread_kill, the promise of a mode")]

use gosched_callback_bridge::{Binding, Bridge};
use gosched_scheduler::signal::{Context, context};
use gosched_scheduler::{Mode, Runtime};
use std::mem::MaybeUninit;
use std::process::{Command, ExitStatus};
use std::ptr::null_mut;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

static BRIDGE: Bridge = Bridge::unbound().with_binding(Binding::PerCall);
/// Handlers that found a goroutine, and that found none.
static INSIDE: AtomicU64 = AtomicU64::new(0);
static OUTSIDE: AtomicU64 = AtomicU64::new(0);
/// Handlers that found a goroutine without a signal stack.
static TORN: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

extern "C" fn looks(_signal: libc::c_int) {
    let count = match context() {
        Context::Goroutine { on_signal_stack: false, .. } => &TORN,
        Context::Goroutine { .. } => &INSIDE,
        Context::Outside => &OUTSIDE,
    };
    count.fetch_add(1, Relaxed);
}

extern "C" fn enters(_signal: libc::c_int) {
    // Not on a signal stack, or it would be refused.
    let inside = matches!(context(), Context::Goroutine { .. });
    if BRIDGE.enter(|| ()).is_err() {
        REFUSED.fetch_add(1, Relaxed);
    }
    if inside { &INSIDE } else { &OUTSIDE }.fetch_add(1, Relaxed);
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int), flags: libc::c_int) {
    let action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeroes is an action: the default one, with nothing blocked.
    let mut action = unsafe { action.assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = flags;
    // SAFETY: the handlers call what they may where they interrupt; see the head of the file.
    assert_eq!(unsafe { libc::sigaction(signal, &action, null_mut()) }, 0);
}

/// Kills the process after `seconds`, unless it is called again.
fn watchdog(seconds: u32) {
    // SAFETY: has no precondition.
    unsafe { libc::alarm(seconds) };
}

/// Leaves the calling thread without a signal stack, as C makes them.
fn no_signal_stack() {
    let none = libc::stack_t { ss_sp: null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 64 << 10 };
    // SAFETY: takes away what std registered; std itself does the same at the thread's end.
    assert_eq!(unsafe { libc::sigaltstack(&none, null_mut()) }, 0);
}

/// Calls in and out until handlers have found each world `enough` times. The process is killed
/// after ten seconds without a handler that returns.
fn storm(handler: extern "C" fn(libc::c_int), flags: libc::c_int, enough: u64) {
    watchdog(10);
    no_signal_stack();
    let runtime = Runtime::builder(Mode::threads()).procs(1).build().expect("a runtime");
    BRIDGE.bind(runtime.handle());
    // Eight inside at once leave more than eight Ms on the list.
    let all = Barrier::new(8);
    std::thread::scope(|scope| {
        (0..8).for_each(|_| {
            scope.spawn(|| BRIDGE.enter(|| all.wait()).map(|_| ()).expect("enter"));
        });
    });
    // The first call of a thread asks the C library for the stack's bounds; it must not ask again
    // in a handler.
    BRIDGE.enter(|| ()).expect("enter");
    handle(libc::SIGUSR1, handler, flags);
    let done = AtomicBool::new(false);
    // SAFETY: has no precondition.
    let target = unsafe { libc::pthread_self() } as usize;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Relaxed) {
                let returned = INSIDE.load(Relaxed) + OUTSIDE.load(Relaxed);
                if returned > seen {
                    watchdog(10);
                    seen = returned;
                }
                // SAFETY: the target stays in this scope until `done`, and waits for this thread
                // afterwards.
                unsafe { libc::pthread_kill(target as _, libc::SIGUSR1) };
                // On a busy machine: one signal per turn. A turn full of signals would become one
                // signal.
                std::thread::yield_now();
            }
        });
        while INSIDE.load(Relaxed).min(OUTSIDE.load(Relaxed)) < enough && TORN.load(Relaxed) == 0 {
            BRIDGE.enter(|| ()).expect("enter");
        }
        done.store(true, Relaxed);
    });
    assert_eq!((TORN.load(Relaxed), REFUSED.load(Relaxed)), (0, 0));
}

fn handlers_look(enough: u64) {
    storm(looks, libc::SA_ONSTACK | libc::SA_RESTART, enough);
}

fn handlers_enter(enough: u64) {
    storm(enters, libc::SA_RESTART, enough);
}

const VARIABLE: &str = "GOSCHED_TEST_CHILD";
const STARTED: &str = "the child's body runs";

/// Runs `body` in a child: this executable once more, with only the calling test (`path`) selected.
fn child(path: &str, body: impl FnOnce()) -> ExitStatus {
    if std::env::var(VARIABLE).is_ok_and(|wanted| wanted == path) {
        eprintln!("{STARTED}");
        body();
        std::process::exit(0);
    }
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.args([path, "--exact", "--nocapture"]).env(VARIABLE, path);
    let output = command.output().expect("a child");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(STARTED), "no test is called {path}:\n{stderr}");
    eprintln!("{stderr}");
    output.status
}

#[test]
fn a_handler_finds_a_whole_goroutine_or_none() {
    let status = child("a_handler_finds_a_whole_goroutine_or_none", || handlers_look(1_000));
    assert!(status.success(), "{status}");
}

#[test]
fn a_handler_that_asks_for_an_m_gets_one() {
    let status = child("a_handler_that_asks_for_an_m_gets_one", || handlers_enter(1_000));
    assert!(status.success(), "{status}");
}

/// The wrong orders; each must be caught.
#[cfg(gosched_mutants)]
mod wrong_orders {
    use super::{child, handlers_look};
    use gosched_runtime_sys::sync::primitive::switch_on;

    #[test]
    fn need_m_mutant_stack_after_unmask_is_caught() {
        let status = child("wrong_orders::need_m_mutant_stack_after_unmask_is_caught", || {
            switch_on("need_m.stack_after_unmask");
            handlers_look(u64::MAX);
        });
        assert_eq!(
            status.code(),
            Some(101),
            "a handler found a goroutine without its signal stack"
        );
    }

    #[test]
    fn drop_m_mutant_unmask_before_retract_is_caught() {
        let status = child("wrong_orders::drop_m_mutant_unmask_before_retract_is_caught", || {
            switch_on("drop_m.unmask_before_retract");
            handlers_look(u64::MAX);
        });
        assert_eq!(status.code(), Some(101), "a handler found a goroutine that gave its stack up");
    }
}
