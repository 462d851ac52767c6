//! How a goroutine begins on an M, and how it ends.
//!
//! A G gets its stack when an M starts it, so that a burst of short Gs runs on a few stacks.
//! Closure, outcome and their drops belong to the G: they run on its stack, before its last switch.
//!
//! # Safety
//!
//! The entry function runs once, on the stack of the G it was made for.
#![expect(unsafe_code, reason = "the entry function gets its G as a pointer")]

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use gosched_runtime_sys::memory::context::Context;
use gosched_runtime_sys::memory::stack::{self, Stack};
use gosched_runtime_sys::signal::fatal::{Part, fatal};

use crate::gmp::body::{Begin, Built, Entry};
use crate::gmp::current::{self, Current, InsideWithP};
use crate::gmp::g::{Cancelled, G, GOwned, GSuspender, Kind, Runnable, StackRange};
use crate::gmp::names::NameEntry;
use crate::gmp::slab;
use crate::proc::locals;
use crate::proc::running::Running;

/// Gives a new G a stack and, if it is settled, this M for good. Fails if there is no stack to be
/// had.
pub(crate) fn start(cx: &Current, inside: &mut InsideWithP, g: &mut Runnable) -> io::Result<()> {
    let p = inside.p.as_mut().expect("only an M with a P starts goroutines");
    let stack = p.stacks.get(&cx.sched().stacks, g.stack_size())?;
    begin_on(g, &stack);
    settle(cx, g);
    let raw = g.as_raw();
    *g.context() = Some(Context::new(stack, move |suspender, _resumed| {
        // SAFETY: this is the first code on the stack of the G at `raw`.
        unsafe { main(raw, Some(suspender)) }
    }));
    Ok(())
}

/// The owner's part of the G comes to lie at the head of its stack.
fn begin_on(g: &Runnable, stack: &Stack) {
    const { assert!(size_of::<GOwned>() <= stack::HEAD && align_of::<GOwned>() <= stack::HEAD_ALIGN) };
    let range = StackRange { guard: stack.guard().start, low: stack.limit(), high: stack.end() };
    let owned = stack.head().cast::<GOwned>();
    // SAFETY: large enough and aligned, and whoever has the stack has its head.
    unsafe { owned.write(GOwned::new(g.kind(), range)) };
    // SAFETY: the stack stays with the G until `finish`, which takes this part back first; nobody
    // else has its head.
    unsafe { g.attach_owned(owned) };
}

fn settle(cx: &Current, g: &Runnable) {
    if g.kind() == Kind::Settled {
        g.settle(cx.m.as_home(), cx.m.number());
        cx.m.settle();
    }
}

/// # Safety
///
/// Called once per G, on its stack (or, without a suspender, on the thread that runs it in place).
unsafe fn main(g: NonNull<G>, suspender: Option<GSuspender>) {
    // SAFETY: the caller is the G, whose owner is the M that runs it: nobody else has the token
    // meanwhile.
    let g = unsafe { Runnable::from_raw(g) };
    g.owned().suspender.set(suspender);
    let (id, entry) = (g.g().id(), g.take_entry());
    g.owned().root.set(matches!(entry, Entry::Borrowed(_)));
    let _the_m_has_it = g.into_raw();
    let cancelled = current::with(|cx| cx.is_some_and(|cx| cx.sched().closing()));
    run_to_end(id, entry, if cancelled { Begin::Cancelled } else { Begin::Run });
}

/// A goroutine's life. The body catches what its closure throws; what is left are the drops of what
/// nobody joins, and the waker of who does. They may wait, and be cancelled in it like the closure:
/// that ends the goroutine, too.
pub(crate) fn run_to_end(id: u64, entry: Entry, begin: Begin) {
    let lived = catch_unwind(AssertUnwindSafe(move || match entry {
        Entry::Shared(body) => body.run(id, begin),
        Entry::Built(built) => {
            let Built { body, name_entry, .. } = *built;
            with_name(name_entry.as_ref(), || body.run(id, begin));
        }
        // SAFETY: the caller of `run` waits until this G has ended.
        Entry::Borrowed(body) => unsafe { body.as_ref() }.run(id, begin),
    }));
    // What the drops after its end have made.
    locals::end(id);
    if let Err(payload) = lived
        && !payload.is::<Cancelled>()
    {
        mem::forget(payload);
        fatal(&[
            Part::Text("gosched: goroutine "),
            Part::Dec(id),
            Part::Text(" panicked while its result was dropped, or in its joiner's waker\n"),
        ]);
    }
}

/// Calls `f` while the running G is called so.
fn with_name(name_entry: Option<&NameEntry>, f: impl FnOnce()) {
    let owned = current::with(|cx| cx.and_then(Current::owned).map(NonNull::from));
    match name_entry.zip(owned) {
        // SAFETY: the running G's own part stays while it runs.
        Some((name_entry, owned)) => unsafe { owned.as_ref() }.with_name(name_entry.name(), f),
        // It has no name; or there was no thread for it, and it never begins.
        None => f(),
    }
}

/// A G has ended: its stack and its record are free. True: it ended locked to its thread.
#[inline]
pub(crate) fn finish(cx: &Current, inside: &mut InsideWithP, mut g: Runnable) -> bool {
    let sched = cx.sched();
    let locked = g.owned().locks.get() > 0;
    let stack = g.context().take().expect("it has run").into_stack();
    let owned = g.detach_owned().expect("it has run");
    // SAFETY: written by `begin_on`, dropped once, and before the stack, in whose head it lies,
    // goes.
    unsafe { owned.drop_in_place() };
    match inside.p.as_mut() {
        Some(p) => p.stacks.put(&sched.stacks, stack),
        None => sched.stacks.put(stack),
    }
    end(cx, inside, g);
    locked
}

fn end(cx: &Current, inside: &mut InsideWithP, g: Runnable) {
    let sched = cx.sched();
    if g.kind() == Kind::Settled {
        cx.m.unsettle();
    }
    g.vacate();
    let record = g.into_raw();
    match inside.p.as_mut() {
        Some(p) => {
            p.vacant.push(record);
            if p.vacant.len() > 4 * slab::BATCH {
                sched.slab.put(p.vacant.drain(..2 * slab::BATCH));
            }
        }
        None => sched.slab.put(std::iter::once(record)),
    }
    cx.m.count_ended();
    if sched.closing() {
        sched.drained.wake();
    }
}

/// There is no stack for a new G: it ends before it began, with the error as its joiner's. Its
/// closure is dropped here, on the thread's own stack, as that G.
#[cold]
pub(crate) fn abandon(cx: &Current, mut g: Runnable, error: io::Error) {
    let owned = GOwned::new(g.kind(), StackRange::default());
    // SAFETY: it stays in this frame until it is taken back below; nothing in between unwinds.
    unsafe { g.attach_owned(NonNull::from(&owned)) };
    settle(cx, &g);
    Running::again(cx, g.g()).run_here(g.g(), || {
        run_to_end(g.g().id(), g.take_entry(), Begin::Failed(error));
    });
    let _it_is_this_frames = g.detach_owned();
    let mut inside = cx.enter_with_p().expect("the loop is not inside itself");
    end(cx, &mut inside, g);
}
