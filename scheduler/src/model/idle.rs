//! The counts of idle Ps and searching Ms, between threads that publish into two queues and Ms that
//! run out of work.
//!
//! An M that is woken runs in the thread that woke it, after that thread's own part. So when all
//! threads have ended, all Ms sleep, and work that is left then was forgotten.

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{Arc, AtomicU32, Ordering, mutated, thread};

use super::models;
use crate::ds::idle::Idle;

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
    /// The length of the idle list, which has its own lock.
    idle_ps: Mutex<usize>,
    /// Pieces of work in two queues. Relaxed throughout: only the fences of the protocol can make
    /// them be seen.
    queues: [AtomicU32; 2],
    work: Work,
}

impl World {
    fn new(idle_ps: usize, searching: usize, work: Work) -> Arc<Self> {
        let idle = Idle::new();
        assert!(idle.add_idle_p(idle_ps));
        for n in 0..searching {
            assert!(idle.start_search(n + 1));
        }
        let queues = [AtomicU32::new(0), AtomicU32::new(0)];
        Arc::new(Self { idle, idle_ps: Mutex::new(idle_ps), queues, work })
    }

    fn publish(&self, queue: usize) {
        self.queues[queue].store(1, Ordering::Relaxed);
        self.wake();
    }

    /// Wakes an M if the counts say so.
    fn wake(&self) {
        while self.idle.submit() {
            if self.take_p() {
                return self.machine(true);
            }
            if !self.idle.stop_search() || mutated("idle.rules.wake_forgotten") {
                return;
            }
        }
    }

    fn take_p(&self) -> bool {
        let mut idle_ps = self.idle_ps.lock();
        if *idle_ps == 0 {
            return false;
        }
        *idle_ps -= 1;
        self.idle.sub_idle_p(1);
        true
    }

    /// Takes a piece of work from the first queue that has one.
    fn find(&self) -> bool {
        self.queues
            .iter()
            .any(|queue| queue.load(Ordering::Relaxed) > 0 && queue.swap(0, Ordering::Relaxed) > 0)
    }

    fn sees_work(&self) -> bool {
        self.queues.iter().any(|queue| queue.load(Ordering::Relaxed) > 0)
    }

    /// An M that has a P, until it sleeps (or hogs).
    fn machine(&self, mut searching: bool) {
        loop {
            while self.find() {
                if std::mem::take(&mut searching) && self.idle.stop_search() {
                    self.wake();
                }
                if self.work == Work::Hogs {
                    return;
                }
            }
            if !searching && self.idle.start_search(1) {
                searching = true;
                continue;
            }
            let unwatched = {
                let mut idle_ps = self.idle_ps.lock();
                *idle_ps += 1;
                self.idle.add_idle_p(1)
            };
            let last = std::mem::take(&mut searching) && self.idle.stop_search();
            if !((unwatched || last) && self.sees_work() && self.take_p()) {
                return;
            }
            searching =
                !mutated("idle.rules.second_look_idle") && self.idle.start_search(usize::MAX);
        }
    }

    fn assert_nothing_left(&self) {
        assert!(!self.sees_work(), "work is left and everybody sleeps");
        assert_eq!(self.idle.searching(), 0);
        assert_eq!(self.idle.idle_ps(), *self.idle_ps.lock());
    }
}

fn beside(world: &Arc<World>, f: impl FnOnce(&World) + Send + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// The only searcher retires while two threads publish, each into its own queue.
fn last_searcher_retires() {
    let world = World::new(0, 1, Work::Ends);
    let others =
        [beside(&world, |world| world.publish(0)), beside(&world, |world| world.machine(true))];
    world.publish(1);
    for other in others {
        other.join().unwrap();
    }
    world.assert_nothing_left();
}

/// One M searches; another M may not search and retires without, while one thread publishes.
fn denied_retires() {
    let world = World::new(0, 1, Work::Ends);
    let others =
        [beside(&world, |world| world.machine(true)), beside(&world, |world| world.machine(false))];
    world.publish(0);
    for other in others {
        other.join().unwrap();
    }
    world.assert_nothing_left();
}

/// Work that never ends: two pieces, two Ps, one of them idle, and the only searcher finds one
/// piece.
fn searcher_finds_a_hog() {
    let world = World::new(1, 1, Work::Hogs);
    let others =
        [beside(&world, |world| world.publish(0)), beside(&world, |world| world.machine(true))];
    world.publish(1);
    for other in others {
        other.join().unwrap();
    }
    world.assert_nothing_left();
}

/// The same, but the second P becomes idle while all this happens.
fn denied_retires_beside_a_hog() {
    let world = World::new(0, 1, Work::Hogs);
    let others =
        [beside(&world, |world| world.machine(true)), beside(&world, |world| world.machine(false))];
    world.publish(0);
    world.publish(1);
    for other in others {
        other.join().unwrap();
    }
    world.assert_nothing_left();
}

/// The last idle P goes to an M that may not search, while a waker's search is counted. (The work
/// that the waker wakes for is gone already.) Then that M gives its P back.
fn idle_p_snatched() {
    let world = World::new(1, 0, Work::Ends);
    let others = [
        beside(&world, World::wake),
        beside(&world, |world| {
            if world.take_p() {
                world.machine(false);
            }
        }),
    ];
    world.publish(1);
    for other in others {
        other.join().unwrap();
    }
    world.assert_nothing_left();
}

models! {
    holds the_last_searcher = last_searcher_retires within 3 preemptions;
    holds one_who_may_not_search = denied_retires within 2 preemptions;
    holds a_waker_that_finds_no_p = idle_p_snatched within 3 preemptions;
    holds a_searcher_that_finds_a_hog = searcher_finds_a_hog within 3 preemptions;
    holds one_who_may_not_search_beside_a_hog = denied_retires_beside_a_hog within 2 preemptions;
    catches a_submit_without_fence = "idle.submit_unfenced"
        in last_searcher_retires within 3 preemptions;
    catches a_retirement_without_fence = "idle.retire_unfenced"
        in last_searcher_retires within 3 preemptions;
    catches a_last_searcher_that_does_not_look = "idle.last_searcher_unaware"
        in last_searcher_retires within 3 preemptions;
    catches a_finder_without_successor = "idle.last_searcher_unaware"
        in searcher_finds_a_hog within 3 preemptions;
    catches a_second_look_without_search = "idle.rules.second_look_idle"
        in searcher_finds_a_hog within 3 preemptions;
    catches a_failed_wake_that_is_forgotten = "idle.rules.wake_forgotten"
        in idle_p_snatched within 3 preemptions;
    catches one_who_retires_unseen = "idle.retirer_unaware"
        in denied_retires_beside_a_hog within 2 preemptions;
}
