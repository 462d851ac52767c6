//! Linux, with glibc and musl, and Android.
//!
//! Each part that another system lacks can be taken away here by a cfg, so that what stands in for
//! it runs with the whole suite. `docs/platforms.md` lists them.

#[cfg_attr(gosched_no_affinity, path = "../absent/affinity.rs")]
mod affinity;
#[path = "../posix/bounds.rs"]
mod bounds;
// Bionic has no cancellation: its pthread.h does not declare it.
#[cfg_attr(any(target_os = "android", gosched_no_cancel), path = "../absent/cancel.rs")]
#[cfg_attr(not(any(target_os = "android", gosched_no_cancel)), path = "cancel.rs")]
mod cancel;
#[path = "../posix/clock.rs"]
mod clock;
#[cfg_attr(target_os = "android", path = "errno_android.rs")]
mod errno;
#[cfg_attr(gosched_no_membarrier, path = "../absent/fences.rs")]
mod fences;
#[cfg_attr(gosched_no_futex, path = "../posix/parking.rs")]
mod futex;
#[cfg_attr(gosched_no_madvise_guards, path = "../absent/guards.rs")]
mod guards;
#[path = "../posix/library.rs"]
mod library;
mod memory;
#[path = "../posix/open.rs"]
mod open;
// Its tests, and its model, run where the system does not need it, too.
#[cfg(all(test, not(gosched_no_futex)))]
#[path = "../posix/parking.rs"]
pub(crate) mod parking;
#[path = "../posix/memory.rs"]
mod reserve;
#[cfg_attr(gosched_no_mincore, path = "../absent/resident.rs")]
#[cfg_attr(not(gosched_no_mincore), path = "../posix/resident.rs")]
mod resident;
#[cfg(any(test, gosched_no_futex))]
#[path = "../posix/semaphore.rs"]
mod semaphore;
mod signal;
// The libc crate has not what it needs of bionic.
#[cfg_attr(target_os = "android", path = "../absent/slice.rs")]
mod slice;
mod thread;
#[cfg_attr(gosched_no_thread_clock, path = "../absent/thread_clock.rs")]
mod thread_clock;
#[cfg_attr(gosched_no_thread_list, path = "../absent/thread_list.rs")]
mod thread_list;

/// The clock of std's `Instant`.
const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// With it, a `dlclose` too many of the host's does no harm.
const PIN_FLAGS: libc::c_int = libc::RTLD_NODELETE;

pub(crate) use affinity::affinity_count;
pub(crate) use cancel::{CANCEL_DISABLE, set_cancel_state};
pub(crate) use clock::monotonic_ns;
pub(crate) use errno::errno_location;
pub(crate) use fences::{fence_every_thread, register_for_fences};
pub(crate) use futex::{futex_wait, futex_wake, futex_wake_all};
pub(crate) use guards::{
    Piece, discard_all, install_guard, install_guards, piece, populate, remove_guards,
};
pub(crate) use library::{in_this_library, pin_this_library};
pub(crate) use memory::advise_stack;
use memory::{DISCARD, MAP_FLAGS};
pub(crate) use open::open;
pub(crate) use reserve::{discard, munlock, page_size, reserve, unreserve};
pub(crate) use resident::resident;
pub(crate) use signal::{
    IGNORED_BY_DEFAULT, LAST_SIGNAL, SIGNAL_STACK_FLAGS, THREADS_INHERIT_SIGNAL_STACKS,
    interrupted_stack_pointer, minimum_signal_stack, raised_by_kernel,
};
pub(crate) use slice::set_time_slice;
pub(crate) use thread::{query_stack_bounds, thread_id};
pub(crate) use thread_clock::{is_runnable, read_clock, thread_clock};
pub(crate) use thread_list::{each_thread, is_exiting};
