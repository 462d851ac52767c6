//! Sysmon revokes a P from an M in user code and hands it to another M. Meanwhile the first M
//! suspends, or the second falls asleep, gives up waiting, or turns out not to exist.
//!
//! The functions have the names of those in `proc::sysmon`, `proc::start_m` and `proc::run`. An M
//! here ends when it has run what it owns; the P lies idle at the end. So a P that is lost is a
//! deadlock or missing at the end, and a P with two owners is two threads in one plain cell.
//!
//! # Safety
//!
//! The cell in a P stands for its queues; loom reports an access that the protocol does not order.
#![expect(unsafe_code, reason = "the model writes plain cells, which loom checks")]

// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::mem::ManuallyDrop;
use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, UnsafeCell, mutated, thread};

use super::models;
use crate::ds::idle::Idle;
use crate::ds::revocable::Revocable;
use crate::gmp::dispatch::{Dispatch, Remote, Slept, Started, Takes, WaitedForP, Why, until_woken};

/// A P: its owner writes in it.
struct Proc(UnsafeCell<u32>);

// SAFETY: the owner of the P is alone with it, which is what the model checks.
unsafe impl Send for Proc {}

impl Proc {
    fn new() -> Box<Self> {
        Box::new(Self(UnsafeCell::new(0)))
    }

    fn work(&self) {
        // SAFETY: as above; loom reports it if not.
        self.0.with_mut(|uses| unsafe { *uses += 1 });
    }
}

struct World {
    idle: Idle,
    dispatch: Dispatch<Proc, Arc<Remote<Proc>>>,
    /// The revocable slot of the M in user code. Its drop would use the atomics of a model that has
    /// failed; at the end the slot is empty.
    slot: ManuallyDrop<Revocable<Proc>>,
    remotes: [Arc<Remote<Proc>>; 2],
    /// How many Gs are in the second M's inbox. Relaxed: only the protocol can make them be seen.
    inbox: AtomicU32,
}

impl World {
    /// An M in user code, with the only P in its slot.
    fn new() -> Arc<Self> {
        let idle = Idle::new();
        let dispatch = Dispatch::new(Vec::new(), &idle);
        let slot = ManuallyDrop::new(Revocable::new());
        assert!(slot.acquire().is_ok_and(|found| found.is_none()));
        slot.release(Some(Proc::new()));
        let remotes = [Arc::new(Remote::new()), Arc::new(Remote::new())];
        remotes[0].with_p();
        Arc::new(Self { idle, dispatch, slot, remotes, inbox: AtomicU32::new(0) })
    }

    /// A look of sysmon that finds the M stuck: its P goes to an M that waits, or becomes idle.
    fn retake(&self) {
        let observed = self.slot.observe();
        let Some(p) = self.slot.revoke(&observed) else { return };
        p.work();
        match self.dispatch.hand_off(p) {
            Started::Woken | Started::NoP => {}
            Started::NeedM(_) if mutated("handover.rules.nobody_has_it") => {}
            Started::NeedM(p) => self.dispatch.put_back(p, &self.idle, 0),
        }
    }

    /// The goroutine suspends, and its M has another G that is ready.
    fn suspend(&self) {
        let p = self.slot.acquire().expect("it is in user code").unwrap_or_else(|| {
            let remote = &self.remotes[0];
            let idle = self.dispatch.join_line(remote, &self.idle, 0, Why::Returns, Takes::Any);
            idle.unwrap_or_else(|| self.dispatch.wait_for_turn(remote, &self.idle))
        });
        p.work();
        self.slot.release(None);
        self.dispatch.release(p, &self.remotes[0], &self.idle, 0);
    }

    /// A goroutine for the second M.
    fn push(&self) {
        self.inbox.fetch_add(1, Ordering::Relaxed);
        let _in_line = self.dispatch.kick(&self.remotes[1], &self.idle, || 0);
    }

    /// The second M, until it has run the goroutine in its inbox.
    fn second(&self) {
        let remote = &self.remotes[1];
        loop {
            let has_g = || self.inbox.load(Ordering::Relaxed) > 0;
            match self.dispatch.sleep(remote, &self.idle, Takes::Any, has_g, until_woken) {
                WaitedForP::Got(given) => return self.run(given.p),
                WaitedForP::Retry if has_g() => {
                    let idle =
                        self.dispatch.join_line(remote, &self.idle, 0, Why::LetsPass, Takes::Any);
                    return self.run(
                        idle.unwrap_or_else(|| self.dispatch.wait_for_turn(remote, &self.idle)),
                    );
                }
                WaitedForP::Retry => {}
                WaitedForP::Expired | WaitedForP::Closed => {
                    unreachable!("it waits for as long as it takes")
                }
            }
        }
    }

    fn run(&self, p: Box<Proc>) {
        p.work();
        self.inbox.store(0, Ordering::Relaxed);
        self.dispatch.release(p, &self.remotes[1], &self.idle, 0);
    }

    fn assert_idle(&self) {
        assert_eq!(self.idle.idle_ps(), 1, "the P is somewhere else");
        let remote = Remote::new();
        assert!(self.dispatch.try_take(&remote, &self.idle).is_some());
        assert_eq!(self.dispatch.line_len(), 0);
    }
}

fn beside(world: &Arc<World>, f: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// The P is revoked while its goroutine suspends; there is no other M.
fn revoked_while_it_suspends() {
    let world = World::new();
    let sysmon = beside(&world, World::retake);
    world.suspend();
    join([sysmon]);
    world.assert_idle();
}

/// The same, while another M falls asleep for which a goroutine comes.
fn revoked_for_another() {
    let world = World::new();
    let others = [beside(&world, World::retake), beside(&world, World::second)];
    world.push();
    world.suspend();
    join(others);
    world.assert_idle();
}

/// A new M is enlisted, and its thread cannot be made; meanwhile sysmon hands it the P.
fn enlisted_and_cancelled() {
    let world = World::new();
    world.dispatch.enlist(&world.remotes[1]);
    let sysmon = beside(&world, World::retake);
    if let Some(given) = world.dispatch.cancel_enlist(&world.remotes[1]) {
        world.dispatch.put_back(given.p, &world.idle, 0);
    }
    world.suspend();
    join([sysmon]);
    world.assert_idle();
}

/// A new M is enlisted, and its thread cannot be made; meanwhile a goroutine comes for it, and it
/// is put into the line.
fn enlisted_in_line_and_cancelled() {
    let world = World::new();
    world.dispatch.enlist(&world.remotes[1]);
    let publisher = beside(&world, |world| {
        let _given = world.dispatch.kick_vacant(true, &world.idle, || 0);
    });
    if let Some(given) = world.dispatch.cancel_enlist(&world.remotes[1]) {
        world.dispatch.put_back(given.p, &world.idle, 0);
    }
    world.suspend();
    join([publisher]);
    assert_eq!(world.dispatch.line_len(), 0, "an M stands in the line that is none");
}

/// A new M is enlisted, and its thread comes late.
fn enlisted_and_late() {
    let world = World::new();
    world.dispatch.enlist(&world.remotes[1]);
    let m = beside(&world, |world| {
        match world.dispatch.wait_enlisted(&world.remotes[1], &world.idle, until_woken) {
            WaitedForP::Got(given) => world.run(given.p),
            WaitedForP::Retry | WaitedForP::Expired => {
                unreachable!("it waits for as long as it takes")
            }
            WaitedForP::Closed => {}
        }
    });
    world.retake();
    world.suspend();
    world.dispatch.close();
    join([m]);
    world.assert_idle();
}

/// An M that nobody needed for long gives up, just when it is handed the P.
fn expires() {
    let world = World::new();
    let m = beside(&world, |world| {
        let at_once = |_: &_| Slept::Expired;
        match world.dispatch.sleep(&world.remotes[1], &world.idle, Takes::Any, || false, at_once) {
            WaitedForP::Got(given) => world.run(given.p),
            WaitedForP::Expired => {}
            WaitedForP::Retry | WaitedForP::Closed => unreachable!("nothing else happens"),
        }
    });
    world.retake();
    world.suspend();
    join([m]);
    world.assert_idle();
}

models! {
    holds a_p_that_is_revoked = revoked_while_it_suspends;
    holds a_p_that_is_revoked_for_another = revoked_for_another within 2 preemptions;
    holds an_m_that_does_not_come = enlisted_and_cancelled within 3 preemptions;
    holds an_m_that_was_to_begin_and_does_not_come = enlisted_in_line_and_cancelled
        within 3 preemptions;
    holds an_m_that_comes_late = enlisted_and_late within 3 preemptions;
    holds an_m_that_gives_up = expires within 3 preemptions;
    catches a_p_that_nobody_has = "handover.rules.nobody_has_it" in revoked_while_it_suspends;
    catches an_m_that_is_none_in_the_line = "dispatch.cancel_enlist_stays_in_line"
        in enlisted_in_line_and_cancelled within 3 preemptions;
    catches a_p_that_is_lost_with_its_m = "dispatch.cancel_enlist_loses_p"
        in enlisted_and_cancelled within 3 preemptions;
    catches an_end_that_does_not_look = "dispatch.expires_unseen" in expires within 3 preemptions;
}
