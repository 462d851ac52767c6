//! Windows.
//!
//! It has no signals: the rooms `signal` and `thread` take what
//! stands in for them from `sys/absent`, or from here what Windows has in their place.
//!
//! Traps that are no part's own:
//!
//! - `FlushProcessWriteBuffers` would be the fence on every thread. Wine, which is what the tests
//!   run on, accepts the call and fences nothing before its release 9. So both sides fence here.
//! - `GetThreadTimes` counts in ticks of 15 ms: a thread that computes would look blocked for as
//!   long as a slice is. So no thread's clock or state is asked, and no handle to a thread is kept.
//! - A list of the process's threads is a snapshot of the whole system, and is allocated.

#[path = "../absent/affinity.rs"]
mod affinity;
#[path = "../absent/cancel.rs"]
mod cancel;
mod clock;
pub(crate) mod exit;
#[path = "../absent/fences.rs"]
mod fences;
mod futex;
#[path = "../absent/guards.rs"]
mod guards;
mod library;
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

pub(crate) use affinity::affinity_count;
pub(crate) use cancel::{CANCEL_DISABLE, set_cancel_state};
pub(crate) use clock::monotonic_ns;
pub(crate) use fences::{fence_every_thread, register_for_fences};
pub(crate) use futex::{futex_wait, futex_wake, futex_wake_all};
pub(crate) use guards::{
    Piece, discard_all, install_guard, install_guards, piece, populate, remove_guards,
};
pub(crate) use library::pin_this_library;
pub(crate) use memory::{advise_stack, discard, munlock, open, page_size, reserve, unreserve};
pub(crate) use resident::resident;
pub(crate) use slice::set_time_slice;
pub(crate) use thread::{query_stack_bounds, thread_id};
pub(crate) use thread_clock::{is_runnable, read_clock, thread_clock};
pub(crate) use thread_list::{each_thread, is_exiting};
