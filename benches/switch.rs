//! The cost of a pair of context switches, through 0, 1 and 3 call frames on the suspending side.
//! `cargo bench --bench switch`
//!
//! With no frame in between the compiler sees `resume` and `suspend` end to end and saves only the
//! live registers. Each frame that is entered on one side and left on the other costs its own saves
//! and a mispredicted return.
#![expect(unsafe_code, reason = "switches contexts")]

mod common;

use std::hint::black_box;
use std::time::Instant;

use gosched_runtime_sys::memory::context::{Context, Suspender};
use gosched_runtime_sys::memory::stack::Stack;

use common::{ROUNDS, rounds, shown};

const PAIRS: u32 = 2_000_000;

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

fn pair(name: &str, suspend: impl Fn(S, usize) -> usize + 'static) {
    let stack = Stack::single(64 * 1024).expect("a stack");
    let mut context = Context::new(stack, move |s: S, first| {
        let mut v = first;
        // Ends when a resume passes the greatest value. None does; the stack is leaked with the
        // process.
        while v < usize::MAX {
            v = suspend(s, v);
        }
    });
    let figures = rounds(|| {
        let began = Instant::now();
        for _ in 0..PAIRS {
            // SAFETY: always the same thread.
            black_box(unsafe { context.resume(black_box(1)) });
        }
        began.elapsed().as_nanos() as f64 / f64::from(PAIRS)
    });
    println!("{name:24} {}", shown(figures, 2));
}

fn main() {
    println!("ns per pair: median (least - most) of {ROUNDS} rounds of {PAIRS} pairs");
    pair("switch pair, inlined", through_0);
    pair("switch pair, 1 frame", through_1);
    pair("switch pair, 3 frames", through_3);
}
