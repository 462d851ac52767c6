//! WebAssembly on a WASI host.
//!
//! There are no signals and no other processes. The stack is the host's affair: it has no bounds
//! that a program could ask for, and code runs on no other. There is one thread. A program for
//! `wasm32-wasip1-threads` may have more, but stable code cannot tell which of the two it is
//! compiled for: every `cfg` is the same, for the feature `atomics` is hidden from it.

#[path = "../absent/affinity.rs"]
mod affinity;
#[path = "../absent/cancel.rs"]
mod cancel;
mod clock;
#[path = "../absent/fences.rs"]
mod fences;
mod futex;
#[path = "../absent/guards.rs"]
mod guards;
mod memory;
#[path = "../absent/resident.rs"]
mod resident;
#[path = "../absent/slice.rs"]
mod slice;
mod thread;
#[path = "../absent/thread_clock.rs"]
mod thread_clock;
#[path = "../absent/thread_list.rs"]
mod thread_list;

use crate::sys::StackBounds;

pub(crate) use affinity::affinity_count;
pub(crate) use cancel::{CANCEL_DISABLE, set_cancel_state};
pub(crate) use clock::monotonic_ns;
pub(crate) use fences::{fence_every_thread, register_for_fences};
pub(crate) use futex::{futex_wait, futex_wake, futex_wake_all};
pub(crate) use guards::{
    Piece, discard_all, install_guard, install_guards, piece, populate, remove_guards,
};
pub(crate) use memory::{advise_stack, discard, munlock, open, page_size, reserve, unreserve};
pub(crate) use resident::resident;
pub(crate) use slice::set_time_slice;
pub(crate) use thread::thread_id;
#[cfg(debug_assertions)]
pub(crate) use thread::thread_mark;
pub(crate) use thread_clock::{is_runnable, read_clock, thread_clock};
pub(crate) use thread_list::{each_thread, is_exiting};

/// None: a stack has no bounds that a program could ask for.
pub(crate) fn query_stack_bounds() -> Option<StackBounds> {
    None
}

/// Does nothing: a program is one module, which is never unloaded.
pub(crate) fn pin_this_library() {}
