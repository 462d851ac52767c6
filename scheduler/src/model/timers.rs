//! A wait with a time limit: its waker; the thread that fires its timer; and the owner, which
//! removes the timer and begins the next wait, in which neither may reach it any more.

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{Arc, AtomicU32, Ordering, thread};

use super::models;
use crate::ds::heap::TimerId;
use crate::ds::parker::{Claim, Commit, Parker};
use crate::ds::timers::Timers;

struct World {
    timers: Timers<()>,
    parker: Parker,
    timer: Mutex<Option<TimerId>>,
    /// The lock of what is waited for; true once the wait there is over.
    queue: Mutex<bool>,
    waits_ended: AtomicU32,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            timers: Timers::new(),
            parker: Parker::new(),
            timer: Mutex::new(None),
            queue: Mutex::new(false),
            waits_ended: AtomicU32::new(0),
        })
    }

    /// The owner begins its wait; from here on others can see it.
    fn begin(&self) {
        self.parker.prepare();
        *self.timer.lock() = self.timers.add(1, ());
    }

    /// The owner parks. What follows runs here or in the thread that claims the owner.
    fn park(&self) {
        if self.parker.commit(true) == Commit::Refused {
            self.after();
        }
    }

    /// The owner runs again, and waits for something that no thread here has.
    fn after(&self) {
        let timer = self.timer.lock().take().expect("the wait ends once");
        let _fired = self.timers.remove(timer);
        // As a waiter does: it is unlinked, or the waker has finished it.
        *self.queue.lock() = true;
        self.waits_ended.fetch_add(1, Ordering::Relaxed);
        self.parker.prepare();
        if self.parker.commit(true) == Commit::Refused {
            panic!("the next wait was ended by the last one's limit");
        }
    }

    fn run(&self, claim: Claim) {
        if claim == Claim::Won {
            self.after();
        }
    }

    fn waker(&self) {
        let mut gone = self.queue.lock();
        let claim = if *gone { Claim::Lost } else { self.parker.notify() };
        *gone = true;
        drop(gone);
        self.run(claim);
    }

    fn clock(&self) {
        let claims: [_; 2] = self.timers.pop_several(1, |()| (), |()| self.parker.notify());
        claims.into_iter().flatten().for_each(|claim| self.run(claim));
    }
}

fn beside(world: &Arc<World>, f: fn(&World)) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

fn ended_by_either() {
    let world = World::new();
    world.begin();
    let others = [beside(&world, World::waker), beside(&world, World::clock)];
    world.park();
    for other in others {
        other.join().unwrap();
    }
    assert_eq!(world.waits_ended.load(Ordering::Relaxed), 1);
    assert_eq!(world.parker.notify(), Claim::Won, "it waits for somebody else now");
}

models! {
    holds a_wait_with_a_limit = ended_by_either within 3 preemptions;
    catches a_timer_that_fires_behind_the_lock = "timers.fires_unlocked"
        in ended_by_either within 3 preemptions;
}
