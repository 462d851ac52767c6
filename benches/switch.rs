//! What a pair of context switches costs, through 0, 1 and 3 call frames on the suspending side.
//! `cargo bench --bench switch`
//!
//! With no frame in between the compiler sees `resume` and `suspend` end to end and saves only what is live; each frame
//! that is entered on one side and left on the other costs a mispredicted return besides its own saves.
#![expect(unsafe_code, reason = "switches contexts")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gosched_runtime_sys::context::{Context, Suspender};
use gosched_runtime_sys::stack::Stack;

type S = Suspender<usize, usize>;

#[inline(always)]
fn through_0(s: S, v: usize) -> usize {
    // SAFETY: called on the stack of the context that the suspender was made for.
    unsafe { s.suspend(v) }
}

#[inline(never)]
fn through_1(s: S, v: usize) -> usize {
    black_box(through_0(s, v))
}

#[inline(never)]
fn two(s: S, v: usize) -> usize {
    black_box(through_1(s, v)) + 1
}

#[inline(never)]
fn through_3(s: S, v: usize) -> usize {
    black_box(two(s, v)) + 1
}

fn pair(c: &mut Criterion, name: &str, suspend: impl Fn(S, usize) -> usize + 'static) {
    let stack = Stack::new(64 * 1024).expect("a stack");
    let mut context = Context::new(stack, move |s: S, first| {
        let mut v = first;
        // Ends when the last resume passes the greatest value.
        while v < usize::MAX {
            v = suspend(s, v);
        }
    });
    c.bench_function(name, |b| {
        b.iter(|| {
            // SAFETY: always the same thread.
            black_box(unsafe { context.resume(black_box(1)) })
        });
    });
}

fn switches(c: &mut Criterion) {
    pair(c, "switch pair, inlined", through_0);
    pair(c, "switch pair, 1 frame", through_1);
    pair(c, "switch pair, 3 frames", through_3);
}

criterion_group!(benches, switches);
criterion_main!(benches);
