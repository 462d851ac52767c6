//! Sysmon's sleep against threads that leave something behind, and against the end.
//!
//! What is left behind is a relaxed counter that sysmon sets back when it sees it. Sysmon here ends
//! when it has seen everything, so a thing that waits unseen is a deadlock, which loom reports.

// Not loom's: its `Arc` panics once more when it is dropped after a reported deadlock.
use std::sync::Arc;

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, light_fence, mutated, thread};

use super::models;
use crate::ds::idle::Idle;
use crate::ds::sysmon_note::{SysmonNote, WakeOutcome};
use crate::ds::timers::NEVER;
use crate::gmp::dispatch::{Dispatch, Kicked, Remote};

struct World {
    note: SysmonNote,
    behind: AtomicU32,
}

impl World {
    /// A world whose sysmon has been made and is awake.
    fn new() -> Arc<Self> {
        let note = SysmonNote::new();
        assert_eq!(note.wake(), WakeOutcome::StartThread);
        Arc::new(Self { note, behind: AtomicU32::new(0) })
    }

    fn leave_behind(&self) {
        self.behind.fetch_add(1, Ordering::Relaxed);
        assert_eq!(self.note.wake(), WakeOutcome::Done);
    }

    /// Looks until it has seen as many `things`.
    fn sysmon(&self, things: u32) {
        let mut seen = 0;
        while seen < things {
            seen += self.behind.swap(0, Ordering::Relaxed);
            if seen < things {
                self.note.sleep(NEVER, || self.behind.load(Ordering::Relaxed) > 0);
            }
        }
    }
}

fn beside(world: &Arc<World>, f: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || f(&world))
}

/// One thing is left behind while sysmon falls asleep.
fn woken_while_it_falls_asleep() {
    let world = World::new();
    let sysmon = beside(&world, |world| world.sysmon(1));
    world.leave_behind();
    sysmon.join().unwrap();
}

/// Two threads leave something behind; only one of them finds sysmon asleep.
fn woken_by_two() {
    let world = World::new();
    let sysmon = beside(&world, |world| world.sysmon(2));
    let other = beside(&world, World::leave_behind);
    world.leave_behind();
    other.join().unwrap();
    sysmon.join().unwrap();
}

/// The end comes while sysmon falls asleep, and a thread wakes it for something besides.
fn closed_while_it_falls_asleep() {
    let world = World::new();
    let sysmon = beside(&world, |world| {
        while !world.note.closed() {
            world.note.sleep(NEVER, || false);
        }
    });
    let waker = beside(&world, World::leave_behind);
    world.note.close();
    waker.join().unwrap();
    sysmon.join().unwrap();
}

/// The last searcher leaves what it found besides to sysmon, and never returns to the scheduler.
fn left_by_its_searcher() {
    let world = World::new();
    let idle = Arc::new(Idle::new());
    let _nobody_searches_yet = idle.add_idle_p(1);
    assert!(idle.start_search(1));
    let theirs = Arc::clone(&idle);
    let sysmon = beside(&world, move |world| {
        let lies = || world.behind.load(Ordering::Relaxed) > 0;
        while !(lies() && theirs.submit()) {
            world.note.sleep(NEVER, lies);
            thread::yield_now();
        }
    });
    world.behind.store(1, Ordering::Relaxed);
    assert!(idle.stop_search());
    if !mutated("sysmon_note.rules.left_without_wake") {
        assert_eq!(world.note.wake(), WakeOutcome::Done);
    }
    sysmon.join().unwrap();
    assert_eq!(idle.searching(), 1, "an M is woken for it");
}

/// A thread sends to an M that is on its way from its last look into its inbox to user code.
fn sent_to_one_on_its_way() {
    let world = World::new();
    let shown = Arc::new(AtomicU32::new(0));
    let theirs = Arc::clone(&shown);
    let sysmon = beside(&world, move |world| {
        let waits =
            || theirs.load(Ordering::Relaxed) > 0 && world.behind.load(Ordering::Relaxed) > 0;
        while !waits() {
            world.note.sleep(NEVER, waits);
            thread::yield_now();
        }
    });
    let home = beside(&world, move |world| {
        shown.store(1, Ordering::Relaxed);
        light_fence();
        let sees = world.behind.load(Ordering::Relaxed) > 0;
        if sees && !mutated("sysmon_note.rules.shown_without_look") {
            assert_eq!(world.note.wake(), WakeOutcome::Done);
        }
    });
    world.leave_behind();
    home.join().unwrap();
    sysmon.join().unwrap();
}

/// A thread sends to an M that watches its inbox, looks once more, and runs user code.
fn sent_to_one_that_watches() {
    let world = World::new();
    let idle = Idle::new();
    let dispatch = Dispatch::<(), Arc<Remote<()>>>::new(Vec::new(), &idle);
    let sysmon = beside(&world, |world| {
        let waits = || world.behind.load(Ordering::Relaxed) > 0;
        while !(waits() || world.note.closed()) {
            world.note.sleep(NEVER, waits);
            thread::yield_now();
        }
    });
    let remote = Arc::new(Remote::new());
    let theirs = Arc::clone(&remote);
    let home = beside(&world, move |world| {
        theirs.begin_watch();
        theirs.end_watch();
        if world.behind.load(Ordering::Relaxed) > 0 {
            world.note.close();
        }
    });
    world.behind.store(1, Ordering::Relaxed);
    if dispatch.kick(&remote, &idle, || 0) != Kicked::Given {
        let _it_may_have_ended = world.note.wake();
    }
    home.join().unwrap();
    sysmon.join().unwrap();
}

/// The first two wakers: one of them must make the thread, and cannot; then one of them has to try
/// again.
fn made_by_one() {
    let world = Arc::new(World { note: SysmonNote::new(), behind: AtomicU32::new(0) });
    let try_to_make = |world: &World| {
        let asked = world.note.wake() == WakeOutcome::StartThread;
        if asked {
            world.note.not_made();
        }
        u32::from(asked)
    };
    let theirs = Arc::clone(&world);
    let other =
        thread::spawn(move || theirs.behind.fetch_add(try_to_make(&theirs), Ordering::Relaxed));
    let mine = try_to_make(&world);
    other.join().unwrap();
    assert!(mine + world.behind.load(Ordering::Relaxed) >= 1, "somebody was asked");
    assert_eq!(world.note.wake(), WakeOutcome::StartThread, "and the next one is");
}

models! {
    holds a_thing_left_behind = woken_while_it_falls_asleep;
    holds things_of_two = woken_by_two within 3 preemptions;
    holds an_end = closed_while_it_falls_asleep within 3 preemptions;
    holds what_is_sent_to_one_on_its_way = sent_to_one_on_its_way within 3 preemptions;
    holds what_is_sent_to_one_that_watches = sent_to_one_that_watches within 3 preemptions;
    holds a_thread_that_cannot_be_made = made_by_one;
    holds what_is_left_to_sysmon = left_by_its_searcher within 3 preemptions;
    catches one_that_does_not_look_when_it_is_shown = "sysmon_note.rules.shown_without_look"
        in sent_to_one_on_its_way within 3 preemptions;
    catches one_that_watches_and_does_not_fence = "dispatch.watch_unfenced"
        in sent_to_one_that_watches within 3 preemptions;
    catches a_wake_without_fence = "sysmon_note.wake_unfenced" in woken_while_it_falls_asleep;
    catches work_that_sysmon_is_not_woken_for = "sysmon_note.rules.left_without_wake"
        in left_by_its_searcher within 3 preemptions;
    catches a_sleep_without_fence = "sysmon_note.sleep_unfenced" in woken_while_it_falls_asleep;
    catches a_sleep_without_a_last_view = "sysmon_note.sleep_without_view"
        in woken_while_it_falls_asleep;
    catches an_end_that_is_kept_secret = "sysmon_note.close_wakes_nobody"
        in closed_while_it_falls_asleep within 3 preemptions;
}
