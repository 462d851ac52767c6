//! What a stack costs: by itself, as it was before there were slabs, fresh from a slab, and used again. `cargo bench --bench stacks`
//!
//! Nanoseconds for each stack, the median of nine rounds after one that is not counted, with the range. A page of each is touched.
#![expect(unsafe_code, reason = "touches stacks without running on them")]

use std::time::Instant;

use gosched_runtime_sys::stack::{Guards, Shape, Stack, StackSlab};

const ROUNDS: usize = 9;
const STACKS: u32 = 4_096;
const SIZE: usize = 192 << 10;

fn main() {
    line("a mapping for each: map, guard, touch", || timed(|| (0..STACKS).map(|_| single()).collect::<Vec<_>>()));
    line("a slab: reserve, open, guard, touch", || timed(|| fresh(Guards::available())));
    line("a slab with closed guards: the same", || timed(|| fresh(Guards::Closed)));
    line("a slab: unmap", || {
        let slab = fresh(Guards::available());
        timed(|| drop(slab))
    });
    line("used again: pop, touch, push", || {
        let (mut slab, stacks) = fresh(Guards::available());
        stacks.into_iter().for_each(|stack| slab.push(stack).expect("its own"));
        timed(|| {
            for _ in 0..STACKS {
                let stack = slab.pop().expect("an idle one");
                touch(&stack, 1);
                slab.push(stack).expect("its own");
            }
        })
    });
    line("deep pages given back, where there are none", || {
        let (_slab, mut stacks) = fresh(Guards::available());
        timed(|| stacks.iter_mut().for_each(|stack| stack.discard_below(16 << 10)))
    });
    line("deep pages given back, 44 of them", || {
        let (_slab, mut stacks) = fresh(Guards::available());
        stacks.iter().for_each(|stack| (5..49).for_each(|page| touch(stack, page << 12)));
        timed(|| stacks.iter_mut().for_each(|stack| stack.discard_below(16 << 10)))
    });
}

fn line(name: &str, mut round: impl FnMut() -> f64) {
    round();
    let mut figures: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    figures.sort_by(f64::total_cmp);
    println!("{name:44} {:9.1}  ({:.1} - {:.1})", figures[ROUNDS / 2], figures[0], figures[ROUNDS - 1]);
}

/// Nanoseconds for each stack; what it returns is dropped afterwards.
fn timed<R>(body: impl FnOnce() -> R) -> f64 {
    let began = Instant::now();
    let kept = body();
    let took = began.elapsed();
    drop(kept);
    took.as_nanos() as f64 / f64::from(STACKS)
}

fn single() -> Stack {
    let stack = Stack::single(SIZE).expect("a stack");
    touch(&stack, 1);
    stack
}

fn fresh(guards: Guards) -> (StackSlab, Vec<Stack>) {
    let mut slab = StackSlab::reserve(Shape::new(SIZE, guards).expect("a shape"), STACKS).expect("a slab");
    let mut stacks = Vec::with_capacity(STACKS as usize);
    while let Some(mut unopened) = slab.claim(16) {
        unopened.open(&mut stacks).expect("stacks");
    }
    stacks.iter().for_each(|stack| touch(stack, 1));
    (slab, stacks)
}

/// Writes so many bytes below the end.
fn touch(stack: &Stack, below: usize) {
    let byte = std::ptr::with_exposed_provenance_mut::<u8>(stack.end() - below);
    // SAFETY: inside a stack that nobody runs on.
    unsafe { byte.write_volatile(1) };
}
