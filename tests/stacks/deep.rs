//! `stack_remaining`, `stack_used` and `on_thread_stack`.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use gosched::{
    Cancelled, Mode, Runtime, chan, go, goroutine, on_thread_stack, stack_remaining, yield_now,
};
use test_support::{each_mode, migratory, settled};

const STACK: usize = 128 << 10;

/// The two modes whose goroutines have stacks of their own.
fn stackful(body: impl Fn(&Runtime)) {
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4, 8] {
            let rt =
                Runtime::builder(mode).procs(procs).stack_size(STACK).build().expect("a runtime");
            body(&rt);
            rt.shutdown(Duration::from_secs(30)).expect("it ends");
        }
    }
}

/// Uses a kilobyte and more at each level.
#[inline(never)]
fn deep(level: u32) -> u64 {
    let frame = black_box([u64::from(level); 128]);
    if level == 0 {
        0
    } else {
        deep(level - 1) + black_box(frame)[level as usize % 128] / u64::from(level)
    }
}

#[test]
fn what_is_left_of_a_goroutines_stack_shrinks_as_it_is_used() {
    #[inline(never)]
    fn below() -> usize {
        let frame = black_box([0_u8; 8192]);
        let left = stack_remaining().expect("it has one");
        black_box(&frame);
        left
    }
    stackful(|rt| {
        let goroutine = rt.handle().go(|| {
            let before = stack_remaining().expect("it has one");
            assert!(before < STACK && before > STACK - (48 << 10), "{before}");
            let after = below();
            assert!(after <= before - 8192, "{before} {after}");
            yield_now();
            let again = stack_remaining().expect("it has one");
            assert!(again.abs_diff(before) < 1024, "{before} {again}");
        });
        goroutine.join().expect("no panic");
    });
}

#[test]
fn on_a_plain_thread_it_is_the_threads() {
    let thread =
        thread::Builder::new().stack_size(1 << 20).spawn(stack_remaining).expect("a thread");
    let left = thread.join().expect("no panic").expect("the system tells");
    // The C library may use a larger stack that is left from another thread.
    assert!((512 << 10..16 << 20).contains(&left), "{left}");
}

#[test]
fn pages_that_were_touched_count_as_used() {
    stackful(|rt| {
        let goroutine = rt.handle().go(|| {
            let before = goroutine::stack_used().expect("it has a stack");
            assert_eq!(before % 4096, 0);
            black_box(deep(24));
            let after = goroutine::stack_used().expect("it has a stack");
            assert!((24 << 10..=STACK).contains(&after) && after >= before, "{before} {after}");
        });
        goroutine.join().expect("no panic");
    });
    assert_eq!(goroutine::stack_used(), None);
}

#[test]
fn on_the_threads_stack_there_is_room_for_more_than_a_goroutine_has() {
    stackful(|rt| {
        let goroutine = rt.handle().go(|| {
            let own = stack_remaining().expect("it has one");
            let (id, here) = (goroutine::current_id(), thread::current().id());
            let borrowed = [1, 2, 3];
            let (left, sum) = on_thread_stack(|| {
                assert_eq!((goroutine::current_id(), thread::current().id()), (id, here));
                // 200 KiB and more, which the goroutine does not have.
                black_box(deep(200));
                (stack_remaining().expect("the thread's"), borrowed.iter().sum::<i32>())
            });
            assert!(left > 1 << 20, "{left}");
            let again = stack_remaining().expect("it has one");
            assert!(sum == 6 && again.abs_diff(own) < 1024, "{own} {again}");
        });
        goroutine.join().expect("no panic");
    });
}

#[test]
fn what_waits_there_is_woken_and_nobody_runs_on_its_thread_meanwhile() {
    stackful(|rt| {
        let (tx, rx) = chan::bounded::<u32>(0);
        let goroutine = rt.handle().go(move || {
            let sibling = go(|| thread::current().id());
            let sum = on_thread_stack(|| {
                yield_now();
                rx.recv().expect("the other end is there")
                    + rx.recv().expect("the other end is there")
            });
            let theirs = sibling.join().expect("no panic");
            (sum, thread::current().id(), theirs)
        });
        let sender = rt.handle().go(move || {
            tx.send(3).expect("it is received");
            yield_now();
            tx.send(4).expect("it is received");
        });
        assert_eq!(goroutine.join().expect("no panic").0, 7);
        sender.join().expect("no panic");
    });
}

#[test]
fn a_panic_there_unwinds_the_goroutine_and_it_may_go_there_again() {
    stackful(|rt| {
        let goroutine = rt.handle().go(|| {
            let caught = catch_unwind(AssertUnwindSafe(|| on_thread_stack(|| panic!("deep down"))));
            let payload = caught.expect_err("it panicked");
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"deep down"));
            let own = stack_remaining().expect("it has one");
            assert!(own < STACK);
            on_thread_stack(|| on_thread_stack(stack_remaining)).expect("the thread's") > own
        });
        assert!(goroutine.join().expect("it was caught"));
    });
}

#[test]
fn a_cancel_ends_a_wait_there() {
    stackful(|rt| {
        let (tx, rx) = chan::bounded::<()>(0);
        let (here, arrived) = chan::bounded(1);
        let goroutine = rt.handle().go(move || {
            on_thread_stack(|| {
                here.send(()).expect("somebody waits");
                rx.recv()
            })
        });
        arrived.recv().expect("it comes there");
        assert!(goroutine.cancel());
        let payload = goroutine.join().expect_err("it was cancelled");
        assert!(payload.is::<Cancelled>());
        drop(tx);
    });
}

#[test]
fn where_goroutines_are_threads_it_is_a_call() {
    each_mode(|rt, mode| {
        if mode == Mode::threads() {
            let goroutine = rt.handle().go(|| {
                let before = stack_remaining().expect("the thread's");
                let inside = on_thread_stack(|| stack_remaining().expect("the thread's"));
                inside <= before && before - inside < 8 << 10
            });
            assert!(goroutine.join().expect("no panic"));
        }
    });
    assert_eq!(on_thread_stack(|| 5), 5);
}
