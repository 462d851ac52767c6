//! Two takers and an owner: nobody is counted twice, or stays counted.

use gosched_runtime_sys::sync::primitive::{Arc, AtomicBool, Ordering::Relaxed, thread};

use super::models;
use crate::ds::deprived::{Deprived, Mark};

struct World {
    deprived: Deprived,
    mark: Mark,
    /// The owner has its thing.
    there: AtomicBool,
}

impl World {
    fn new() -> Arc<Self> {
        let (deprived, mark) = (Deprived::new(), Mark::new());
        Arc::new(Self { deprived, mark, there: AtomicBool::new(true) })
    }

    fn take(&self) {
        if self.deprived.count(&self.mark, |counted| counted < 2)
            && !self.there.swap(false, Relaxed)
        {
            self.deprived.noticed(&self.mark);
        }
    }

    /// The owner looks for its thing, and has it back afterwards.
    fn look(&self) {
        if !self.there.swap(false, Relaxed) {
            self.deprived.noticed(&self.mark);
        }
        self.there.store(true, Relaxed);
    }
}

fn two_take_from_one_that_looks() {
    let world = World::new();
    let takers = [0, 1].map(|_| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.take())
    });
    world.look();
    for taker in takers {
        taker.join().unwrap();
    }
    world.look();
    world.deprived.noticed(&world.mark);
    assert_eq!(world.deprived.number(), 0);
}

models! {
    holds two_takers_and_an_owner = two_take_from_one_that_looks;
    catches a_mark_that_two_take_away = "deprived.takes_by_a_store" in two_take_from_one_that_looks;
}
