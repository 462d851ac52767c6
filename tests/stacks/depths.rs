//! How deep goroutines have been: what a dump says of other goroutines' stacks.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use gosched::goroutine::{Builder, StackUse};
use gosched::{JoinHandle, Mode, Runtime, chan, go, stack_remaining, yield_now};
use test_support::{migratory, settled};

const STACK: usize = 192 * 1024;

/// Touches so much of the stack, or a frame more, and returns.
fn go_down(bytes: usize) {
    #[inline(never)]
    fn to(left: usize) {
        let frame = black_box([1_u8; 512]);
        if stack_remaining().expect("it has one") > left {
            to(left);
        }
        black_box(&frame);
    }
    to(stack_remaining().expect("it has one") - bytes);
}

/// Returns what the dump says of the goroutine's stack.
fn told<T>(rt: &Runtime, of: &JoinHandle<T>) -> Option<StackUse> {
    rt.dump().goroutines.into_iter().find(|g| g.id == of.id()).expect("it has not ended").stack
}

#[test]
fn a_dump_tells_how_deep_each_has_been() {
    for mode in [settled(), migratory()] {
        for procs in [1, 2, 4, 8] {
            let rt =
                Runtime::builder(mode).procs(procs).stack_size(STACK).build().expect("a runtime");
            let (release, released) = chan::bounded::<()>(0);
            let (tell, is_down) = chan::bounded(0);
            let waits = |down: usize| {
                let (released, tell) = (released.clone(), tell.clone());
                move || {
                    go_down(down);
                    tell.send(()).expect("it is awaited");
                    released.recv().expect_err("nothing is sent");
                }
            };
            let shallow = rt.handle().go(waits(1 << 10));
            let deep = rt.handle().go(waits(120 << 10));
            let other =
                Builder::new().runtime(&rt.handle()).stack_size(1 << 20).go(waits(700 << 10));
            (0..3).for_each(|_| is_down.recv().expect("it comes there"));
            let of = |g| told(&rt, g).expect("it has one");
            assert_eq!(
                (of(&shallow).size, of(&deep).size, of(&other).size),
                (STACK, STACK, 1 << 20)
            );
            assert!((1 << 10..64 << 10).contains(&of(&shallow).used), "{:?}", of(&shallow));
            assert!((120 << 10..150 << 10).contains(&of(&deep).used), "{:?}", of(&deep));
            assert!((700 << 10..730 << 10).contains(&of(&other).used), "{:?}", of(&other));
            let line = format!("{} of {STACK} bytes of its stack used", of(&deep).used);
            assert!(rt.dump().to_string().contains(&line), "no {line:?} in {}", rt.dump());
            drop(release);
            [shallow, deep, other].into_iter().for_each(|g| g.join().expect("no panic"));
        }
    }
}

#[test]
fn what_has_no_stack_of_its_own_has_none_in_a_dump() {
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    rt.run(|| {
        let unstarted = go(|| ());
        assert_eq!(told(&rt, &unstarted), None);
        unstarted.join().expect("no panic");
    });
    let rt = Runtime::builder(Mode::threads()).build().expect("a runtime");
    let (release, released) = chan::bounded::<()>(0);
    let thread = rt.handle().go(move || released.recv());
    assert_eq!(told(&rt, &thread), None);
    drop(release);
    thread.join().expect("no panic").expect_err("nothing was sent");
}

/// Stacks come and go, slabs of them with the unusual sizes, while others ask for them.
#[test]
fn dumps_in_the_middle_of_everything_tell_of_whole_stacks() {
    let rt = Runtime::builder(settled()).procs(4).stack_size(STACK).build().expect("a runtime");
    let sizes = [STACK, 64 << 10, 128 << 10, 8 << 20];
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        let maker = s.spawn(|| {
            for n in 0..3_000 {
                let builder =
                    Builder::new().runtime(&rt.handle()).stack_size(sizes[n % sizes.len()]);
                let all: Vec<_> = (0..4).map(|_| builder.clone().go(yield_now)).collect();
                all.into_iter().for_each(|one| one.join().expect("no panic"));
            }
            stop.store(true, Relaxed);
        });
        while !stop.load(Relaxed) && !maker.is_finished() {
            for StackUse { size, used, .. } in
                rt.dump().goroutines.into_iter().filter_map(|g| g.stack)
            {
                assert!(sizes.contains(&size) && used <= size, "{used} of {size}");
            }
        }
        maker.join().expect("no panic");
    });
}
