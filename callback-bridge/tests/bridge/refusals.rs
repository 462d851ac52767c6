//! Threads that may not enter, and the errors they get.
#![expect(unsafe_code, reason = "fork, setrlimit, a signal handler")]

use crate::support::{Child, bridge, on_c_thread, own_signal_stack, runtime};
use gosched_callback_bridge::{Binding, Bridge, EnterError};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::{Barrier, Mutex};
use std::time::Duration;

#[test]
fn before_the_runtime_is_up() {
    static BRIDGE: Bridge = Bridge::unbound().with_binding(Binding::PerCall);
    assert!(matches!(
        BRIDGE.enter(|| unreachable!("nowhere to run")),
        Err::<(), _>(EnterError::NotRunning)
    ));
    let copy = BRIDGE.clone();
    let runtime = runtime();
    assert!(BRIDGE.bind(runtime.handle()));
    assert!(!BRIDGE.bind(runtime.handle()), "a bridge is bound once");
    assert_eq!(BRIDGE.enter(|| 7).expect("bound"), 7);
    assert!(
        matches!(copy.enter(|| ()), Err(EnterError::NotRunning)),
        "a copy of an unbound bridge is unbound"
    );
}

#[test]
fn after_shutdown() {
    let (runtime, until_exit) = bridge();
    let per_call = until_exit.clone().with_binding(Binding::PerCall);
    on_c_thread(|| {
        until_exit.enter(|| ()).expect("running");
        per_call.enter(|| ()).expect("running");
        runtime.shutdown(Duration::from_secs(20)).expect("nobody is inside");
        for bridge in [&until_exit, &per_call, &until_exit] {
            assert!(matches!(
                bridge.enter(|| unreachable!("shut down")),
                Err::<(), _>(EnterError::ShutDown)
            ));
        }
    });
    on_c_thread(|| assert!(matches!(until_exit.enter(|| ()), Err(EnterError::ShutDown))));
    let (_other, other) = crate::support::bridge();
    on_c_thread(|| other.enter(|| ()).expect("another runtime is none the worse"));
}

/// Forks; `body` says in the child whether all is well.
fn forked(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child goes on with what the C library and the bridge keep usable in a child, and
    // ends below.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(!body());
        // SAFETY: has no precondition.
        unsafe { libc::_exit(code) }
    }
    let mut status = 0;
    // SAFETY: a child of ours, waited for once.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

fn refused(bridge: &Bridge) -> bool {
    matches!(bridge.enter(|| ()), Err(EnterError::Forked))
}

#[test]
fn in_a_forked_child() {
    Child::run("refusals::in_a_forked_child", || {
        let (_runtime, until_exit) = bridge();
        let per_call = until_exit.clone().with_binding(Binding::PerCall);
        on_c_thread(|| {
            assert!(
                forked(|| refused(&until_exit) && refused(&per_call)),
                "on a thread that was never inside"
            )
        });
        on_c_thread(|| {
            until_exit.enter(|| ()).expect("enter");
            assert!(forked(|| refused(&until_exit) && refused(&per_call)), "on a bound thread");
        });
        for bridge in [&until_exit, &per_call] {
            on_c_thread(|| {
                let mut in_child = false;
                let value = bridge.enter(|| {
                    let well = forked(|| {
                        in_child = true;
                        refused(bridge)
                    });
                    (well, in_child)
                });
                assert!(value.expect("enter").0, "inside a callback");
                assert!(bridge.enter(|| true).expect("the parent goes on"));
            });
        }
    })
    .assert_success();
}

#[test]
fn a_forked_child_may_leave_the_callback_it_was_forked_in() {
    Child::run("refusals::a_forked_child_may_leave_the_callback_it_was_forked_in", || {
        let (_runtime, until_exit) = bridge();
        for bridge in [until_exit.clone(), until_exit.with_binding(Binding::PerCall)] {
            on_c_thread(|| {
                // SAFETY: as in `forked`; the child ends below.
                let child =
                    bridge.enter(|| unsafe { libc::fork() }).expect("leaving works on both sides");
                if child == 0 {
                    let code = i32::from(!refused(&bridge));
                    // SAFETY: has no precondition.
                    unsafe { libc::_exit(code) }
                }
                let mut status = 0;
                // SAFETY: a child of ours, waited for once.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
            });
        }
    })
    .assert_success();
}

#[test]
fn a_forked_child_may_build_its_own() {
    Child::run("refusals::a_forked_child_may_build_its_own", || {
        let (_runtime, old) = bridge();
        on_c_thread(|| {
            old.enter(|| ()).expect("bound");
            let well = forked(|| {
                let (runtime, fresh) = bridge();
                let counts = || {
                    let stats = runtime.stats();
                    (stats.bound_threads, stats.idle_bound_threads, stats.refused_callbacks)
                };
                let unbound = counts() == (0, 0, 0);
                let inside = fresh.enter(|| 7).is_ok_and(|value| value == 7);
                let counted = unbound && counts() == (1, 1, 0);
                inside && counted && refused(&old) && fresh.enter(|| ()).is_ok() && counts().2 == 1
            });
            assert!(well);
        });
    })
    .assert_success();
}

/// Limits this process to `left` more bytes of address space.
fn limit_address_space(left: u64) {
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: u64 =
        sizes.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number");
    let bytes = pages * 4096 + left;
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: a live record.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

/// As many Ms as there are from the beginning.
const FIRST_MS: usize = 4;

#[test]
fn without_memory_for_another_m() {
    Child::run("refusals::without_memory_for_another_m", || {
        let (runtime, bridge) = bridge();
        let bridge = bridge.with_binding(Binding::PerCall);
        // Each thread has a little memory in hand before the system refuses more.
        let warm_up = || drop(std::hint::black_box(vec![1_u8; 48 << 10]));
        warm_up();
        let [warm, limited, all_inside, refused, all_outside] =
            std::array::from_fn(|_| Barrier::new(FIRST_MS + 1));
        std::thread::scope(|scope| {
            for _ in 0..FIRST_MS {
                scope.spawn(|| {
                    warm_up();
                    warm.wait();
                    limited.wait();
                    let has_an_m = bridge.enter(|| {
                        all_inside.wait();
                        refused.wait();
                    });
                    assert!(has_an_m.is_ok(), "there is one for each of them");
                    all_outside.wait();
                });
            }
            warm.wait();
            limit_address_space(16 << 10);
            limited.wait();
            all_inside.wait();
            let outcome = bridge.enter(|| ());
            refused.wait();
            all_outside.wait();
            let Err(EnterError::Resources(error)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
            assert_eq!(runtime.stats().refused_callbacks, 1);
            assert!(bridge.enter(|| ()).is_ok(), "an M that came back serves the next");
        });
    })
    .assert_success();
}

static IN_HANDLER: Bridge = Bridge::unbound();
static SAID: Mutex<Option<Result<(), EnterError>>> = Mutex::new(None);

extern "C" fn enters(_signal: libc::c_int) {
    // Against the contract, and noticed: the handler runs on a signal stack. The lock is free, and
    // nothing else is interrupted.
    *SAID.lock().expect("free") = Some(IN_HANDLER.enter(|| ()));
}

#[test]
fn in_a_signal_handler() {
    Child::run("refusals::in_a_signal_handler", refuses_a_handler).assert_success();
}

fn refuses_a_handler() {
    let runtime = runtime();
    IN_HANDLER.bind(runtime.handle());
    let handler: extern "C" fn(libc::c_int) = enters;
    let action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeroes is an action: the default one, with nothing blocked.
    let mut action = unsafe { action.assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: no other test uses the signal, and it is raised where nothing is interrupted.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &action, null_mut()) }, 0);
    let is_refused = || {
        // SAFETY: raises on the calling thread.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
        let said = SAID.lock().expect("free").take();
        assert!(matches!(said, Some(Err(EnterError::SignalHandler))), "{said:?}");
    };
    on_c_thread(|| {
        own_signal_stack(256 << 10);
        is_refused();
        // From here on the M knows of a thread whose own signal stack is kept.
        IN_HANDLER
            .clone()
            .with_binding(Binding::PerCall)
            .enter(|| ())
            .expect("outside of the handler");
        is_refused();
        IN_HANDLER.enter(|| ()).expect("outside of the handler");
    });
    assert_eq!(runtime.stats().refused_callbacks, 2);
}
