//! The cost of a stack: fresh from a slab, and used again; and slabs against the former pool, a
//! mapping and an `mprotect` for each stack. `cargo bench --bench stacks`
//!
//! Nanoseconds for each stack, the median of nine rounds after one that is not counted, with the
//! range. The compared pools take turns, round by round. A page of each stack is touched.
#![expect(unsafe_code, reason = "touches stacks without running on them, and runs contexts")]

mod common;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use gosched::{JoinHandle, Mode, Runtime, chan, yield_now};
use gosched_runtime_sys::memory::context::{Context, Suspender};
use gosched_runtime_sys::memory::stack::{Guards, Shape, Stack, StackSlab};

use common::{ROUNDS, rounds, shown};

const STACKS: u32 = 4_096;
const SIZE: usize = 192 << 10;

fn main() {
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
        timed(|| Stack::discard_below(stacks.iter_mut(), 16 << 10))
    });
    line("deep pages given back, 44 of them", || {
        let (_slab, mut stacks) = fresh(Guards::available());
        stacks.iter().for_each(|stack| (5..49).for_each(|page| touch(stack, page << 12)));
        timed(|| Stack::discard_below(stacks.iter_mut(), 16 << 10))
    });
    pools();
    runtimes();
}

fn line(name: &str, round: impl FnMut() -> f64) {
    show(name, rounds(round));
}

fn show(name: &str, figures: Vec<f64>) {
    println!("{name:44} {}", shown(figures, 1));
}

/// Runs rounds of the one and of the other in turn. Each returns the three named figures.
fn in_turn(kinds: [&str; 2], names: [&str; 3], mut round: impl FnMut(usize) -> [f64; 3]) {
    let mut figures = [const { [const { Vec::new() }; 3] }; 2];
    for counted in [false].into_iter().chain([true; ROUNDS]) {
        for (kind, figures) in figures.iter_mut().enumerate() {
            for (figure, figures) in round(kind).into_iter().zip(figures).filter(|_| counted) {
                figures.push(figure);
            }
        }
    }
    for (n, name) in names.into_iter().enumerate() {
        for (kind, figures) in kinds.into_iter().zip(&mut figures) {
            show(&format!("{name}: {kind}"), std::mem::take(&mut figures[n]));
        }
    }
}

/// A pool of goroutines' stacks, as one thread that spawns goroutines uses it.
trait Pool: Default {
    fn get(&mut self) -> Stack;
    fn put(&mut self, stack: Stack);
}

/// The number of stacks that a P keeps.
const CACHE: usize = 64;

/// A mapping for each stack, opened by an `mprotect`; a list of idle stacks, however deep they were
/// used.
#[derive(Default)]
struct Former(Vec<Stack>);

impl Pool for Former {
    fn get(&mut self) -> Stack {
        self.0.pop().unwrap_or_else(|| {
            let mut slab =
                StackSlab::reserve(Shape::new(SIZE, Guards::Closed).expect("a shape"), 1)
                    .expect("a mapping");
            let mut stacks = Vec::with_capacity(1);
            slab.take_unopened(1).expect("there is one").open(&mut stacks).expect("a stack");
            stacks.pop().expect("it was opened")
        })
    }

    fn put(&mut self, stack: Stack) {
        self.0.push(stack);
    }
}

/// A slab for all stacks, opened in batches, and a cache. A stack that leaves the cache gives its
/// deep pages back.
struct Slabs {
    cache: Vec<Stack>,
    slab: StackSlab,
}

impl Default for Slabs {
    fn default() -> Self {
        let shape = Shape::new(SIZE, Guards::available()).expect("a shape");
        Self { cache: Vec::new(), slab: StackSlab::reserve(shape, STACKS).expect("a slab") }
    }
}

impl Pool for Slabs {
    fn get(&mut self) -> Stack {
        if self.cache.is_empty() {
            self.cache.extend((0..CACHE / 2).map_while(|_| self.slab.pop()));
        }
        if self.cache.is_empty() {
            self.slab
                .take_unopened(16)
                .expect("there are enough")
                .open(&mut self.cache)
                .expect("stacks");
        }
        self.cache.pop().expect("just filled")
    }

    fn put(&mut self, stack: Stack) {
        self.cache.push(stack);
        if self.cache.len() > CACHE {
            for mut stack in self.cache.drain(..CACHE / 2) {
                Stack::discard_below(std::iter::once(&mut stack), 16 << 10);
                self.slab.push(stack).expect("its own");
            }
        }
    }
}

/// Stacks on which a coroutine begins, waits and ends: so many at a time, of a new pool and again,
/// and one after the other.
fn pools() {
    fn round<P: Pool>() -> [f64; 3] {
        let mut pool = P::default();
        let cold = timed(|| together(&mut pool));
        let warm = timed(|| together(&mut pool));
        let one = timed(|| {
            for _ in 0..STACKS {
                let context = begin_on(&mut pool);
                end(&mut pool, context);
            }
        });
        [cold, warm, one]
    }
    println!("\nbegun, switched to twice and ended on each stack");
    let names = ["cold, 4096 at a time", "warm, 4096 at a time", "warm, one at a time"];
    in_turn(["a mapping each", "slabs"], names, |kind| {
        if kind == 0 { round::<Former>() } else { round::<Slabs>() }
    });
}

fn together(pool: &mut impl Pool) {
    let begun: Vec<_> = (0..STACKS).map(|_| begin_on(pool)).collect();
    begun.into_iter().for_each(|context| end(pool, context));
}

fn begin_on(pool: &mut impl Pool) -> Context<(), ()> {
    let mut context = Context::new(pool.get(), |suspender: Suspender<(), ()>, ()| {
        // SAFETY: this runs in the context whose suspender it is.
        unsafe { suspender.suspend(()) }
    });
    // SAFETY: it is resumed by the thread that made it.
    black_box(unsafe { context.resume(()) }).expect("it suspends");
    context
}

fn end(pool: &mut impl Pool, mut context: Context<(), ()>) {
    // SAFETY: as in `begin_on`.
    assert_eq!(unsafe { context.resume(()) }, None, "it ends");
    pool.put(context.into_stack());
}

/// Goroutines spawned and joined in a runtime, with the kernel's lightest guards, or with guards as
/// on a kernel that has no light ones.
fn runtimes() {
    fn round() -> [f64; 3] {
        // SAFETY: nothing here suspends in an initialiser or a nested call.
        let mode = unsafe { Mode::settled() };
        let runtime = Runtime::builder(mode).procs(1).build().expect("a runtime");
        runtime.run(|| {
            let cold = timed(|| waiting(&runtime));
            let warm = timed(|| waiting(&runtime));
            let one = timed(|| {
                (0..STACKS).for_each(|_| runtime.handle().go(|| ()).join().expect("no panic"))
            });
            [cold, warm, one]
        })
    }
    println!("\nspawn and join of goroutines that wait once, in a new runtime with one P");
    let names = ["cold, 4096 at a time", "warm, 4096 at a time", "warm, one at a time, no wait"];
    in_turn(["closed guards", "light guards"], names, |kind| {
        // SAFETY: no other thread of this process is running.
        unsafe { std::env::set_var("GOSCHED_STACK_GUARDS", if kind == 0 { "closed" } else { "" }) };
        round()
    });
}

fn waiting(runtime: &Runtime) {
    let (release, released) = chan::bounded::<()>(0);
    let begun = Arc::new(AtomicU32::new(0));
    let spawn = |_| {
        let (released, begun) = (released.clone(), begun.clone());
        runtime.handle().go(move || {
            begun.fetch_add(1, Relaxed);
            released.recv().is_err()
        })
    };
    let all: Vec<JoinHandle<bool>> = (0..STACKS).map(spawn).collect();
    while begun.load(Relaxed) < STACKS {
        yield_now();
    }
    drop(release);
    all.into_iter().for_each(|one| assert!(one.join().expect("no panic")));
}

/// Nanoseconds for each stack; what it returns is dropped afterwards.
fn timed<R>(body: impl FnOnce() -> R) -> f64 {
    let began = Instant::now();
    let kept = body();
    let took = began.elapsed();
    drop(kept);
    took.as_nanos() as f64 / f64::from(STACKS)
}

fn fresh(guards: Guards) -> (StackSlab, Vec<Stack>) {
    let mut slab =
        StackSlab::reserve(Shape::new(SIZE, guards).expect("a shape"), STACKS).expect("a slab");
    let mut stacks = Vec::with_capacity(STACKS as usize);
    while let Some(mut unopened) = slab.take_unopened(16) {
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
