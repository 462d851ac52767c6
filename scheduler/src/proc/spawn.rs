//! How a goroutine begins and ends.
//!
//! `go` makes a record and queues it; a stack it gets only when an M starts it, so that a burst of
//! short Gs runs on a few stacks. Closure, outcome and their drops belong to the G: they run on its
//! stack, before its last switch.
//!
//! # Safety
//!
//! The entry function runs once, on the stack of the G it was made for.
#![expect(unsafe_code, reason = "the entry function gets its G as a pointer")]

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use gosched_runtime_sys::context::Context;
use gosched_runtime_sys::fatal::{Part, fatal};
use gosched_runtime_sys::new_thread;
use gosched_runtime_sys::stack::{self, Stack};

use crate::ds::grow;
use crate::gmp::body::{Begin, Built, Entry};
use crate::gmp::current::{self, Current, Entered};
use crate::gmp::g::{Cancelled, G, GSuspender, Kind, Own, Runnable, StackRange};
use crate::gmp::names::Called;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::gmp::slab;
use crate::gmp::thread_g::{self, ThreadG};
use crate::proc::start_m::reap;
use crate::proc::{attach, locals, wake};

/// How many goroutine numbers a P reserves at a time.
const IDS: u64 = 256;

/// Makes a goroutine and queues it; its number. `here` is the caller's place in `sched`, if it has
/// one, and `place` its place in the program.
#[inline]
pub(crate) fn spawn(
    sched: &Sched,
    here: Option<&Current>,
    kind: Kind,
    entry: Entry,
    place: &'static Location<'static>,
) -> u64 {
    let id;
    if let Some(Ok(mut hand)) = here.map(Current::enter)
        && let Some(p) = hand.p.as_mut()
    {
        here.expect("it entered").m.count_spawned();
        let g = new_g(sched, p);
        id = next_id(p);
        g.init(id, kind, Some(entry));
        g.g().made_at(Some(place));
        p.push_unstarted(g);
    } else {
        sched.count_outside();
        let g = sched.slab.take();
        id = thread_g::reserve_ids(1);
        g.init(id, kind, Some(entry));
        g.g().made_at(Some(place));
        sched.push_new(g);
    }
    wake::submit(sched);
    id
}

/// Makes a goroutine that is in no queue.
pub(crate) fn make_apart(
    sched: &Sched,
    kind: Kind,
    entry: Entry,
    place: &'static Location<'static>,
) -> Runnable {
    sched.count_outside();
    let g = sched.slab.take();
    g.init(thread_g::reserve_ids(1), kind, Some(entry));
    g.g().made_at(Some(place));
    g
}

/// Queues a new goroutine that was made apart.
pub(crate) fn queue_apart(sched: &Sched, g: Runnable) {
    sched.push_new(g);
    wake::submit(sched);
}

fn new_g(sched: &Sched, p: &mut P) -> Runnable {
    if p.vacant.is_empty() {
        sched.slab.refill(&mut p.vacant);
    }
    let g = p.vacant.pop().expect("a refill brings at least one");
    // SAFETY: vacant, and in no list any more.
    unsafe { Runnable::from_raw(g) }
}

fn next_id(p: &mut P) -> u64 {
    if p.ids.is_empty() {
        let first = thread_g::reserve_ids(IDS);
        p.ids = first..first + IDS;
    }
    p.ids.next().expect("just reserved")
}

/// Gives a new G a stack and, if it is settled, this M for good. Fails if there is no stack to be
/// had.
pub(crate) fn start(cx: &Current, hand: &mut Entered, g: &mut Runnable) -> io::Result<()> {
    let p = hand.p.as_mut().expect("only an M with a P starts goroutines");
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
    const { assert!(size_of::<Own>() <= stack::HEAD && align_of::<Own>() <= stack::HEAD_ALIGN) };
    let range = StackRange { guard: stack.guard().start, low: stack.limit(), high: stack.end() };
    let own = stack.head().cast::<Own>();
    // SAFETY: large enough and aligned, and whoever has the stack has its head.
    unsafe { own.write(Own::new(g.kind(), range)) };
    // SAFETY: the stack stays with the G until `finish`, which takes this part back first; nobody
    // else has its head.
    unsafe { g.give_own(own) };
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
    g.own().suspender.set(suspender);
    let (id, entry) = (g.g().id(), g.take_entry());
    g.own().root.set(matches!(entry, Entry::Borrowed(_)));
    let _the_m_has_it = g.into_raw();
    let cancelled = current::with(|cx| cx.is_some_and(|cx| cx.sched().closing()));
    live(id, entry, if cancelled { Begin::Cancelled } else { Begin::Run });
}

/// A goroutine's life. The body catches what its closure throws; what is left are the drops of what
/// nobody joins, and the waker of who does. They may wait, and be cancelled in it like the closure:
/// that ends the goroutine, too.
fn live(id: u64, entry: Entry, begin: Begin) {
    let lived = catch_unwind(AssertUnwindSafe(move || match entry {
        Entry::Shared(body) => body.run(id, begin),
        Entry::Built(built) => {
            let Built { body, called, .. } = *built;
            as_called(called.as_ref(), || body.run(id, begin));
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
fn as_called(called: Option<&Called>, f: impl FnOnce()) {
    let own = current::with(|cx| cx.and_then(Current::own).map(NonNull::from));
    match called.zip(own) {
        // SAFETY: the running G's own part stays while it runs.
        Some((called, own)) => unsafe { own.as_ref() }.named(called.name(), f),
        // It has no name; or there was no thread for it, and it never begins.
        None => f(),
    }
}

/// A G has ended: its stack and its record are free. True: it ended locked to its thread.
#[inline]
pub(crate) fn finish(cx: &Current, hand: &mut Entered, mut g: Runnable) -> bool {
    let sched = cx.sched();
    let locked = g.own().locks.get() > 0;
    let stack = g.context().take().expect("it has run").into_stack();
    let own = g.take_own().expect("it has run");
    // SAFETY: written by `begin_on`, dropped once, and before the stack, in whose head it lies,
    // goes.
    unsafe { own.drop_in_place() };
    match hand.p.as_mut() {
        Some(p) => p.stacks.put(&sched.stacks, stack),
        None => sched.stacks.put(stack),
    }
    end(cx, hand, g);
    locked
}

fn end(cx: &Current, hand: &mut Entered, g: Runnable) {
    let sched = cx.sched();
    if g.kind() == Kind::Settled {
        cx.m.unsettle();
    }
    g.retire();
    let record = g.into_raw();
    match hand.p.as_mut() {
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
    let own = Own::new(g.kind(), StackRange::default());
    // SAFETY: it stays in this frame until it is taken back below; nothing in between unwinds.
    unsafe { g.give_own(NonNull::from(&own)) };
    settle(cx, &g);
    cx.set_g(Some(g.g()));
    live(g.g().id(), g.take_entry(), Begin::Failed(error));
    cx.set_g(None);
    let _it_is_this_frames = g.take_own();
    let mut hand = cx.enter().expect("the loop is not inside itself");
    end(cx, &mut hand, g);
}

/// `Mode::threads`: a goroutine with a thread of its own, a used one if one waits; its number.
pub(crate) fn spawn_thread(sched: &Sched, entry: Entry, place: &'static Location<'static>) -> u64 {
    let g = make_apart(sched, Kind::ThreadBacked, entry, place);
    let id = g.g().id();
    if let Err((g, error)) = thread_for(sched, g) {
        live(id, g.take_entry(), Begin::Failed(error));
        vacate(sched, g);
    }
    id
}

/// As [`spawn_thread`]; without a thread, the goroutine's closure is dropped.
pub(crate) fn try_spawn_thread(
    sched: &Sched,
    entry: Entry,
    place: &'static Location<'static>,
) -> io::Result<u64> {
    let g = make_apart(sched, Kind::ThreadBacked, entry, place);
    let id = g.g().id();
    thread_for(sched, g).map_err(|(g, error)| {
        drop(g.take_entry());
        vacate(sched, g);
        error
    })?;
    Ok(id)
}

/// A thread for a thread-backed G: one that waits in the pool, or a new one.
fn thread_for(sched: &Sched, g: Runnable) -> Result<(), (Runnable, io::Error)> {
    let Err(g) = sched.threads.submit(g) else { return Ok(()) };
    // The G travels beside the closure, so that it is not lost with a thread that could not be
    // made.
    let raw = AtomicPtr::new(g.into_raw().as_ptr());
    let raw = Arc::new(raw);
    let (owner, theirs) = (sched.arc(), raw.clone());
    let name = format!("{}-g", sched.config.name);
    let made = new_thread::spawn(name, move || {
        let mut next = take(&theirs);
        while let Some(g) = next {
            run_thread(&owner, g);
            next = owner.threads.next();
        }
        reap(&owner);
    });
    match made {
        Ok(join) => {
            grow::push(|| sched.joins.lock(), |joins| joins, join);
            Ok(())
        }
        Err(error) => Err((take(&raw).expect("the thread that would take it was not made"), error)),
    }
}

fn take(from: &AtomicPtr<G>) -> Option<Runnable> {
    let g = NonNull::new(from.swap(std::ptr::null_mut(), Relaxed))?;
    // SAFETY: it was put there by its owner, and is taken out once.
    Some(unsafe { Runnable::from_raw(g) })
}

/// Runs one goroutine of `Mode::threads` on the calling pool thread.
fn run_thread(sched: &Sched, g: Runnable) {
    let place = ThreadG::acquire();
    place.renew(g.g().id());
    place.g().made_at(g.g().made());
    let entry = g.take_entry();
    run_as(sched, place, entry);
    place.release();
    vacate(sched, g);
}

/// Runs `entry` as the goroutine of `place` on the calling thread.
pub(crate) fn run_as(sched: &Sched, place: &'static ThreadG, entry: Entry) {
    let id = place.g().id();
    let begin = match (place.join(sched), attach::prepare(place.place().m)) {
        (Err(_), _) => Begin::Cancelled,
        (_, Err(error)) => Begin::Failed(error),
        _ => Begin::Run,
    };
    if !matches!(begin, Begin::Run) {
        place.leave(sched);
        return live(id, entry, begin);
    }
    attach::attached(place.place(), sched, || live(id, entry, begin));
    place.leave(sched);
}

fn vacate(sched: &Sched, g: Runnable) {
    g.retire();
    sched.slab.put(std::iter::once(g.into_raw()));
    sched.count_ended_outside();
}
