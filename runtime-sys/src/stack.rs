//! Memory for a goroutine's stack.
//!
//! One mapping each, with a guard page below: an overflow faults instead of writing into a neighbour. The kernel's limit on
//! mappings (65,530 by default, two for each stack) is an error of [`Stack::new`], not an abort.

use crate::mapping::Mapping;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

/// Less than this does not carry a panic's message to the terminal.
const MINIMUM: usize = 16 << 10;

/// Bytes at the upper end of each stack that belong to its owner, not to what runs on it: in the page that is touched anyhow.
pub const HEAD: usize = 256;

/// How a head is aligned.
pub const HEAD_ALIGN: usize = 64;

/// A stack that nobody runs on, or that its owner keeps alive while somebody does.
#[derive(Debug)]
pub struct Stack {
    mapping: Mapping,
}

impl Stack {
    /// Maps a stack of at least `size` bytes (and at least 16 KiB), in whole pages; the guard comes on top. Only address
    /// space is taken, pages are committed as they are touched.
    pub fn new(size: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::with_guard(size.max(MINIMUM))? })
    }

    /// One past the highest usable address: where the stack begins.
    pub fn top(&self) -> usize {
        self.head().addr().get()
    }

    /// [`HEAD`] bytes for the owner of the stack, uninitialised.
    pub fn head(&self) -> NonNull<u8> {
        let end = self.mapping.usable().wrapping_byte_add(self.mapping.size());
        NonNull::new(end.wrapping_byte_sub(HEAD)).expect("a mapping does not end at address zero").cast()
    }

    /// The lowest usable address.
    pub fn limit(&self) -> usize {
        self.mapping.usable().addr()
    }

    /// The guard below [`Stack::limit`]: a fault at one of these addresses is an overflow of this stack.
    pub fn guard(&self) -> Range<usize> {
        self.mapping.guard()
    }

    /// Bytes between the guard and the end, the head included.
    pub fn size(&self) -> usize {
        self.mapping.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::page_size;
    use crate::testing::{Child, permissions_at};

    #[test]
    fn sizes_are_rounded_up() {
        assert_eq!(Stack::new(0).expect("stack").size(), MINIMUM.next_multiple_of(page_size()));
        let stack = Stack::new((256 << 10) + 1).expect("stack");
        assert_eq!(stack.size(), (256 << 10) + page_size());
        assert_eq!(stack.top() + HEAD - stack.limit(), stack.size());
        assert_eq!(stack.top() % 16, 0);
    }

    #[test]
    fn a_guard_lies_right_below() {
        let stack = Stack::new(64 << 10).expect("stack");
        assert_eq!((stack.guard().end, stack.guard().len()), (stack.limit(), page_size()));
        assert_eq!(permissions_at(stack.guard().start), "---p");
        assert_eq!(permissions_at(stack.limit() - 1), "---p");
        assert_eq!(permissions_at(stack.limit()), "rw-p");
        assert_eq!(permissions_at(stack.top() - 1), "rw-p");
    }

    #[test]
    fn absurd_sizes_are_errors() {
        for size in [usize::MAX, usize::MAX - page_size(), usize::MAX / 2] {
            assert!(Stack::new(size).is_err(), "{size:#x}");
        }
    }

    #[test]
    fn running_out_of_address_space_is_an_error() {
        Child::run("stack::tests::running_out_of_address_space_is_an_error", || {
            crate::testing::limit_address_space(64 << 20);
            let error = Stack::new(1 << 30).expect_err("more than there is");
            assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
            drop(Stack::new(64 << 10).expect("a failure takes nothing"));
        })
        .assert_success();
    }

    #[test]
    fn running_out_of_mappings_is_an_error() {
        Child::run("stack::tests::running_out_of_mappings_is_an_error", || {
            // More than the default limit on mappings has room for.
            let mut stacks = Vec::with_capacity(40_000);
            let outcome = (0..40_000).try_for_each(|_| Stack::new(0).map(|stack| stacks.push(stack)));
            let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("limit");
            let expect_error = limit.trim().parse::<usize>().expect("number") < 2 * stacks.capacity();
            stacks.truncate(8);
            assert_eq!(outcome.err().and_then(|error| error.raw_os_error()), expect_error.then_some(libc::ENOMEM));
            drop(Stack::new(0).expect("a failure takes nothing"));
        })
        .assert_success();
    }
}
