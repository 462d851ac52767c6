//! The number of Ps changes, while Ms run out of work, retire Ps that are too many, and publish.
//!
//! The functions here have the names of those in `proc::excess_p`, `proc::share_p`,
//! `proc::set_procs`, `proc::wake` and `proc::run`, and call the dispatch in their order. What must
//! hold: in the end there are as many Ps as the last `set_procs` asked for; a P has one owner at a
//! time; and work is run, also when it lay with a P that is retired. Ms that wait for forgotten
//! work are a deadlock, which loom reports.
//!
//! # Safety
//!
//! The cell in a P stands for its queues; loom reports an access that the protocol does not order.
#![expect(unsafe_code, reason = "the model writes plain cells, which loom checks")]

use std::mem;
// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, UnsafeCell, mutated, thread};

use super::models;
use crate::ds::idle::Idle;
use crate::gmp::dispatch::{Dispatch, Grown, Remote, Started, Takes, WaitedForP, until_woken};

/// A P: its owner writes in it. Others can see what is queued with it.
struct Proc {
    used: UnsafeCell<u32>,
    queue: usize,
}

// SAFETY: the owner of the P is alone with it, which is what the model checks.
unsafe impl Send for Proc {}

impl Proc {
    fn new(queue: usize) -> Box<Self> {
        Box::new(Self { used: UnsafeCell::new(0), queue })
    }

    fn work(&self) {
        // SAFETY: as above; loom reports it if not.
        self.used.with_mut(|used| unsafe { *used += 1 });
    }
}

struct World {
    idle: Idle,
    dispatch: Dispatch<Proc, Arc<Remote<Proc>>>,
    remotes: [Arc<Remote<Proc>>; 2],
    /// Pieces of work: in the global queue, and with each P. Relaxed throughout: only the protocol
    /// can make them be seen.
    queues: [AtomicU32; 3],
    left: AtomicU32,
}

/// An M's own state: its P, and whether it counts as searching.
#[derive(Default)]
struct MState {
    p: Option<Box<Proc>>,
    searching: bool,
}

impl World {
    /// A world with two Ps, both of them idle.
    fn new(pieces: u32) -> Arc<Self> {
        let idle = Idle::new();
        let dispatch = Dispatch::new(vec![Proc::new(1), Proc::new(2)], &idle);
        dispatch.make_room_for_ps(2);
        let remotes = [Arc::new(Remote::new()), Arc::new(Remote::new())];
        let queues = [AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0)];
        Arc::new(Self { idle, dispatch, remotes, queues, left: AtomicU32::new(pieces) })
    }

    fn take(&self, me: usize) -> MState {
        MState { p: self.dispatch.try_take(&self.remotes[me], &self.idle), searching: false }
    }

    fn has_free_work(&self) -> bool {
        self.queues.iter().any(|queue| queue.load(Ordering::Relaxed) > 0)
    }

    fn wake_p_if_work(&self) {
        while self.has_free_work() && self.idle.submit() {
            match self.dispatch.give_to_sleeper(&self.idle) {
                Started::Woken => return,
                Started::NoP => {}
                Started::NeedM(p) => {
                    self.put_back(p);
                    // No thread can be made.
                    if self.idle.stop_search()
                        && self.has_free_work()
                        && self.dispatch.ask_next_sleeper_to_look()
                    {
                        return;
                    }
                    continue;
                }
            }
            if !self.idle.stop_search() {
                return;
            }
        }
    }

    fn put_back(&self, p: Box<Proc>) {
        self.dispatch.put_back(p, &self.idle, 0);
        self.shrink();
    }

    fn release(&self, p: Box<Proc>, me: usize) {
        self.dispatch.release(p, &self.remotes[me], &self.idle, 0);
        if !mutated("resize.rules.released_unaware") {
            self.shrink();
        }
    }

    fn shrink(&self) {
        while self.dispatch.excess() > 0
            && let Some(p) = self.dispatch.take_excess(&self.idle)
        {
            if let Some(p) = self.retire_p(p) {
                self.dispatch.put_back(p, &self.idle, 0);
            }
        }
    }

    fn retire_p(&self, p: Box<Proc>) -> Option<Box<Proc>> {
        p.work();
        let moved = self.queues[p.queue].swap(0, Ordering::Relaxed);
        self.queues[0].fetch_add(moved, Ordering::Relaxed);
        self.dispatch.retire_p(p).err()
    }

    fn set_procs(&self, n: usize) {
        self.dispatch.set_procs(n);
        self.shrink();
        loop {
            match self.dispatch.grow() {
                Grown::Revived(p) => self.put_back(p),
                Grown::Make(index) => unreachable!("the P of number {index} is one too many"),
                Grown::Enough => break,
            }
        }
        if !mutated("resize.rules.moved_unpublished") {
            self.wake_p_if_work();
        }
    }

    /// An M between two goroutines retires its P if there are too many.
    fn drop_excess_p(&self, state: &mut MState, me: usize) {
        if self.dispatch.excess() > 0
            && let Some(p) = state.p.take()
        {
            state.p = self.retire_p(p);
            if state.p.is_none() {
                self.remotes[me].without_p();
            }
            self.wake_p_if_work();
        }
    }

    /// An M whose goroutine has given the M its P back, and that has nothing else to run.
    fn finish_goroutine(&self, me: usize, mut state: MState) {
        state.p.as_ref().expect("two were idle").work();
        self.drop_excess_p(&mut state, me);
        if let Some(p) = state.p {
            self.release(p, me);
        }
    }

    /// The loop of an M, until all pieces are run.
    fn run(&self, me: usize, mut state: MState) {
        let remote = &self.remotes[me];
        loop {
            if state.p.is_none() {
                match self.dispatch.sleep(remote, &self.idle, Takes::Any, || false, until_woken) {
                    WaitedForP::Got(given) => {
                        state = MState { p: Some(given.p), searching: given.searching }
                    }
                    WaitedForP::Retry => {
                        self.look_again(me, &mut state);
                        continue;
                    }
                    WaitedForP::Expired | WaitedForP::Closed => return,
                }
            }
            if !state.searching {
                state.searching = self.idle.start_search(1);
            }
            if !self.queues.iter().any(|queue| {
                queue.load(Ordering::Relaxed) > 0 && queue.swap(0, Ordering::Relaxed) > 0
            }) {
                let p = state.p.take().expect("only an M with a P looks for work");
                self.release(p, me);
                if mem::take(&mut state.searching) {
                    let _it_looks_anyway = self.idle.stop_search();
                }
                self.look_again(me, &mut state);
                continue;
            }
            if mem::take(&mut state.searching) && self.idle.stop_search() {
                self.wake_p_if_work();
            }
            if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.dispatch.close();
            }
            self.drop_excess_p(&mut state, me);
        }
    }

    fn look_again(&self, me: usize, state: &mut MState) {
        if self.has_free_work() {
            state.p = self.dispatch.try_take(&self.remotes[me], &self.idle);
            state.searching = state.p.is_some() && self.idle.start_search(usize::MAX);
        }
    }

    fn assert_as_many_as_asked_for(&self) {
        assert_eq!((self.idle.idle_ps(), self.dispatch.excess()), (self.dispatch.procs(), 0));
        let remote = Remote::new();
        let ps = std::iter::from_fn(|| {
            self.dispatch.try_take(&remote, &self.idle).inspect(|p| p.work())
        });
        assert_eq!(ps.count(), self.dispatch.procs());
    }
}

fn beside(world: &Arc<World>, f: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// Both Ps are with Ms that finish a goroutine each; one of the Ps is too many.
fn shrunk_while_in_use() {
    let world = World::new(0);
    let ms = [0, 1].map(|me| {
        let state = world.take(me);
        beside(&world, move |world| world.finish_goroutine(me, state))
    });
    world.set_procs(1);
    for m in ms {
        m.join().unwrap();
    }
    world.assert_as_many_as_asked_for();
}

/// One thread wants fewer Ps while another wants as many again and an M finishes a goroutine.
fn changed_by_two() {
    let world = World::new(0);
    let state = world.take(0);
    let m = beside(&world, |world| world.finish_goroutine(0, state));
    let other = beside(&world, |world| world.set_procs(1));
    world.set_procs(2);
    m.join().unwrap();
    other.join().unwrap();
    world.assert_as_many_as_asked_for();
}

/// A piece of work lies with an idle P that is retired, while the M with the other P finds nothing
/// any more.
fn retired_with_work() {
    let world = World::new(1);
    let state = world.take(0);
    let idle = 3 - state.p.as_ref().expect("two were idle").queue;
    world.queues[idle].store(1, Ordering::Relaxed);
    let m = beside(&world, |world| world.run(0, state));
    world.set_procs(1);
    m.join().unwrap();
    assert_eq!(world.left.load(Ordering::Relaxed), 0);
}

/// The same, and the M's own P is the one that is retired; another M sleeps.
fn dropped_with_work() {
    let world = World::new(2);
    let state = world.take(0);
    world.queues[0].store(1, Ordering::Relaxed);
    world.queues[state.p.as_ref().expect("two were idle").queue].store(1, Ordering::Relaxed);
    let ms = [
        beside(&world, |world| world.run(0, state)),
        beside(&world, |world| world.run(1, MState::default())),
    ];
    world.set_procs(1);
    for m in ms {
        m.join().unwrap();
    }
    assert_eq!(world.left.load(Ordering::Relaxed), 0);
}

models! {
    holds ps_in_use = shrunk_while_in_use within 3 preemptions;
    holds numbers_of_two = changed_by_two within 3 preemptions;
    holds work_of_an_idle_p = retired_with_work within 3 preemptions;
    holds work_of_a_p_in_use = dropped_with_work within 2 preemptions;
    catches a_retirement_too_many = "resize.retires_regardless"
        in shrunk_while_in_use within 2 preemptions;
    catches a_p_that_stays_counted = "resize.idle_uncounted"
        in shrunk_while_in_use within 2 preemptions;
    catches a_p_that_is_not_counted = "resize.grown_uncounted"
        in changed_by_two within 2 preemptions;
    catches a_p_released_too_many = "resize.rules.released_unaware"
        in shrunk_while_in_use within 2 preemptions;
    catches work_that_is_moved_silently = "resize.rules.moved_unpublished"
        in retired_with_work within 3 preemptions;
}
