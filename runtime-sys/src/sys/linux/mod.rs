//! Linux. Tested with glibc; musl has the same calls but is untested.

mod futex;
mod library;
mod memory;
mod signal;
mod slice;
mod thread;

pub(crate) use futex::{futex_wait, futex_wake, futex_wake_all};
pub(crate) use library::{in_this_library, pin_this_library};
pub(crate) use memory::{
    MAP_FLAGS, advise_stack, discard, install_guard, install_guards, munlock, populate,
    remove_guards,
};
pub(crate) use signal::{
    LAST_SIGNAL, SIGNAL_STACK_FLAGS, interrupted_stack_pointer, minimum_signal_stack,
};
pub(crate) use slice::set_time_slice;
pub(crate) use thread::{
    CANCEL_DISABLE, affinity_count, each_thread, errno_location, fence_every_thread, is_exiting,
    is_runnable, query_stack_bounds, read_clock, register_for_fences, set_cancel_state,
    thread_clock, thread_id,
};
