//! Errors where limits of the process are reached.

use super::*;

#[test]
fn running_out_of_address_space_is_an_error() {
    Child::run("memory::stack::tests::limits::running_out_of_address_space_is_an_error", || {
        crate::testing::limit_address_space(64 << 20);
        let error = StackSlab::reserve(shape(1 << 30), 1).expect_err("more than there is");
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
        drop(slab(shape(64 << 10), 2));
    })
    .assert_success();
}

#[test]
fn running_out_of_memory_to_open_is_an_error_and_the_place_is_kept() {
    Child::run(
        "memory::stack::tests::limits::\
         running_out_of_memory_to_open_is_an_error_and_the_place_is_kept",
        || {
            let mut slab =
                StackSlab::reserve(shape(1 << 20), 256).expect("closed, it counts as no memory");
            // This limit refuses at the same point as strict accounting.
            crate::testing::limit_data(64 << 20);
            let mut stacks = Vec::with_capacity(256);
            let mut unopened = slab.take_unopened(256).expect("a fresh slab");
            let error = unopened.open(&mut stacks).expect_err("more than there is");
            assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
            assert!((1..100).contains(&stacks.len()), "{}", stacks.len());
            slab.put_back(&mut unopened);
            assert_eq!((slab.out() as usize, slab.idle()), (stacks.len(), 0));
            let first = stacks.pop().expect("some");
            slab.push(first).expect("its own");
            assert!(
                slab.pop().is_some() && slab.pop().is_none(),
                "what is closed does not come out as a stack"
            );
            let mut again = slab.take_unopened(16).expect("it was put back");
            assert!(again.open(&mut stacks).is_err());
            slab.put_back(&mut again);
        },
    )
    .assert_success();
}

#[test]
fn closed_guards_end_at_the_limit_of_mappings_with_an_error() {
    Child::run(
        "memory::stack::tests::limits::closed_guards_end_at_the_limit_of_mappings_with_an_error",
        || {
            // More than fit into the usual limit on mappings.
            let mut slab =
                StackSlab::reserve(Shape::new(0, Guards::Closed).expect("a shape"), 40_000)
                    .expect("a slab");
            let mut stacks = Vec::with_capacity(40_000);
            let mut unopened = slab.take_unopened(40_000).expect("a fresh slab");
            let outcome = unopened.open(&mut stacks);
            let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("limit");
            let expect_error =
                limit.trim().parse::<usize>().expect("number") < 2 * stacks.capacity();
            assert_eq!(
                outcome.err().and_then(|error| error.raw_os_error()),
                expect_error.then_some(libc::ENOMEM)
            );
            slab.put_back(&mut unopened);
        },
    )
    .assert_success();
}

#[test]
fn with_all_future_memory_locked_only_what_is_touched_is_memory() {
    Child::run(
        "memory::stack::tests::limits::\
         with_all_future_memory_locked_only_what_is_touched_is_memory",
        || {
            // SAFETY: concerns this process, a child.
            assert_eq!(unsafe { libc::mlockall(libc::MCL_FUTURE) }, 0);
            let before = crate::testing::resident();
            match StackSlab::reserve(shape(1 << 20), 64) {
                Ok(mut slab) => {
                    let mut stacks = Vec::new();
                    slab.take_unopened(64)
                        .expect("a fresh slab")
                        .open(&mut stacks)
                        .expect("guards, too");
                    let grown = crate::testing::resident() - before;
                    assert!(grown < 8 << 20, "{grown} bytes");
                    assert_eq!(stacks[0].depth(), 0);
                }
                // Without the right to lock that much, the system says so.
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EAGAIN)),
            }
        },
    )
    .assert_success();
}
