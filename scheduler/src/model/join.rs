//! A goroutine's packet: cancel against begin, against end, and against the next goroutine on the
//! same record; join against end; a goroutine that settles beside another against the other's end;
//! the tally of a scope against the ends that it counts and newcomers that wait for a place; and
//! the list of a set's members that have ended against its owner.
//!
//! # Safety
//!
//! Plain cells stand for what a scope's goroutines borrow; loom reports an access that the protocol
//! does not order. A result that was taken is read once.
#![expect(unsafe_code, reason = "the model reads and writes plain cells, which loom checks")]

use gosched_runtime_sys::sync::primitive::{AtomicU32, Ordering, UnsafeCell, thread};
use std::collections::VecDeque;
// Not loom's: its `Arc` aborts when it is dropped by a model that failed.
use std::sync::Arc;
use std::task::Poll;

use super::executor::Executor;
use super::models;
use crate::chan::raw::Channel;
use crate::gmp::body::Begin;
use crate::join::{Cancels, OnEnd, Packet};
use crate::scope::Tally;
use crate::scope::join_set::Ended;
use crate::testing::TestWaiter;

/// The goroutine ends, and another goroutine waits on its record, which nobody cancelled.
fn cancelled_while_it_ends() {
    let packet = Arc::new(Packet::<_, _, TestWaiter>::new(|| (), ()));
    let channel = Arc::new(Channel::new(Some(1)));
    let record = {
        let (packet, channel) = (packet.clone(), channel.clone());
        thread::spawn(move || {
            let waiter = TestWaiter::new();
            packet.run_to_end(1, Begin::Run, Some(waiter.clone()));
            waiter.reset();
            waiter.recv(&channel)
        })
    };
    let canceller = thread::spawn(move || packet.request_cancel());
    assert_eq!(TestWaiter::new().send(&channel, 7), Some(true), "there is room");
    canceller.join().unwrap();
    assert_eq!(record.join().unwrap(), Some(Some(7)), "a late cancel reached the next goroutine");
}

/// The goroutine begins, and waits for what never comes. It ends, or never begins, and its joiner
/// learns of it.
fn cancelled_while_it_begins() {
    let channel: Arc<Channel<u32, TestWaiter>> = Arc::new(Channel::new(Some(0)));
    let waiter = TestWaiter::new();
    let theirs = waiter.clone();
    let packet = Arc::new(Packet::<_, _, TestWaiter>::new(move || theirs.recv(&channel), ()));
    let runs = {
        let packet = packet.clone();
        thread::spawn(move || packet.run_to_end(1, Begin::Run, Some(waiter)))
    };
    let canceller = {
        let packet = packet.clone();
        thread::spawn(move || packet.request_cancel())
    };
    let joiner = TestWaiter::new();
    if let Some(Ok(received)) = packet.join_by(None, || joiner.begin()) {
        // SAFETY: the packet is there, and the outcome is taken once.
        let received = unsafe { received.read() };
        assert_eq!(received, None, "nobody sent");
    }
    runs.join().unwrap();
    assert!(canceller.join().unwrap());
}

/// An outcome that reads what its goroutine borrowed when it is dropped.
struct Borrows(Arc<Cell>);

struct Cell(UnsafeCell<u32>);

// SAFETY: loom watches the cell, and reports two threads in it at once.
unsafe impl Sync for Cell {}
// SAFETY: it is a number.
unsafe impl Send for Cell {}

impl Drop for Borrows {
    fn drop(&mut self) {
        // A failed model no longer checks its cells.
        if std::thread::panicking() {
            return;
        }
        // SAFETY: loom reports it if it is not so.
        let value = self.0.0.with(|cell| unsafe { *cell });
        assert_eq!(value, 1, "the scope was over");
    }
}

fn end<F: FnOnce() -> T, T, K: Cancels, A: OnEnd>(packet: Arc<Packet<F, T, K, A>>) {
    Packet::<F, T, K, A>::run_and_release(packet, 1, Begin::Run, None);
}

/// Children that nobody joins end while their scope waits. Afterwards the scope alone has what they
/// borrowed.
fn scoped(children: u32) {
    let tally = Arc::new(Tally::<TestWaiter>::new());
    let borrowed = Arc::new(Cell(UnsafeCell::new(1)));
    let ends: Vec<_> = (0..children)
        .map(|_| {
            let outcome = Borrows(borrowed.clone());
            let packet =
                Arc::new(Packet::<_, _, TestWaiter, _>::new(move || outcome, tally.clone()));
            tally.up();
            thread::spawn(move || end(packet))
        })
        .collect();
    let parent = TestWaiter::new();
    tally.wait(|| parent.begin());
    // SAFETY: as in `Borrows`.
    borrowed.0.with_mut(|cell| unsafe { *cell = 2 });
    ends.into_iter().for_each(|end| end.join().unwrap());
}

fn scope_of_one() {
    scoped(1);
}

fn scope_of_two() {
    scoped(2);
}

/// Two would make a child while the one place is taken, and one child after the other ends. Both
/// get the place, one at a time, and then the parent's wait is over.
fn newcomers() {
    let tally = Arc::new(Tally::<TestWaiter>::new());
    let inside = Arc::new(AtomicU32::new(1));
    tally.up();
    let comers: Vec<_> = (0..2)
        .map(|_| {
            let (tally, inside) = (tally.clone(), inside.clone());
            thread::spawn(move || {
                let waiter = TestWaiter::new();
                tally.up_below(1, || waiter.begin());
                let others = inside.fetch_add(1, Ordering::Relaxed);
                assert_eq!(others, 0, "more run than may");
                inside.fetch_sub(1, Ordering::Relaxed);
                tally.down();
            })
        })
        .collect();
    inside.fetch_sub(1, Ordering::Relaxed);
    tally.down();
    comers.into_iter().for_each(|comer| comer.join().unwrap());
    let parent = TestWaiter::new();
    assert!(tally.wait_by(None, || parent.begin()));
    assert_eq!(tally.left(), 0);
}

/// The last child ends while a future waits for that.
fn task_of_a_group() {
    let tally = Arc::new(Tally::<TestWaiter>::new());
    tally.up();
    let child = {
        let tally = tally.clone();
        thread::spawn(move || tally.down())
    };
    Executor::new().block_on(|waker| match tally.poll(waker) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    child.join().unwrap();
}

/// The members of a set end, and its owner learns of each once.
fn ends_of_members(wait: impl Fn(&Ended<TestWaiter>, &mut VecDeque<usize>)) {
    let ended = Arc::new(Ended::<TestWaiter>::new());
    ended.reserve(2);
    let members = [0, 1].map(|place| {
        let ended = ended.clone();
        thread::spawn(move || ended.push(place))
    });
    let mut places = Vec::new();
    let mut next = VecDeque::with_capacity(2);
    while places.len() < 2 {
        wait(&ended, &mut next);
        places.extend(next.drain(..));
    }
    members.into_iter().for_each(|member| member.join().unwrap());
    places.sort_unstable();
    assert_eq!(places, [0, 1]);
    assert!(!ended.take(&mut next), "nothing is left");
}

fn owner_of_a_set() {
    ends_of_members(|ended, next| {
        let waiter = TestWaiter::new();
        assert!(ended.wait(None, next, || waiter.begin()));
    });
}

fn task_of_a_set() {
    ends_of_members(|ended, next| {
        Executor::new().block_on(|waker| match ended.poll(next, waker) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
    });
}

/// One goroutine settles beside another, whose M has nothing else left. Either it is in that M's
/// inbox when the M looks there after the host's end, or it was told to begin elsewhere. Relaxed:
/// only the packet's lock can make the M see it.
fn settles_beside_one_that_ends() {
    let packet = Arc::new(Packet::<_, _, TestWaiter>::new(|| (), ()));
    let inbox = Arc::new(AtomicU32::new(0));
    let m = {
        let (packet, inbox) = (packet.clone(), inbox.clone());
        thread::spawn(move || {
            packet.run_to_end(1, Begin::Run, Some(TestWaiter::new()));
            // The M's last look, before it leaves.
            inbox.load(Ordering::Relaxed)
        })
    };
    let in_inbox = packet.with_runner(
        (),
        // The newcomer waits for the host to begin, which queues it.
        |(), _| false,
        |(), host| {
            if host.is_some() {
                inbox.store(1, Ordering::Relaxed);
            }
            host.is_some()
        },
    );
    assert_eq!(
        m.join().unwrap(),
        u32::from(in_inbox),
        "it lies in the inbox of an M that has left"
    );
}

models! {
    holds a_cancel_and_an_end = cancelled_while_it_ends;
    holds a_cancel_and_a_beginning = cancelled_while_it_begins within 3 preemptions;
    holds a_newcomer_and_the_end_of_its_host = settles_beside_one_that_ends;
    holds a_scope_and_the_end_of_its_child = scope_of_one;
    holds a_scope_and_the_ends_of_two = scope_of_two within 3 preemptions;
    holds newcomers_and_ends = newcomers within 3 preemptions;
    holds a_task_and_the_last_end = task_of_a_group;
    holds a_set_and_the_ends_of_its_members = owner_of_a_set within 3 preemptions;
    holds a_task_and_the_ends_of_its_members = task_of_a_set within 3 preemptions;
    catches a_cancel_that_does_not_keep_the_end_off = "join.cancel_unlocked"
        in cancelled_while_it_ends;
    catches a_withdrawn_goroutine_that_runs = "join.withdrawn_runs"
        in cancelled_while_it_begins within 3 preemptions;
    catches a_newcomer_that_does_not_keep_the_end_off = "join.visits_unlocked"
        in settles_beside_one_that_ends;
    catches a_child_counted_out_before_its_outcome_is_gone = "scope.gone_too_early" in scope_of_one;
    catches a_last_child_that_wakes_nobody = "scope.last_wakes_nobody" in scope_of_one;
    catches a_last_child_that_wakes_no_task = "scope.last_wakes_nobody" in task_of_a_group;
    catches a_place_that_is_handed_over_and_free = "scope.place_is_free_again"
        in newcomers within 3 preemptions;
    catches an_end_that_the_owner_does_not_hear_of = "join_set.ends_unheard"
        in owner_of_a_set within 3 preemptions;
    catches an_end_that_the_task_does_not_hear_of = "join_set.ends_unheard"
        in task_of_a_set within 3 preemptions;
    catches a_scope_that_waits_for_nobody = "scope.waits_for_nobody" in scope_of_one;
}
