//! The asymmetric pair when the kernel's call begins to fail: a light fence that began before may
//! have been none.

use crate::sync::membarrier::{Machine, heavy_on, light_on};
use crate::sync::primitive::loom;
use crate::sync::primitive::{Arc, AtomicU32, Ordering, fence, mutated, thread};

const YES: u32 = 1;
const NO_LONGER: u32 = 3;

/// A kernel that refuses.
struct Refusing {
    answer: AtomicU32,
}

impl Machine for Refusing {
    fn answer(&self) -> u32 {
        self.answer.load(Ordering::Relaxed)
    }

    fn give_up(&self) {
        self.answer.store(NO_LONGER, Ordering::Relaxed);
    }

    fn fence_every_thread(&self) -> bool {
        false
    }

    fn frequent_fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn rare_fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn mutated(&self, name: &'static str) -> bool {
        mutated(name)
    }
}

/// A round: the frequent side writes work, the rare side says that it sleeps.
#[derive(Default)]
struct Round {
    work: AtomicU32,
    asleep: AtomicU32,
}

struct Shared {
    machine: Refusing,
    rounds: [Round; 2],
}

/// Plays a round. Returns whether one side saw the other, and whether the sleep is bounded.
fn play(shared: &Arc<Shared>, round: usize) -> (bool, bool) {
    let theirs = Arc::clone(shared);
    let frequent = thread::spawn(move || {
        let Shared { machine, rounds } = &*theirs;
        rounds[round].work.store(1, Ordering::Relaxed);
        light_on(machine);
        rounds[round].asleep.load(Ordering::Relaxed) == 1
    });
    let Shared { machine, rounds } = &**shared;
    rounds[round].asleep.store(1, Ordering::Relaxed);
    let bound = heavy_on(machine);
    let sees = rounds[round].work.load(Ordering::Relaxed) == 1;
    let told = frequent.join().unwrap();
    (sees || told, bound.is_some())
}

/// The call fails from the first round on.
fn refused() {
    loom::model(|| {
        let machine = Refusing { answer: AtomicU32::new(YES) };
        let shared = Arc::new(Shared { machine, rounds: Default::default() });
        let (seen, bounded) = play(&shared, 0);
        assert!(seen || bounded, "neither saw the other, and the sleep has no end");
        let (seen, bounded) = play(&shared, 1);
        assert!(seen, "both sides fence once the refusal is known");
        assert!(bounded, "for good");
    });
}

#[test]
fn membarrier_holds() {
    refused();
}

#[cfg(gosched_mutants)]
mod mutants {
    use crate::model::is_caught;

    #[test]
    fn membarrier_mutant_stays_light_is_caught() {
        is_caught("membarrier.stays_light", super::refused);
    }

    #[test]
    fn membarrier_mutant_unbounded_is_caught() {
        is_caught("membarrier.unbounded", super::refused);
    }
}
