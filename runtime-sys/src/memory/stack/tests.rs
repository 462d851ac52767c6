//! Slabs and their stacks, with both kinds of guards, and the errors when there is no room.

#[cfg(unix)]
mod limits;

use super::*;
use crate::testing::{Child, permissions_at};

fn shape(size: usize) -> Shape {
    Shape::new(size, Guards::available()).expect("a shape")
}

fn slab(shape: Shape, count: u32) -> (StackSlab, Vec<Stack>) {
    let mut slab = StackSlab::reserve(shape, count).expect("a slab");
    let mut stacks = Vec::new();
    slab.take_unopened(count).expect("a fresh slab has some").open(&mut stacks).expect("stacks");
    (slab, stacks)
}

fn each_kind(body: impl Fn(Guards)) {
    [Guards::available(), Guards::Closed].into_iter().for_each(body);
}

#[test]
fn sizes_are_rounded_up() {
    assert_eq!(shape(0).size(), MINIMUM.next_multiple_of(page_size()));
    let (_slab, stacks) = slab(shape((256 << 10) + 1), 1);
    assert_eq!(stacks[0].size(), (256 << 10) + page_size());
    assert_eq!(stacks[0].end() - stacks[0].limit(), stacks[0].size());
}

#[test]
fn stacks_lie_side_by_side_with_their_guards_between() {
    each_kind(|guards| {
        let (_slab, stacks) = slab(Shape::new(64 << 10, guards).expect("a shape"), 3);
        for pair in stacks.windows(2) {
            assert_eq!(pair[1].guard(), pair[0].end()..pair[1].limit());
            assert!(pair[1].guard().len() >= GUARD);
            assert!(
                !((pair[1].end() - pair[0].end()) / page_size()).is_multiple_of(2),
                "tops share sets of the TLB"
            );
        }
    });
}

#[test]
fn tops_are_spread_and_heads_are_above_them() {
    let (_slab, stacks) = slab(shape(64 << 10), 17);
    let distance = |stack: &Stack| stack.end() - stack.top();
    for (index, stack) in stacks.iter().enumerate() {
        assert_eq!(distance(stack), HEAD + index % 16 * 64);
        assert_eq!((stack.top() % 64, stack.head().addr().get()), (0, stack.top()));
        assert!(distance(stack) < page_size(), "the head is in the page that is touched anyhow");
    }
}

#[test]
fn light_guards_take_no_mapping_and_closed_ones_two_per_stack() {
    let (_slab, stacks) = slab(shape(64 << 10), 4);
    let permissions =
        |stack: &Stack| [stack.guard().start, stack.limit(), stack.end() - 1].map(permissions_at);
    if Guards::available() == Guards::Light {
        assert!(stacks.iter().all(|stack| permissions(stack) == ["rw-p"; 3]));
    }
    let (_slab, stacks) = slab(Shape::new(64 << 10, Guards::Closed).expect("a shape"), 4);
    assert!(stacks.iter().all(|stack| permissions(stack) == ["---p", "rw-p", "rw-p"]));
}

/// The deepest byte of the guard and the one right below the stack: a store there ends the process.
fn guards_kill(name: &str, guards: Guards) {
    let at = std::env::var("GOSCHED_TEST_AT").ok().and_then(|at| at.parse::<usize>().ok());
    // Opened one by one, and many at once.
    for (below, count) in [(1, 3), (GUARD, 3), (1, 40), (GUARD, 40)] {
        let child = Child::run_with(name, ("GOSCHED_TEST_AT", &below.to_string()), || {
            let (_slab, stacks) = slab(Shape::new(64 << 10, guards).expect("a shape"), count);
            let limit: *mut u8 = std::ptr::with_exposed_provenance_mut(stacks[1].limit());
            // SAFETY: the stack's lowest byte.
            unsafe { limit.write_volatile(1) };
            let beyond = limit.wrapping_sub(at.expect("set by the parent"));
            // SAFETY: none; the guard ends the process here, which is what the parent waits for.
            unsafe { beyond.write_volatile(1) };
        });
        child.assert_killed_by(libc::SIGSEGV);
    }
}

#[test]
fn light_guards_kill_at_both_ends() {
    guards_kill("memory::stack::tests::light_guards_kill_at_both_ends", Guards::available());
}

#[test]
fn closed_guards_kill_at_both_ends() {
    guards_kill("memory::stack::tests::closed_guards_kill_at_both_ends", Guards::Closed);
}

#[test]
fn the_one_used_last_comes_first_and_each_once() {
    let (mut slab, stacks) = slab(shape(64 << 10), 3);
    assert!(slab.take_unopened(1).is_none() && slab.pop().is_none() && slab.out() == 3);
    let ends: Vec<_> = stacks.iter().map(Stack::end).collect();
    stacks.into_iter().for_each(|stack| slab.push(stack).expect("its own"));
    assert!(slab.is_whole() && slab.idle() == 3);
    let again: Vec<_> = std::iter::from_fn(|| slab.pop()).map(|stack| stack.end()).collect();
    assert!(again.iter().eq(ends.iter().rev()));
}

#[test]
fn a_slab_takes_no_others_stack() {
    let (mut one, mut stacks) = slab(shape(64 << 10), 1);
    let (mut other, _) = slab(shape(64 << 10), 1);
    let stack = other.push(stacks.pop().expect("one")).expect_err("not its own");
    one.push(stack).expect("its own");
}

/// Gives back all that cold stacks have, page tables included, and takes the stacks again.
fn slab_reset(shape: Shape, count: u32) -> (StackSlab, Vec<Stack>) {
    let (mut slab, mut stacks) = slab(shape, count);
    Stack::discard_below(stacks.iter_mut(), 0);
    for stack in stacks {
        slab.push_cold(stack).expect("it came from there");
    }
    assert!(slab.is_whole() && !slab.is_warm());
    while slab.has_new_cold() {
        let mut cold = slab.take_cold(Vec::with_capacity(slab.room_for_cold()));
        assert!(!slab.is_whole(), "they are elsewhere");
        cold.reset_one();
        drop(slab.put_cold_back(&mut cold).expect("its own"));
        assert!(slab.is_whole());
    }
    let mut stacks: Vec<_> = std::iter::from_fn(|| slab.pop()).collect();
    while stacks.len() < count as usize {
        let mut unopened = slab.take_unopened(count).expect("the others");
        unopened.open(&mut stacks).expect("stacks");
    }
    stacks.sort_by_key(Stack::limit);
    assert!(stacks.windows(2).all(|pair| pair[0].end() < pair[1].limit()), "each once");
    assert_eq!(slab.out(), count);
    (slab, stacks)
}

/// With light guards, the guards are new ones.
#[test]
fn guards_kill_after_page_tables_were_given_back() {
    let name = "memory::stack::tests::guards_kill_after_page_tables_were_given_back";
    for guards in [Guards::available(), Guards::Closed] {
        for (at, count) in [(0, 40), (17, 40), (39, 40), (300, 600)] {
            let case = format!("{} {at} {count}", guards == Guards::Closed);
            let child = Child::run_with(name, ("GOSCHED_TEST_AT", &case), || {
                let case = std::env::var("GOSCHED_TEST_AT").expect("the parent says");
                let case: Vec<_> = case.split(' ').collect();
                let guards = if case[0] == "true" { Guards::Closed } else { Guards::available() };
                let number = |n: usize| case[n].parse::<u32>().expect("a number");
                let shape = Shape::new(64 << 10, guards).expect("a shape");
                let (_slab, stacks) = slab_reset(shape, number(2));
                for stack in &stacks {
                    let limit: *mut u8 = std::ptr::with_exposed_provenance_mut(stack.limit());
                    // SAFETY: the stack's lowest byte.
                    unsafe { limit.write_volatile(1) };
                }
                let limit = stacks[number(1) as usize].limit();
                let beyond: *mut u8 = std::ptr::with_exposed_provenance_mut(limit - 1);
                // SAFETY: none; the guard ends the process here, which the parent waits for.
                unsafe { beyond.write_volatile(1) };
            });
            child.assert_killed_by(libc::SIGSEGV);
        }
    }
}

#[test]
fn a_stack_outlives_its_slab() {
    Child::run("memory::stack::tests::a_stack_outlives_its_slab", || {
        let (slab, mut stacks) = slab(shape(64 << 10), 2);
        let (first, last) = (stacks[0].limit(), stacks.pop().expect("two"));
        drop((slab, stacks));
        assert_eq!(permissions_at(first), "rw-p");
        drop(last);
        assert_eq!(permissions_at(first), "");
    })
    .assert_success();
}

/// How many bytes of a page are in memory after it was asked for: none where the kernel does not do
/// this.
fn populated() -> usize {
    let reservation = crate::memory::reservation::Reservation::new(page_size()).expect("a page");
    reservation.open(0..page_size()).expect("a page");
    reservation.populate_all(std::iter::once(0..page_size()));
    let base = reservation.base().addr().get();
    used(base..base + page_size())
}

#[test]
fn of_a_crowd_the_first_page_is_there_and_no_other() {
    each_kind(|guards| {
        let mut slab = StackSlab::reserve(Shape::new(64 << 10, guards).expect("a shape"), 200)
            .expect("a slab");
        let mut open = |count| {
            let mut stacks = Vec::new();
            slab.take_unopened(count).expect("some are left").open(&mut stacks).expect("stacks");
            stacks
        };
        let (few, crowd) = (open(64), open(128));
        let first_page = if guards == Guards::Light { populated() } else { 0 };
        assert!(few.iter().all(|stack| stack.depth() == 0));
        assert!(crowd.iter().all(|stack| stack.depth() == first_page), "{first_page} bytes each");
        assert_eq!((few.len(), crowd.len()), (64, 128));
    });
}

#[test]
#[cfg_attr(gosched_no_mincore, ignore = "the part is taken away")]
fn deep_pages_are_given_back_and_the_rest_stays() {
    // One, and more than one call deals with.
    for count in [1, DISCARDED + 2] {
        let (_slab, mut stacks) = slab(shape(256 << 10), count as u32);
        for stack in &stacks {
            for below in [1, 200 << 10] {
                // SAFETY: inside the test's own stack.
                unsafe { byte(stack, below).write_volatile(7) };
            }
            assert_eq!(stack.depth(), 200 << 10);
        }
        Stack::discard_below(stacks.iter_mut(), 16 << 10);
        for stack in &stacks {
            assert_eq!(stack.depth(), page_size());
            // SAFETY: as above.
            let read = [1, 200 << 10].map(|below| unsafe { byte(stack, below).read_volatile() });
            assert_eq!(read, [7, 0]);
        }
    }
}

/// Returns the address so many bytes below a stack's end.
fn byte(stack: &Stack, below: usize) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut(stack.end() - below)
}

#[test]
fn absurd_sizes_are_errors() {
    for size in [usize::MAX, usize::MAX - page_size(), usize::MAX / 2] {
        assert!(Shape::new(size, Guards::Light).is_err(), "{size:#x}");
    }
    assert!(StackSlab::reserve(shape(1 << 40), u32::MAX).is_err());
}
