//! `gosched::test!`: what passes, and what fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use gosched::goroutine::current_id;
use gosched::{Handle, Mode, Runtime, Warnings, chan, go, scope, sync, time, yield_now};
use test_support::{migratory, settled};

gosched::test! {
    /// With a documentation, too.
    fn the_body_is_a_goroutine() {
        assert!(current_id().is_some());
        assert_eq!(Handle::current().go(|| 7).join().expect("no panic"), 7);
    }

    fn results_are_returned() -> Result<(), chan::RecvError> {
        let (tx, rx) = chan::bounded(0);
        go(move || tx.send(1));
        assert_eq!(rx.recv()?, 1);
        Ok(())
    }

    #[should_panic = "on purpose"]
    fn the_bodys_panic_comes_first() {
        go(|| panic!("another")).join().expect_err("it panics");
        panic!("on purpose");
    }

    #[should_panic = "nobody joined"]
    fn a_panic_that_nobody_joins() {
        go(|| panic!("on purpose"));
    }

    #[should_panic = "nobody joined"]
    fn a_panic_after_a_wait() {
        let (tx, rx) = chan::bounded::<()>(0);
        go(move || {
            rx.recv().expect_err("its sender goes");
            yield_now();
            panic!("on purpose");
        });
        go(move || drop(tx));
    }

    fn a_panic_that_is_joined() {
        assert!(go(|| panic!("on purpose")).join().is_err());
        scope(|s| assert!(s.go(|| panic!("on purpose")).join().is_err()));
    }

    fn what_waits_for_ever_is_cancelled() {
        go(|| chan::never::<()>().recv());
        go(|| time::sleep(Duration::from_secs(3600)));
    }
}

gosched::test! {
    on Runtime::builder(settled()).procs(1);

    #[should_panic = "nobody joined"]
    fn settled_ones_too() {
        go(|| panic!("on purpose"));
    }

    fn waiting_siblings_are_cancelled() {
        go(|| chan::never::<()>().recv());
        yield_now();
    }
}

gosched::test! {
    on Runtime::builder(migratory());

    #[should_panic = "2 goroutines of the test panicked"]
    fn migratory_ones_too() {
        (0..2).for_each(|_| drop(go(|| panic!("on purpose"))));
    }
}

/// What is told of by `test!` is in the numbers.
#[test]
fn the_numbers_know_of_unjoined_panics() {
    let rt = Runtime::builder(Mode::threads()).warnings(Warnings::Off).build().expect("a runtime");
    let ended = Arc::new(sync::Barrier::new(2));
    let theirs = ended.clone();
    assert!(rt.go(|| panic!("on purpose")).join().is_err());
    assert_eq!(rt.stats().unjoined_panics, 0);
    let held = rt.go(move || {
        theirs.wait();
        panic!("on purpose");
    });
    ended.wait();
    while !held.is_finished() {
        yield_now();
    }
    assert_eq!(rt.stats().unjoined_panics, 0, "it may still be joined");
    drop(held);
    assert_eq!(rt.stats().unjoined_panics, 1);
}

#[test]
fn short_forms() {
    let rt = Runtime::new(Mode::threads()).expect("a runtime");
    let ran = Arc::new(AtomicBool::new(false));
    let theirs = ran.clone();
    rt.go(move || theirs.store(true, Relaxed)).join().expect("no panic");
    assert!(ran.load(Relaxed));
    let outside = catch_unwind(AssertUnwindSafe(Handle::current)).expect_err("it is in none");
    let said = outside.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| outside.downcast_ref::<&str>().copied()).expect("a message");
    assert!(said.contains("in no runtime"), "{said}");
}
