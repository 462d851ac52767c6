//! `test!`: tests whose bodies are goroutines. The items here are for what the macro writes.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::gmp::thread_g;
use crate::proc::park::Parking;
use crate::proc::shutdown;
use crate::runtime::{Builder, DROP_GRACE, Runtime};

/// Declares tests whose bodies run as goroutines, each in a runtime of its own.
///
/// Each function becomes a `#[test]`, with the attributes and the result that it has. Its runtime
/// is that of `Mode::threads()`; `on builder;` before the functions says otherwise.
///
/// A test fails if its body panics or returns an error, as ever. It also fails if a goroutine that
/// it has made panics, and nobody joins it: `go(|| assert!(..))` counts. When the body has ended,
/// goroutines that can go on have a second for that. Then those that wait are cancelled, which is
/// no failure, and all are to end within [`DROP_GRACE`](crate::DROP_GRACE).
///
/// ```
/// use gosched::{Mode, Runtime, chan, go};
///
/// gosched::test! {
///     /// Sixes.
///     fn a_goroutine_is_joined() {
///         assert_eq!(go(|| 6 * 7).join().unwrap(), 42);
///     }
///
///     #[should_panic = "nobody joined"]
///     fn a_failure_is_seen() {
///         go(|| panic!("the test fails"));
///     }
///
///     fn errors_are_returned() -> Result<(), chan::RecvError> {
///         let (tx, rx) = chan::unbounded();
///         go(move || tx.send(1).unwrap());
///         assert_eq!(rx.recv()?, 1);
///         Ok(())
///     }
/// }
///
/// gosched::test! {
///     // SAFETY: nothing here waits inside of other people's code.
///     on Runtime::builder(unsafe { Mode::settled() }).procs(2);
///
///     fn goroutines_share_threads() {
///         gosched::yield_now();
///     }
/// }
/// ```
#[doc(alias("tokio::test", "testing"))]
#[macro_export]
macro_rules! test {
    (on $builder:expr; $(
        $(#[$attribute:meta])* $visibility:vis fn $name:ident() $(-> $result:ty)? $body:block
    )*) => {
        $(
            #[::core::prelude::v1::test]
            $(#[$attribute])*
            $visibility fn $name() $(-> $result)? {
                $crate::goroutine::in_test::run($builder, || $body)
            }
        )*
    };
    ($(
        $(#[$attribute:meta])* $visibility:vis fn $name:ident() $(-> $result:ty)? $body:block
    )*) => {
        $(
            #[::core::prelude::v1::test]
            $(#[$attribute])*
            $visibility fn $name() $(-> $result)? {
                $crate::goroutine::in_test::run($crate::goroutine::in_test::threads(), || $body)
            }
        )*
    };
}

/// The runtime of a test that asks for none.
#[must_use]
#[inline]
pub fn threads() -> Builder {
    Builder::of_threads()
}

/// How long goroutines have to come to rest when the body has ended, before they are cancelled.
const TO_REST: Duration = Duration::from_secs(1);

/// How long the body's goroutine sleeps between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Waits until no goroutine of the runtime can go on but the caller, or the time is over. What is
/// on its way from one queue to another is in none, so two looks have to agree.
#[inline]
fn come_to_rest(runtime: &Runtime) {
    let until = Instant::now() + TO_REST;
    let mut agree = 0;
    while agree < 2 && Instant::now() < until {
        let now = runtime.stats();
        if now.goroutines <= 1 {
            return;
        }
        let rests =
            now.running <= 1 && now.runnable == 0 && now.unstarted == 0 && all_are_there(runtime);
        agree = if rests { agree + 1 } else { 0 };
        Parking::begin().sleep_until(Instant::now() + LOOK_AGAIN);
    }
}

/// True unless the thread of a goroutine of `Mode::threads` is about to begin or to end.
#[inline]
fn all_are_there(runtime: &Runtime) -> bool {
    let handle = runtime.handle();
    let sched = handle.sched();
    !sched.config.mode.is_threads() || thread_g::count_in(sched).others as u64 == sched.live()
}

/// Runs the body of a test in a runtime of its own. Panics if the body does, if a goroutine has
/// panicked that nobody joined, and if goroutines do not end when they are cancelled.
#[track_caller]
pub fn run<R>(builder: Builder, body: impl FnOnce() -> R) -> R {
    let runtime = builder.build().expect("gosched: a runtime could not be built");
    let passed = Cell::new(false);
    let body = || {
        let result = body();
        passed.set(true);
        result
    };
    let then = || {
        if passed.get() {
            come_to_rest(&runtime);
        }
        shutdown::cancel_all(runtime.handle().sched());
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.run_then(body, then)));
    let ended = runtime.shutdown(DROP_GRACE);
    let unjoined = runtime.stats().unjoined_panics;
    match outcome {
        Err(payload) => resume_unwind(payload),
        Ok(result) => {
            assert!(
                unjoined == 0,
                "{unjoined} goroutines of the test panicked, and nobody joined them"
            );
            if let Err(error) = ended {
                panic!("the goroutines of the test do not end: {error}");
            }
            result
        }
    }
}
