//! How Ps and Ms meet: Ms that sleep or stand in the line, wakers that push into their inboxes, Ps
//! that come and go.
//!
//! An M here ends when it has run what is in its inbox. A P that nobody needs any more lies idle at
//! the end. So a G that is forgotten on a sleeping M is a deadlock, which loom reports, and a P
//! with two owners is two threads in one plain cell.
//!
//! # Safety
//!
//! The cell in a P stands for its queues; loom reports an access that the protocol does not order.
#![expect(unsafe_code, reason = "the model writes plain cells, which loom checks")]

// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, UnsafeCell, mutated, thread};

use super::models;
use crate::ds::idle::Idle;
use crate::ds::parker::{Claim, Commit, Parker};
use crate::gmp::dispatch::{Dispatch, Remote, Started, Takes, WaitedForP, Why, until_woken};

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

/// What others use to reach an M, and how many Gs are in its inbox. Relaxed throughout: only the
/// protocol can make them be seen.
struct Machine {
    remote: Arc<Remote<Proc>>,
    inbox: AtomicU32,
}

struct World {
    idle: Idle,
    dispatch: Dispatch<Proc, Arc<Remote<Proc>>>,
    ms: [Machine; 2],
}

impl World {
    fn new(idle_ps: usize) -> Arc<Self> {
        let idle = Idle::new();
        let dispatch = Dispatch::new((0..idle_ps).map(|_| Proc::new()).collect(), &idle);
        let machine = || Machine { remote: Arc::new(Remote::new()), inbox: AtomicU32::new(0) };
        Arc::new(Self { idle, dispatch, ms: [machine(), machine()] })
    }

    fn push(&self, m: usize) {
        let Machine { remote, inbox } = &self.ms[m];
        inbox.fetch_add(1, Ordering::Relaxed);
        self.dispatch.kick(remote, &self.idle, || 0);
    }

    fn wait_in_line(&self, me: usize) -> Box<Proc> {
        let remote = &self.ms[me].remote;
        let idle = self.dispatch.join_line(remote, &self.idle, 0, Why::LetsPass, Takes::Any);
        idle.unwrap_or_else(|| self.dispatch.wait_for_turn(remote, &self.idle))
    }

    /// An M without a P, until it has run `gs` Gs.
    fn machine(&self, me: usize, gs: u32) {
        let Machine { remote, inbox } = &self.ms[me];
        let mut left = gs;
        while left > 0 {
            let has_g = || inbox.load(Ordering::Relaxed) > 0;
            let p = if has_g() {
                self.wait_in_line(me)
            } else {
                match self.dispatch.sleep(remote, &self.idle, Takes::Any, has_g, until_woken) {
                    WaitedForP::Got(given) => {
                        if given.searching {
                            let _it_looks_anyway = self.idle.stop_search();
                        }
                        given.p
                    }
                    WaitedForP::Retry => continue,
                    WaitedForP::Expired | WaitedForP::Closed => return,
                }
            };
            p.work();
            left -= inbox.swap(0, Ordering::Relaxed);
            self.dispatch.release(p, remote, &self.idle, 0);
        }
    }

    /// An M with ready work that, once it has a P, keeps it for ever.
    fn keep_p(&self, me: usize) {
        self.wait_in_line(me).work();
    }

    /// A thread that has a P works and makes it idle.
    fn work_and_put_back(&self, p: Box<Proc>) {
        p.work();
        self.dispatch.put_back(p, &self.idle, 0);
    }

    /// An M that nobody else reaches takes an idle P, works, and makes it idle again.
    fn pass_through(&self) {
        let remote = Remote::new();
        if let Some(p) = self.dispatch.try_take(&remote, &self.idle) {
            self.work_and_put_back(p);
        }
    }

    fn assert_all_idle(&self, ps: usize) {
        assert_eq!(self.idle.idle_ps(), ps);
        let remote = Remote::new();
        assert_eq!(std::iter::from_fn(|| self.dispatch.try_take(&remote, &self.idle)).count(), ps);
        assert_eq!(self.dispatch.line_len(), 0);
    }
}

fn beside(world: &Arc<World>, f: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// A G comes while its M is falling asleep and a P is idle.
fn pushed_to_one_that_falls_asleep() {
    let world = World::new(1);
    let m = beside(&world, |world| world.machine(0, 1));
    world.push(0);
    m.join().unwrap();
    world.assert_all_idle(1);
}

/// The same while the only P is busy, and becomes idle at some time.
fn pushed_while_all_are_busy() {
    let world = World::new(0);
    let m = beside(&world, |world| world.machine(0, 1));
    let busy = beside(&world, |world| world.work_and_put_back(Proc::new()));
    world.push(0);
    m.join().unwrap();
    busy.join().unwrap();
    world.assert_all_idle(1);
}

/// A G for one M, while another M that passes through may take its P.
fn passed_over() {
    let world = World::new(0);
    let m = beside(&world, |world| world.machine(0, 1));
    let other = beside(&world, World::pass_through);
    world.push(0);
    world.work_and_put_back(Proc::new());
    m.join().unwrap();
    other.join().unwrap();
    world.assert_all_idle(1);
}

/// Two Ms with a G each, and two Ps that become idle one after the other.
fn two_in_line() {
    let world = World::new(0);
    let ms = [beside(&world, |world| world.keep_p(0)), beside(&world, |world| world.keep_p(1))];
    world.work_and_put_back(Proc::new());
    world.work_and_put_back(Proc::new());
    for m in ms {
        m.join().unwrap();
    }
    world.assert_all_idle(0);
}

/// A publisher of work and a thread that pushes a G want the same sleeper.
fn wanted_by_two() {
    let world = World::new(1);
    let m = beside(&world, |world| world.machine(0, 1));
    let publisher = beside(&world, |world| {
        if !world.idle.submit() {
            return;
        }
        match world.dispatch.give_to_sleeper(&world.idle) {
            Started::Woken => return,
            Started::NoP => {}
            Started::NeedM(p) => world.work_and_put_back(p),
        }
        let _nothing_was_published = world.idle.stop_search();
    });
    world.push(0);
    m.join().unwrap();
    publisher.join().unwrap();
    world.assert_all_idle(1);
    assert_eq!(world.idle.searching(), 0);
}

/// An M with ready work gives way, and gets its P back from the M whose turn it was.
fn gives_way() {
    let world = World::new(0);
    world.ms[1].inbox.store(1, Ordering::Relaxed);
    let other = beside(&world, |world| world.machine(1, 1));
    let remote = &world.ms[0].remote;
    let p = Proc::new();
    p.work();
    let p = match world.dispatch.give_way(p, remote, 0, Takes::Any) {
        Ok(()) => world.dispatch.wait_for_turn(remote, &world.idle),
        Err(p) => p,
    };
    world.work_and_put_back(p);
    other.join().unwrap();
    world.assert_all_idle(1);
}

/// The runtime ends while one M sleeps and another falls asleep.
fn closed() {
    let world = World::new(0);
    let ms =
        [beside(&world, |world| world.machine(0, 1)), beside(&world, |world| world.machine(1, 1))];
    world.dispatch.close();
    for m in ms {
        m.join().unwrap();
    }
}

/// A G whose thread sleeps in place, and somebody who claims the G. The G writes the owner's part
/// before and after; the claimer reads it in between.
struct InPlace {
    parker: Parker,
    own: UnsafeCell<u32>,
    remote: Remote<Proc>,
}

// SAFETY: the G touches `own`, or its claimer does, which is what the model checks.
unsafe impl Sync for InPlace {}
// SAFETY: nothing in it is bound to a thread.
unsafe impl Send for InPlace {}

/// The claimer is late with its read, and the record's next wait comes at once.
fn waits_in_place() {
    wait_in_place(|g| {
        let _resumed = g.remote.sleep_until_resumed(None);
    });
}

/// The same with a deadline that passes: the thread claims its G for itself, unless a waker was
/// faster.
fn waits_in_place_until() {
    wait_in_place(|g| {
        let resumed = g.remote.sleep_until_resumed(Some(std::time::Instant::now()));
        if !resumed
            && !mutated("dispatch.rules.withdraws_unclaimed")
            && g.parker.notify() == Claim::Lost
        {
            let _by_its_claimer = g.remote.sleep_until_resumed(None);
        }
    });
}

fn wait_in_place(sleep: fn(&InPlace)) {
    let g =
        Arc::new(InPlace { parker: Parker::new(), own: UnsafeCell::new(0), remote: Remote::new() });
    let wakers: Vec<_> = [false, true].into_iter().map(|cancels| waker(&g, cancels)).collect();
    g.parker.prepare();
    // SAFETY: the G runs.
    g.own.with_mut(|own| unsafe { *own = 1 });
    if g.parker.commit(true) == Commit::Parked && !mutated("dispatch.rules.claimed_is_enough") {
        sleep(&g);
    }
    // SAFETY: the G runs again.
    g.own.with_mut(|own| unsafe { *own = 2 });
    for waker in wakers {
        waker.join().unwrap();
    }
}

fn waker(g: &Arc<InPlace>, cancels: bool) -> thread::JoinHandle<()> {
    let g = Arc::clone(g);
    thread::spawn(move || {
        let claimed = if cancels { g.parker.cancel() } else { g.parker.notify() };
        if claimed == Claim::Won {
            // SAFETY: the G belongs to this thread; loom reports it if not.
            assert_eq!(g.own.with(|own| unsafe { *own }), 1);
            g.remote.resume();
        }
    })
}

models! {
    holds one_that_falls_asleep = pushed_to_one_that_falls_asleep;
    holds a_g_for_one_without_a_p = pushed_while_all_are_busy within 3 preemptions;
    holds a_head_that_is_passed_over = passed_over within 3 preemptions;
    holds two_ms_and_two_ps = two_in_line within 3 preemptions;
    holds two_threads_that_want_one_sleeper = wanted_by_two within 3 preemptions;
    holds one_that_gives_way = gives_way within 3 preemptions;
    holds an_end = closed within 3 preemptions;
    holds a_wait_in_place = waits_in_place within 3 preemptions;
    holds a_wait_in_place_with_a_deadline = waits_in_place_until within 3 preemptions;
    catches a_withdrawal_without_a_claim = "dispatch.rules.withdraws_unclaimed"
        in waits_in_place_until within 3 preemptions;
    catches a_sleep_without_fence = "dispatch.sleep_without_fence"
        in pushed_to_one_that_falls_asleep;
    catches a_push_without_fence = "dispatch.push_without_fence" in pushed_to_one_that_falls_asleep;
    catches a_word_before_its_p = "dispatch.status_before_p" in pushed_to_one_that_falls_asleep;
    catches a_release_that_wakes_nobody = "dispatch.release_without_wake"
        in pushed_while_all_are_busy within 3 preemptions;
    catches a_head_that_stays_woken = "dispatch.passed_over_unnoticed"
        in passed_over within 3 preemptions;
    catches a_turn_that_wakes_nobody = "dispatch.turn_wakes_nobody"
        in two_in_line within 3 preemptions;
    catches an_end_that_is_kept_secret = "dispatch.close_wakes_nobody"
        in closed within 3 preemptions;
    catches a_sleep_after_the_end = "dispatch.sleep_ignores_close" in closed within 3 preemptions;
    catches a_claim_that_is_enough = "dispatch.rules.claimed_is_enough"
        in waits_in_place within 3 preemptions;
    catches a_resumption_that_publishes_nothing = "dispatch.resume_relaxed"
        in waits_in_place within 3 preemptions;
}
