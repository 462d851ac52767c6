//! The whole path of free work: some threads publish it, and Ms search for it and run it, which
//! sleep on their notes in between.
//!
//! The counts of `model::idle` and the Ms of `model::dispatch` together, in the order in which
//! `proc::wake`, `proc::run` and `proc::stop_m` call them; the functions here have their names. No
//! thread can be made for an M: that is the case in which the most can be lost. The Ms end when all
//! work was run, so work that is forgotten is a deadlock.

// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::mem;
use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, mutated, thread};

use super::models;
use crate::ds::idle::Idle;
use crate::gmp::dispatch::{Dispatch, Remote, Started, Takes, WaitedForP, Why, until_woken};

/// What an M does with work that it found.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    /// Runs it and looks for more.
    Ends,
    /// Runs it and never returns to the scheduler: it keeps its P.
    Hogs,
}

struct World {
    idle: Idle,
    dispatch: Dispatch<u32, Arc<Remote<u32>>>,
    remotes: [Arc<Remote<u32>>; 2],
    /// Pieces of work in two queues. Relaxed throughout: only the protocol can make them be seen.
    queues: [AtomicU32; 2],
    work: Work,
    left: AtomicU32,
}

/// An M's own state: its P, and whether it counts as searching.
#[derive(Default)]
struct MState {
    p: Option<Box<u32>>,
    searching: bool,
}

impl World {
    fn new(idle_ps: u32, work: Work, pieces: u32) -> Arc<Self> {
        let idle = Idle::new();
        let dispatch = Dispatch::new((0..idle_ps).map(Box::new).collect(), &idle);
        let remotes = [Arc::new(Remote::new()), Arc::new(Remote::new())];
        let queues = [AtomicU32::new(0), AtomicU32::new(0)];
        Arc::new(Self { idle, dispatch, remotes, queues, work, left: AtomicU32::new(pieces) })
    }

    fn publish(&self, queue: usize) {
        self.queues[queue].store(1, Ordering::Relaxed);
        self.wake_p();
    }

    fn wake_p(&self) {
        if self.idle.submit() {
            self.start_searcher();
        }
    }

    fn start_searcher(&self) {
        loop {
            let mut failed = false;
            match self.dispatch.give_to_sleeper(&self.idle) {
                Started::Woken => return,
                Started::NoP => {}
                Started::NeedM(p) => {
                    self.dispatch.put_back(p, &self.idle, 0);
                    failed = true;
                }
            }
            let last = self.idle.stop_search();
            if !(last && self.has_free_work()) || mutated("search.rules.token_dropped") {
                return;
            }
            if (failed && self.dispatch.ask_next_sleeper_to_look()) || !self.idle.submit() {
                return;
            }
        }
    }

    fn has_free_work(&self) -> bool {
        self.queues.iter().any(|queue| queue.load(Ordering::Relaxed) > 0)
    }

    /// Takes a piece of work from the first queue that has one.
    fn search(&self) -> bool {
        self.queues
            .iter()
            .any(|queue| queue.load(Ordering::Relaxed) > 0 && queue.swap(0, Ordering::Relaxed) > 0)
    }

    /// The loop of an M. `start`: it may take what any M may take.
    fn run(&self, me: usize, mut state: MState, start: bool) {
        let remote = &self.remotes[me];
        loop {
            if state.p.is_none() {
                let takes = if start { Takes::Any } else { Takes::Inbox };
                match self.dispatch.sleep(remote, &self.idle, takes, || false, until_woken) {
                    WaitedForP::Got(given) => {
                        state = MState { p: Some(given.p), searching: given.searching }
                    }
                    WaitedForP::Retry => {
                        self.look_again(remote, &mut state, start);
                        continue;
                    }
                    WaitedForP::Expired | WaitedForP::Closed => return,
                }
            }
            let mut found = start && self.search();
            if !found && start && !state.searching && self.idle.start_search(1) {
                state.searching = true;
                found = self.search();
            }
            if !found {
                self.stop_m(remote, &mut state, start);
                continue;
            }
            if mem::take(&mut state.searching) && self.idle.stop_search() && self.has_free_work() {
                self.wake_p();
            }
            if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.dispatch.close();
            }
            if self.work == Work::Hogs {
                return;
            }
        }
    }

    fn stop_m(&self, remote: &Remote<u32>, state: &mut MState, start: bool) {
        let p = state.p.take().expect("only an M with a P looks for work");
        self.dispatch.release(p, remote, &self.idle, 0);
        if mem::take(&mut state.searching) {
            let _it_looks_anyway = self.idle.stop_search();
        }
        self.look_again(remote, state, start);
    }

    fn look_again(&self, remote: &Remote<u32>, state: &mut MState, start: bool) {
        if !self.has_free_work() || mutated("search.rules.second_look_forgotten") {
            return;
        }
        if !start {
            if !mutated("search.rules.leaves_silently") {
                self.wake_p();
            }
            return;
        }
        state.p = self.dispatch.try_take(remote, &self.idle);
        let searches = state.p.is_some() && !mutated("search.rules.second_look_idle");
        state.searching = searches && self.idle.start_search(usize::MAX);
    }
}

fn with_p() -> MState {
    MState { p: Some(Box::new(7)), searching: false }
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

/// One M runs out of work, one sleeps, and two pieces are published one after the other.
fn one_retires() {
    let world = World::new(0, Work::Ends, 2);
    let ms = [
        beside(&world, |world| world.run(0, with_p(), true)),
        beside(&world, |world| world.run(1, MState::default(), true)),
    ];
    world.publish(0);
    world.publish(1);
    join(ms);
}

/// Two pieces that never end, and two Ms, one of which has to be woken.
fn two_hogs() {
    let world = World::new(1, Work::Hogs, 2);
    let ms = [
        beside(&world, |world| world.run(0, with_p(), true)),
        beside(&world, |world| world.run(1, MState::default(), true)),
    ];
    world.publish(0);
    world.publish(1);
    join(ms);
}

/// The only idle P goes to an M that has something of its own to run, just when a publisher wants
/// the P for its search; another publisher relies on that search.
fn idle_p_snatched() {
    let world = World::new(1, Work::Ends, 2);
    let others = [
        beside(&world, |world| world.publish(0)),
        beside(&world, |world| {
            let remote = &world.remotes[0];
            let idle = world.dispatch.join_line(remote, &world.idle, 0, Why::LetsPass, Takes::Any);
            let p = idle.unwrap_or_else(|| world.dispatch.wait_for_turn(remote, &world.idle));
            world.run(0, MState { p: Some(p), searching: false }, true);
        }),
    ];
    world.publish(1);
    join(others);
}

/// A P is idle, and the only M has another P and runs out of work: a publisher can have no M made.
fn no_thread_to_be_had() {
    let world = World::new(1, Work::Ends, 2);
    let others = [
        beside(&world, |world| world.publish(0)),
        beside(&world, |world| world.run(0, with_p(), true)),
    ];
    world.publish(1);
    join(others);
}

/// An M that is about to leave runs out of what it may run; the rest is for a sleeper.
fn one_leaves() {
    let world = World::new(0, Work::Ends, 1);
    world.publish(0);
    let ms = [
        beside(&world, |world| world.run(0, with_p(), false)),
        beside(&world, |world| world.run(1, MState::default(), true)),
    ];
    join(ms);
}

models! {
    holds one_that_retires = one_retires within 3 preemptions;
    holds pieces_that_never_end = two_hogs within 2 preemptions;
    holds a_publisher_that_finds_no_p = idle_p_snatched within 2 preemptions;
    holds a_lack_of_threads = no_thread_to_be_had within 2 preemptions;
    holds one_that_leaves = one_leaves within 3 preemptions;
    catches a_submit_without_fence = "idle.submit_unfenced"
        in no_thread_to_be_had within 2 preemptions;
    catches a_retirement_without_fence = "idle.retire_unfenced"
        in no_thread_to_be_had within 2 preemptions;
    catches a_second_look_that_is_forgotten = "search.rules.second_look_forgotten"
        in one_retires within 2 preemptions;
    catches a_second_look_without_search = "search.rules.second_look_idle"
        in two_hogs within 2 preemptions;
    catches a_search_that_is_dropped = "search.rules.token_dropped"
        in idle_p_snatched within 2 preemptions;
    catches a_sleeper_that_is_not_sent_back = "dispatch.look_again_forgotten"
        in no_thread_to_be_had within 2 preemptions;
    catches one_that_leaves_silently = "search.rules.leaves_silently"
        in one_leaves within 2 preemptions;
}
