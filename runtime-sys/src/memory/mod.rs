//! Memory for stacks, and the switch between stacks.
//!
//! | module | what it holds |
//! |---|---|
//! | `mapping` | pages |
//! | `guarded` | one piece of memory with a guard below it: a signal stack |
//! | `reservation` | address space that is opened piece by piece: a slab of stacks |
//! | [`stack`] | goroutines' stacks, many in one reservation |
//! | [`context`] | what runs on such a stack: resume and suspend |
//! | [`prefetch`] | a hint to the processor, before memory is needed |
//!
//! What may enter: code that owns addresses. `scheduler/src` decides which goroutine gets which
//! stack, and when the stack is given back. Begin with `stack.rs`, whose head has the picture; then
//! `context.rs`.

#[cfg_attr(not(any(unix, windows)), path = "no_context.rs")]
pub mod context;
#[cfg(all(unix, not(gosched_no_signals)))]
pub(crate) mod guarded;
pub(crate) mod mapping;
pub mod prefetch;
pub(crate) mod reservation;
pub mod stack;
