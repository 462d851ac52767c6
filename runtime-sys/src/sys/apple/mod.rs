//! macOS, iOS and their kin.
//!
//! Not here: private symbols (`__ulock_wait` and the like), which a program in the App Store may
//! not name, and `sigprocmask`, of which POSIX says nothing where there are several threads
//! (`pthread_sigmask` throughout).

#[path = "../absent/affinity.rs"]
mod affinity;
#[path = "../posix/cancel.rs"]
mod cancel;
#[path = "../posix/clock.rs"]
mod clock;
#[path = "../posix/codes.rs"]
mod codes;
#[path = "../absent/fences.rs"]
mod fences;
mod futex;
#[path = "../absent/guards.rs"]
mod guards;
#[path = "../posix/library.rs"]
mod library;
#[path = "../posix/open.rs"]
mod open;
#[path = "../posix/parking.rs"]
pub(crate) mod parking;
#[path = "../posix/memory.rs"]
mod reserve;
#[path = "../posix/resident.rs"]
mod resident;
mod semaphore;
mod signal;
#[path = "../absent/slice.rs"]
mod slice;
mod thread;
#[path = "../absent/thread_list.rs"]
mod thread_list;

/// The clock of std's `Instant`, which stands still while the machine sleeps.
const CLOCK: libc::clockid_t = libc::CLOCK_UPTIME_RAW;

/// With it, a `dlclose` too many of the host's does no harm.
const PIN_FLAGS: libc::c_int = libc::RTLD_NODELETE;

const MAP_FLAGS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANON;

/// The advice that lets the kernel take pages when it needs some. `MADV_DONTNEED` keeps what is in
/// them (madvise(2)).
const DISCARD: libc::c_int = libc::MADV_FREE;

/// `PTHREAD_CANCEL_DISABLE` of pthread.h, which is 1 elsewhere.
pub(crate) const CANCEL_DISABLE: libc::c_int = 0;

/// There is no advice to give.
pub(crate) fn advise_stack(_base: *mut std::ffi::c_void, _size: usize) {}

pub(crate) use affinity::affinity_count;
pub(crate) use cancel::set_cancel_state;
pub(crate) use clock::monotonic_ns;
pub(crate) use codes::raised_by_kernel;
pub(crate) use fences::{fence_every_thread, register_for_fences};
pub(crate) use futex::{futex_wait, futex_wake, futex_wake_all};
pub(crate) use guards::{
    Piece, discard_all, install_guard, install_guards, piece, populate, remove_guards,
};
pub(crate) use library::{in_this_library, pin_this_library};
pub(crate) use open::open;
pub(crate) use reserve::{discard, munlock, page_size, reserve, unreserve};
pub(crate) use resident::resident;
pub(crate) use signal::{
    IGNORED_BY_DEFAULT, LAST_SIGNAL, SIGNAL_STACK_FLAGS, THREADS_INHERIT_SIGNAL_STACKS,
    interrupted_stack_pointer, minimum_signal_stack,
};
pub(crate) use slice::set_time_slice;
pub(crate) use thread::{
    errno_location, is_runnable, query_stack_bounds, read_clock, thread_clock, thread_id,
};
pub(crate) use thread_list::{each_thread, is_exiting};
