//! Making goroutines and queueing them.
//!
//! `go` makes a record and queues it. The G gets a stack when an M starts it (`proc::start`).
//!
//! # Safety
//!
//! A vacant record that comes off a list belongs to whoever took it off.
#![expect(unsafe_code, reason = "takes vacant records")]

use std::panic::Location;

use crate::gmp::body::Entry;
use crate::gmp::current::Current;
use crate::gmp::g::{Kind, Runnable};
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::proc::wake;

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
    if let Some(Ok(mut inside)) = here.map(Current::enter_with_p)
        && let Some(p) = inside.p.as_mut()
    {
        here.expect("it entered").m.count_spawned();
        let g = new_g(sched, p);
        id = next_id(p);
        g.init(id, kind, Some(entry));
        g.g().set_made_at(Some(place));
        p.push_unstarted(g);
    } else {
        sched.count_spawned_outside();
        let g = sched.slab.take();
        id = thread_g::reserve_ids(1);
        g.init(id, kind, Some(entry));
        g.g().set_made_at(Some(place));
        sched.push_unstarted(g);
    }
    wake::wake_p(sched);
    id
}

/// Makes a goroutine that is in no queue.
pub(crate) fn make_apart(
    sched: &Sched,
    kind: Kind,
    entry: Entry,
    place: &'static Location<'static>,
) -> Runnable {
    sched.count_spawned_outside();
    let g = sched.slab.take();
    g.init(thread_g::reserve_ids(1), kind, Some(entry));
    g.g().set_made_at(Some(place));
    g
}

/// Queues a new goroutine that was made apart.
pub(crate) fn queue_apart(sched: &Sched, g: Runnable) {
    sched.push_unstarted(g);
    wake::wake_p(sched);
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
