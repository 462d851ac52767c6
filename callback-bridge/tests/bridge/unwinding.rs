//! Ways out of a callback other than a return.
#![expect(unsafe_code, reason = "pthread_exit and pthread_cancel unwind")]

use crate::support::{Child, bridge, on_c_thread};
use gosched_callback_bridge::{Binding, Bridge, EnterError};
use gosched_scheduler::chan::{self, Receiver, Sender};
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::ptr::{null, null_mut};

type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

// libc declares these as functions that do not unwind.
unsafe extern "C-unwind" {
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: Start,
        argument: *mut c_void,
    ) -> c_int;
    fn pthread_exit(value: *mut c_void) -> !;
    fn pthread_testcancel();
}

#[test]
fn a_panic_becomes_a_value_and_the_thread_goes_on() {
    let (_runtime, bridge) = bridge();
    on_c_thread(|| {
        for _ in 0..3 {
            let outcome: Result<(), _> = bridge.enter(|| std::panic::resume_unwind(Box::new(7)));
            let Err(EnterError::Panicked(payload)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(payload.downcast_ref(), Some(&7));
            assert_eq!(bridge.enter(|| 8).expect("the next call"), 8);
        }
    });
}

/// Calls `pthread_exit` in a callback, in a child process.
#[track_caller]
fn exits_inside(binding: Binding, path: &str) {
    let child = Child::run(path, || {
        let (_runtime, bridge) = bridge();
        let bridge = bridge.with_binding(binding);
        on_c_thread(|| {
            // SAFETY: declared to unwind; the frames that it meets are Rust's.
            let _never = bridge.enter(|| unsafe { pthread_exit(null_mut()) });
        });
    });
    assert_eq!(child.status.signal(), Some(libc::SIGABRT), "{child:?}");
    assert!(
        child.stderr.contains("gosched: a callback was left without a return, by pthread_exit"),
        "{child:?}"
    );
}

#[test]
fn pthread_exit_in_a_per_call_callback_ends_the_process_with_a_message() {
    exits_inside(
        Binding::PerCall,
        "unwinding::pthread_exit_in_a_per_call_callback_ends_the_process_with_a_message",
    );
}

#[test]
fn pthread_exit_on_a_bound_thread_ends_the_process_with_a_message() {
    exits_inside(
        Binding::UntilThreadExit,
        "unwinding::pthread_exit_on_a_bound_thread_ends_the_process_with_a_message",
    );
}

/// The record of the cancelled thread.
struct Cancelled {
    bridge: Bridge,
    inside: Sender<usize>,
    answer: Receiver<i32>,
    /// The value that the callback received after the cancel.
    got: Option<i32>,
    survived: bool,
}

extern "C-unwind" fn is_cancelled(argument: *mut c_void) -> *mut c_void {
    // SAFETY: the test's own record, which outlives the thread.
    let this = unsafe { &mut *argument.cast::<Cancelled>() };
    let got = this.bridge.enter(|| {
        // SAFETY: has no precondition.
        let me = unsafe { libc::pthread_self() };
        this.inside.send(me as usize).expect("the test waits");
        let answer = this.answer.recv().expect("the test answers");
        // SAFETY: cancellation is off in here, so nothing unwinds.
        unsafe { pthread_testcancel() };
        answer
    });
    this.got = got.ok();
    // SAFETY: no frame between here and the thread's first has anything to drop.
    unsafe { pthread_testcancel() };
    this.survived = true;
    null_mut()
}

#[test]
fn a_cancel_strikes_after_the_callback() {
    let (_runtime, bridge) = bridge();
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        let (inside, is_inside) = chan::bounded(1);
        let (answers, answer) = chan::bounded(1);
        let bridge = bridge.clone().with_binding(binding);
        let mut record = Cancelled { bridge, inside, answer, got: None, survived: false };
        let mut thread = MaybeUninit::uninit();
        let argument = (&raw mut record).cast();
        // SAFETY: the record outlives the thread, which is joined below.
        let made = unsafe { pthread_create(thread.as_mut_ptr(), null(), is_cancelled, argument) };
        assert_eq!(made, 0);
        // SAFETY: made above.
        let thread = unsafe { thread.assume_init() };
        assert_eq!(is_inside.recv().expect("it comes"), thread as usize);
        // SAFETY: the thread waits for an answer inside its callback.
        assert_eq!(unsafe { libc::pthread_cancel(thread) }, 0);
        answers.send(9).expect("it listens");
        let mut result = null_mut();
        // SAFETY: made above, joined once.
        assert_eq!(unsafe { libc::pthread_join(thread, &mut result) }, 0);
        assert_eq!((result.addr(), record.got, record.survived), (usize::MAX, Some(9), false));
    }
}
