//! Making goroutines and queueing them.
//!
//! # Who calls it
//!
//! `go` and its relatives call [`spawn`]. `goroutine::Builder::with` makes its goroutine by
//! [`make_apart`], in no queue, because the goroutine may have to wait for its host to begin
//! (`colocate`); so does `thread_backed`, whose goroutines are never queued.
//!
//! # Who owns what
//!
//! The spawner owns the new G until it is queued. The G's record comes from the vacant records of
//! the calling thread's P, and the G goes into that P's deque; without a P, the record comes from
//! the slab and the G goes to the global queue. A new G has no stack: an M gives it one when it
//! starts it (`start`).
//!
//! # The handshake
//!
//! Queueing is step 1 of *publish*; [`wake::wake_p`] is steps 2 and 3 (`wake`).
//!
//! # Safety
//!
//! A vacant record that is taken off a list belongs to its taker.
#![expect(unsafe_code, reason = "takes vacant records")]

use std::panic::Location;

use crate::gmp::body::Entry;
use crate::gmp::current::{self, Current};
use crate::gmp::g::{Kind, Runnable};
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::policy::behaviour::Behaviour;
use crate::proc::{apart, promises, wake};

/// How many goroutine numbers a P reserves at a time.
const IDS: u64 = 256;

/// Makes a goroutine, queues it, and returns its number. `cx` is the caller's place in `sched`, if
/// it has one; `location` is where the program makes the goroutine.
#[inline]
pub(crate) fn spawn(
    sched: &Sched,
    cx: Option<&Current>,
    kind: Kind,
    entry: Entry,
    location: &'static Location<'static>,
) -> u64 {
    let talks = entry.expected_behaviour().unwrap_or_else(|| sched.call_sites.behaviour(location))
        == Behaviour::Talks;
    let maker = promises::maker(sched, cx);
    let id;
    let mut in_burst = false;
    if let Some(Ok(mut inside)) = cx.map(Current::enter_with_p)
        && let (owned, Some(p)) = inside.split()
    {
        cx.expect("it entered").m.count_spawned();
        let g = new_g(sched, p);
        id = next_id(p);
        g.init(id, kind, Some(entry));
        g.g().set_made_at(Some(location));
        maker.made(g.g());
        if talks {
            p.push_unstarted(g);
        } else {
            apart::push(sched, Some(owned), g);
            in_burst = true;
            cx.and_then(Current::owned).inspect(|maker| maker.made_apart.set(true));
        }
    } else {
        sched.count_spawned_outside();
        let g = sched.slab.take();
        id = thread_g::reserve_ids(1);
        g.init(id, kind, Some(entry));
        g.g().set_made_at(Some(location));
        maker.made(g.g());
        if talks {
            sched.push_unstarted(g);
        } else {
            apart::push(sched, None, g);
        }
    }
    if talks {
        wake::wake_p(sched);
    } else {
        apart::announce(sched, in_burst);
    }
    id
}

/// Makes a goroutine that is in no queue, and returns it.
pub(crate) fn make_apart(
    sched: &Sched,
    kind: Kind,
    entry: Entry,
    location: &'static Location<'static>,
) -> Runnable {
    sched.count_spawned_outside();
    let g = sched.slab.take();
    g.init(thread_g::reserve_ids(1), kind, Some(entry));
    g.g().set_made_at(Some(location));
    current::with(|cx| promises::maker(sched, cx)).made(g.g());
    g
}

/// Queues a goroutine that was made by [`make_apart`], for any M.
pub(crate) fn queue_apart(sched: &Sched, g: Runnable) {
    sched.push_unstarted(g);
    wake::wake_p(sched);
}

/// Takes a vacant record of `p`, or of the slab.
fn new_g(sched: &Sched, p: &mut P) -> Runnable {
    if p.vacant.is_empty() {
        sched.slab.refill(&mut p.vacant);
    }
    let g = p.vacant.pop().expect("a refill brings at least one");
    // SAFETY: the record is vacant, and in no list any more.
    unsafe { Runnable::from_raw(g) }
}

/// Returns the next number that `p` has reserved.
fn next_id(p: &mut P) -> u64 {
    if p.ids.is_empty() {
        let first = thread_g::reserve_ids(IDS);
        p.ids = first..first + IDS;
    }
    p.ids.next().expect("just reserved")
}
