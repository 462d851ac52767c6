//! Below the scheduler: a pair of context switches, and a stack taken and put back.
#![expect(unsafe_code, reason = "switches contexts and touches stacks without running on them")]

use std::hint::black_box;

use criterion::Criterion;
use gosched_runtime_sys::memory::context::{Context, Suspender};
use gosched_runtime_sys::memory::stack::{Guards, Shape, Stack, StackSlab};

pub(crate) fn measure(criterion: &mut Criterion) {
    switch(criterion);
    slab(criterion);
    criterion.bench_function("stack/map, touch, unmap", |bencher| {
        bencher.iter(|| touch(&Stack::single(64 << 10).expect("a stack")));
    });
}

/// Into a context and out of it, inlined.
fn switch(criterion: &mut Criterion) {
    let stack = Stack::single(64 << 10).expect("a stack");
    let mut context = Context::new(stack, |suspender: Suspender<usize, usize>, first| {
        let mut value = first;
        // Ends when a resume passes the greatest value. None does; the stack is leaked with the
        // process.
        while value < usize::MAX {
            // SAFETY: on the stack of the context that the suspender was made for.
            value = unsafe { suspender.suspend(value) };
        }
    });
    criterion.bench_function("switch/pair", |bencher| {
        bencher.iter(|| {
            // SAFETY: always the same thread.
            unsafe { context.resume(black_box(1)) }
        });
    });
}

fn slab(criterion: &mut Criterion) {
    let shape = Shape::new(192 << 10, Guards::available()).expect("a shape");
    let mut slab = StackSlab::reserve(shape, 64).expect("a slab");
    let mut stacks = Vec::new();
    slab.take_unopened(1).expect("there is one").open(&mut stacks).expect("a stack");
    slab.push(stacks.pop().expect("it was opened")).expect("its own");
    criterion.bench_function("stack/pop, touch, push", |bencher| {
        bencher.iter(|| {
            let stack = slab.pop().expect("an idle one");
            touch(&stack);
            slab.push(stack).expect("its own");
        });
    });
}

/// Writes to the place where a goroutine would begin.
fn touch(stack: &Stack) {
    let word = black_box(stack.top() - 64) as *mut u64;
    // SAFETY: it lies in the stack, which nobody runs on, and is aligned.
    unsafe { word.write_volatile(1) };
}
