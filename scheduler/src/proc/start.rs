//! How a goroutine begins on an M, and how it ends.
//!
//! # Who calls it
//!
//! The M's loop (`proc::run`): [`start`] before it first resumes a G, [`finish`] when a resumed G
//! has returned. If there is no stack for it, [`put_off`] has others go first, which may end, and
//! [`abandon`] ends it when that has not helped. [`run_to_end`] is a goroutine's whole life, as its
//! own code sees it; `thread_backed` calls it as well, on the goroutine's thread.
//!
//! # Who owns what
//!
//! A G gets its stack when an M starts it, not when it is made, so a burst of short Gs runs on a
//! few stacks. The owner's part of the G ([`GOwned`]) lies at the head of that stack and goes with
//! it. The M that starts a settled G is its home for good.
//!
//! Closure, outcome and their drops belong to the G: they run on its stack, before its last switch.
//! So the M's loop runs no user code. After that switch the stack goes to the M's P and the record
//! to the P's vacant records, or, without a P, to the runtime's pools.
//!
//! # Rejected
//!
//! A stack for each G from the moment it is made: fork-join of depth 16 would take 65,536 stacks in
//! place of 17.
//!
//! # Safety
//!
//! The entry function runs once, on the stack of the G that it was made for.
#![expect(unsafe_code, reason = "the entry function gets its G as a pointer")]

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::memory::context::Context;
use gosched_runtime_sys::memory::stack::{self, Stack};
use gosched_runtime_sys::signal::fatal::{Part, fatal};

use crate::gmp::body::{Begin, Built, Entry};
use crate::gmp::current::{self, Current, InsideWithP};
use crate::gmp::g::{Cancelled, G, GOwned, GSuspender, Kind, Runnable, StackRange};
use crate::gmp::m::MOwned;
use crate::gmp::names::NameEntry;
use crate::gmp::slab;
use crate::policy;
use crate::policy::behaviour::{Behaviour, Company};
use crate::proc::carried;
use crate::proc::locals;
use crate::proc::running::Running;

/// Gives a new G a stack and, if it is settled, this M as its home. Fails if there is no stack.
#[inline]
pub(crate) fn start(cx: &Current, inside: &mut InsideWithP, g: &mut Runnable) -> io::Result<()> {
    let p = inside.p.as_mut().expect("only an M with a P starts goroutines");
    let stack = p.stacks.get(&cx.sched().stacks, g.stack_size())?;
    attach_to(g, &stack);
    let owned = inside.owned();
    owned.no_stack_since = None;
    if owned.first_run.is_some() || owned.company.computes {
        join_company(cx, owned, g);
    }
    settle(cx, g);
    let raw = g.as_raw();
    *g.context() = Some(Context::new(stack, move |suspender, _resumed| {
        // SAFETY: this is the first code on the stack of the G at `raw`.
        unsafe { main(raw, Some(suspender)) }
    }));
    Ok(())
}

/// Puts the owner's part of `g` at the head of its stack.
fn attach_to(g: &Runnable, stack: &Stack) {
    const { assert!(size_of::<GOwned>() <= stack::HEAD) };
    const { assert!(align_of::<GOwned>() <= stack::HEAD_ALIGN) };
    let range = StackRange { guard: stack.guard().start, low: stack.limit(), high: stack.end() };
    let owned = stack.head().cast::<GOwned>();
    // SAFETY: large enough and aligned, and the owner of the stack owns its head.
    unsafe { owned.write(GOwned::new(g.kind(), range)) };
    // SAFETY: the stack stays with the G until `finish`, which takes this part back first. Nothing
    // else uses the head.
    unsafe { g.attach_owned(owned) };
}

/// Notes whom a G joins that begins after `g`, which is not just one more that talks.
#[cold]
fn join_company(cx: &Current, owned: &mut MOwned, g: &Runnable) {
    if g.kind() != Kind::Settled {
        return;
    }
    let behaviour = owned.first_run.as_ref().map_or(Behaviour::Talks, |run| run.behaviour);
    owned.company = owned.company.joined_by(cx.m.settled(), behaviour, g.g().burst());
    cx.m.set_computes(owned.company.computes);
}

/// Makes the M at `cx` the home of `g`, if that is settled. Another G forgets its burst, which lay
/// where the number of its home would.
fn settle(cx: &Current, g: &Runnable) {
    if g.kind() == Kind::Settled {
        g.settle(cx.m.as_home(), cx.m.number());
        cx.m.settle();
    } else {
        g.g().set_settled_on(0);
    }
}

/// The entry function: the first code on a G's stack.
///
/// # Safety
///
/// Called once per G, on its stack (or, without a suspender, on the thread that runs it in place).
unsafe fn main(g: NonNull<G>, suspender: Option<GSuspender>) {
    // SAFETY: the caller is the G, whose owner is the M that runs it. No other `Runnable` of it is
    // in use meanwhile.
    let g = unsafe { Runnable::from_raw(g) };
    g.owned().suspender.set(suspender);
    let (id, entry) = (g.g().id(), g.take_entry());
    let is_root = matches!(entry, Entry::Borrowed(_));
    g.owned().root.set(is_root);
    let _the_m_has_it = g.into_raw();
    let (cancelled, carries) = current::with(|cx| {
        let sched = cx.expect("an M runs it").sched();
        (sched.closing(), !sched.config.carried.is_empty())
    });
    run_to_end(id, entry, if cancelled { Begin::Cancelled } else { Begin::Run });
    if carries && !is_root {
        let sched = current::with(|cx| cx.expect("an M runs it").sched().arc());
        carried::drop_left(&sched);
    }
}

/// Runs a goroutine from its first instruction to its last.
///
/// The body catches a panic of the closure. What may still unwind is the drop of an outcome that
/// nobody joins, and the joiner's waker. Both may wait, and a cancel may end that wait as it ends
/// one of the closure; then the goroutine ends, too. Any other panic there is fatal.
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
    // Goroutine-locals that the drops after the closure's end have made.
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

/// Calls `f` while the running G has the name of `name_entry`, if there is one.
fn with_name(name_entry: Option<&NameEntry>, f: impl FnOnce()) {
    let owned = current::with(|cx| cx.and_then(Current::owned).map(NonNull::from));
    match name_entry.zip(owned) {
        // SAFETY: the running G's own part stays while it runs.
        Some((name_entry, owned)) => unsafe { owned.as_ref() }.with_name(name_entry.name(), f),
        // The goroutine has no name; or there was no thread for it, and it never begins.
        None => f(),
    }
}

/// Frees the stack and the record of a G that has ended. True if the G ended locked to its thread.
#[inline]
pub(crate) fn finish(cx: &Current, inside: &mut InsideWithP, mut g: Runnable) -> bool {
    let sched = cx.sched();
    let locked = g.owned().locks.get() > 0;
    let stack = g.context().take().expect("it has run").into_stack();
    let owned = g.detach_owned().expect("it has run");
    // SAFETY: written by `attach_to`, and dropped once, before the stack goes, in whose head it
    // lies.
    unsafe { owned.drop_in_place() };
    match inside.p.as_mut() {
        Some(p) => p.stacks.put(&sched.stacks, stack),
        None => sched.stacks.put(stack),
    }
    if locked && g.kind() == Kind::Migratory {
        // It was settled here while it was locked.
        cx.m.unsettle();
    }
    end(cx, inside, g);
    locked
}

/// Frees the record of a G that has ended or never began, and counts the end.
fn end(cx: &Current, inside: &mut InsideWithP, g: Runnable) {
    let sched = cx.sched();
    if g.kind() == Kind::Settled {
        cx.m.unsettle();
        if cx.m.settled() == 0 {
            inside.owned().company = Company::default();
            cx.m.set_computes(false);
        }
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

/// Queues a new G for which there is no stack behind the goroutines that are ready here, since some
/// of these may end. Gives it back if there are none, or if that has not helped for long.
///
/// New goroutines go before those that have had a turn. So where many are made that yield, all
/// would need a stack before the first of them can end.
#[cold]
pub(crate) fn put_off(inside: &mut InsideWithP, g: Runnable) -> Result<(), Runnable> {
    let (owned, p) = inside.split();
    let now = monotonic_ns();
    let since = *owned.no_stack_since.get_or_insert(now);
    let others = owned.has_settled() || p.as_ref().is_some_and(|p| p.shared.has_migratory());
    if !others || now.saturating_sub(since) >= policy::NO_STACK_NS {
        return Err(g);
    }
    if let Some(run) = owned.first_run.as_mut() {
        // It says nothing about the call site.
        run.made_at = None;
    }
    owned.put_off(g);
    Ok(())
}

/// Ends a new G for which there is no stack, and returns its record. Its joiner gets the error.
///
/// The closure is dropped here, on the thread's own stack, with that G as the running one.
#[cold]
pub(crate) fn abandon(cx: &Current, mut g: Runnable, error: io::Error) -> NonNull<G> {
    let record = g.as_raw();
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
    record
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use crate::{Mode, Runtime, go};

    /// What it is reported to be: that it has settled on the M with the number of its burst.
    #[test]
    fn who_has_begun_has_no_burst() {
        // SAFETY: no goroutine here holds anything over a wait.
        let rt =
            Runtime::builder(unsafe { Mode::migratory() }).procs(1).build().expect("a runtime");
        let settled_on = || current::with(|cx| cx?.g().map(G::settled_on));
        let seen = rt.run(|| [go(settled_on), go(settled_on)].map(|one| one.join()));
        assert_eq!(seen.map(|on| on.expect("no panic")), [Some(0); 2]);
    }
}
