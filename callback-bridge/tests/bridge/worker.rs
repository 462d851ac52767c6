//! Work of C's threads on threads of the runtime.
#![expect(unsafe_code, reason = "fork, the promise of a mode")]

use crate::support::{bridge, on_c_thread, own_signal_stack, runtime};
use gosched_callback_bridge::{Binding, Bridge, CloseError, EnterError};
use gosched_scheduler::{Mode, Runtime, chan, current_id};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{current, scope};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn modes() -> [Mode; 3] {
    // SAFETY: as in `support`.
    [Mode::threads(), unsafe { Mode::settled() }, unsafe { Mode::migratory() }]
}

/// Runs a call on a worker; it is another thread, and another goroutine.
fn works(bridge: &Bridge) {
    let (here, id) = (current().id(), current_id());
    let mut borrowed = [1, 2, 3];
    let there = bridge.enter_on_worker(|| {
        borrowed.reverse();
        assert!(current_id().is_some_and(|there| Some(there) != id));
        current().id()
    });
    assert_ne!(there.expect("it is up"), here);
    assert_eq!(borrowed, [3, 2, 1]);
    assert_eq!(current_id(), id);
    let outcome = bridge.enter_on_worker(|| std::panic::resume_unwind(Box::new(7)));
    let Err::<(), _>(EnterError::Panicked(payload)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(payload.downcast_ref(), Some(&7));
}

/// From a thread of C's, in a callback, in a goroutine, and in one of another runtime; with one P.
#[test]
fn one_p_is_enough_from_everywhere() {
    let (other, into_other) = bridge();
    for mode in modes() {
        let runtime = Runtime::builder(mode).procs(1).build().expect("a runtime");
        for binding in [Binding::PerCall, Binding::UntilThreadExit] {
            let bridge = &Bridge::new(&runtime).with_binding(binding);
            on_c_thread(|| {
                works(bridge);
                bridge.enter(|| works(bridge)).expect("it is up");
                let attached = bridge.attach().expect("it is up");
                works(bridge);
                drop(attached);
                works(bridge);
            });
            runtime.run(|| works(bridge));
            runtime.run(|| bridge.enter(|| works(bridge)).expect("it is up"));
            runtime.run(|| into_other.enter(|| works(bridge)).expect("it is up"));
            other.run(|| works(bridge));
            let in_worker = bridge.enter_on_worker(|| works(bridge));
            in_worker.expect("a worker may wait for another");
        }
    }
}

struct Counts<'a>(&'a AtomicUsize);

impl Drop for Counts<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_shutdown_refuses_and_ends_what_waits() {
    for mode in modes() {
        let runtime = Runtime::builder(mode).build().expect("a runtime");
        let bridge = Bridge::new(&runtime);
        let (begun, has_begun) = chan::bounded(0);
        let (_tx, never) = chan::bounded::<()>(0);
        scope(|scope| {
            let waits = scope.spawn(|| {
                bridge.enter_on_worker(|| {
                    begun.send(()).expect("awaited");
                    never.recv()
                })
            });
            has_begun.recv().expect("sent");
            let outcome = bridge.close(Duration::ZERO);
            assert_eq!(outcome, Err(CloseError::Running { calls: 1 }));
            let open = Bridge::new(&runtime);
            runtime.shutdown(LONG).expect("it unwinds");
            let outcome = waits.join().expect("no panic");
            assert!(matches!(outcome, Err(EnterError::Cancelled(_))), "{outcome:?}");
            bridge.close(LONG).expect("nobody is inside");
            let dropped = AtomicUsize::new(0);
            let captured = [&bridge, &open].map(|bridge| (bridge, Counts(&dropped)));
            let outcomes = captured.map(|(bridge, counts)| {
                bridge.enter_on_worker(move || {
                    let _counts = counts;
                    unreachable!("refused")
                })
            });
            assert!(matches!(outcomes[0], Err::<(), _>(EnterError::Closed)), "{outcomes:?}");
            assert!(matches!(outcomes[1], Err::<(), _>(EnterError::ShutDown)), "{outcomes:?}");
            assert_eq!(dropped.load(Relaxed), 2);
        });
    }
}

#[test]
fn where_it_cannot_be() {
    let unbound = Bridge::unbound().enter_on_worker(|| ());
    assert!(matches!(unbound, Err(EnterError::NotRunning)));
    let runtime = runtime();
    let bridge = Bridge::new(&runtime);
    // SAFETY: the child calls what a child may, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = matches!(bridge.enter_on_worker(|| ()), Err(EnterError::Forked));
        // SAFETY: has no precondition.
        unsafe { libc::_exit(i32::from(!refused)) }
    }
    let mut status = 1;
    // SAFETY: a child of ours, waited for once.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}

static HANDLER: Mutex<Option<Bridge>> = Mutex::new(None);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_signal(_: libc::c_int) {
    let bridge = HANDLER.lock().expect("nobody panics");
    let outcome = bridge.as_ref().map(|bridge| bridge.enter_on_worker(|| ()));
    if matches!(outcome, Some(Err(EnterError::SignalHandler))) {
        REFUSED.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_handler_is_refused() {
    let runtime = runtime();
    *HANDLER.lock().expect("nobody panics") = Some(Bridge::new(&runtime));
    on_c_thread(|| {
        own_signal_stack(64 << 10);
        // SAFETY: all zero is a valid value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        // SAFETY: a handler that takes a lock which nobody holds then.
        assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()) }, 0);
        // SAFETY: handled on this thread, before it returns.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
    });
    assert_eq!(REFUSED.load(Relaxed), 1);
}
