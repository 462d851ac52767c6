//! The operating system's part of `gosched`. It has signal masks, signal stacks, handlers and their
//! chaining, and a thread-exit hook. It has stack bounds, stack memory, the context switch, and the
//! note that a thread sleeps on. This crate knows no G, M or P.
//!
//! It is an implementation detail of the `gosched` facade; its API follows the needs of the crates
//! above it.
//!
//! # Where to begin
//!
//! | room | what it holds |
//! |---|---|
//! | `sys` | what only this operating system has; the rest of the crate is POSIX |
//! | [`clock`], [`errno`] | a number each: the monotonic clock, the thread's `errno` |
//! | [`sync`] | how threads wait for each other: futex, note, lock; the seam to loom |
//! | [`memory`] | stacks, and the switch between them |
//! | [`signal`] | masks, signal stacks, handlers and their chaining |
//! | [`thread`] | the calling thread: thread-locals, bounds, its making and its end |
//!
//! A room uses the rooms above it in this list and none below.
//!
//! # The seam to another operating system
//!
//! Everything here is written against the private module `sys`, and the room [`signal`] against
//! POSIX signals beside it. `sys` has a file or folder for each system, or family of them. It is a
//! list of parts: those that several systems share are in `sys/posix`, and what stands in for a
//! part that a system lacks is in `sys/absent`. A system that is not POSIX also replaces whole
//! modules of the rooms, on their `mod` lines: `errno`, `thread::exit`, and those of [`signal`]. To
//! port the crate, write one more such list, and add one line to `sys/mod.rs`. What was verified on
//! which system, `docs/platforms.md` says.
//!
//! | function or constant | what it has to do |
//! |---|---|
//! | `futex_wait(word, expected, timeout) -> bool` | sleep while `*word == expected`; false when the timeout passed; may return early |
//! | `futex_wake(address)` | wake one sleeper on that address; must not read the memory behind it; async-signal-safe |
//! | `futex_wake_all(address)` | wake all of them, likewise |
//! | `monotonic_ns() -> u64` | the clock that std's `Instant` runs by, async-signal-safe |
//! | `errno_location()` | the calling thread's `errno`, async-signal-safe |
//! | `write_some(bytes) -> Option<usize>`, `abort()`, `end_process(code)` | last words, and two ends, async-signal-safe |
//! | `at_fork(hook) -> io::Result<()>` | have a hook called in each forked child |
//! | `thread_mark() -> usize` | in debug builds: a number that no other live thread has |
//! | `HANDLER_ROOM`, `make_handler_room(limit)`, `make_own_handler_room()` | memory below a stack, where its overflow is handled on the stack itself |
//! | `each_thread(f) -> bool` | calls `f` with the number of each thread of the process, until it returns false; true if it never did |
//! | `is_exiting(thread) -> bool` | true if that thread of the process has ended or runs no code of it any more |
//! | `thread_id() -> i32` | the system's number of the calling thread |
//! | `affinity_count() -> Option<usize>` | how many CPUs the calling thread may run on, quotas aside |
//! | `query_stack_bounds() -> Option<StackBounds>` | where the calling thread's stack lies |
//! | `minimum_signal_stack() -> usize` | the least the kernel needs to deliver a signal, async-signal-safe |
//! | `interrupted_stack_pointer(context) -> Option<usize>` | the stack pointer that a signal interrupted, async-signal-safe |
//! | `raised_by_kernel(code) -> bool` | whether an `si_code` is the kernel's own, and no program's |
//! | `in_this_library(function) -> bool` | whether a function's address lies in the object file of this code |
//! | `pin_this_library()` | keep that object file loaded until the process ends |
//! | `LAST_SIGNAL` | the greatest signal number |
//! | `IGNORED_BY_DEFAULT` | the signals that do nothing without a handler |
//! | `SIGNAL_STACK_FLAGS` | `sigaltstack` flags besides `SS_DISABLE` that have to survive a query and a restore |
//! | `THREADS_INHERIT_SIGNAL_STACKS` | whether a registered signal stack may be another thread's |
//! | `set_cancel_state(state) -> c_int`, `CANCEL_DISABLE` | `pthread_setcancelstate`, where the thread can be cancelled |
//! | `thread_clock() -> Option<u32>`, `read_clock(clock) -> Option<u64>` | the calling thread's CPU clock, and another thread's reading of it |
//! | `set_time_slice(ns)` | ask for slices of that length for the calling thread, not for its children; or do nothing |
//! | `is_runnable(thread) -> Option<bool>` | whether another thread of the process runs or waits for a core only |
//! | `register_for_fences() -> bool`, `fence_every_thread() -> bool` | a full fence on every thread of the process; false where there is no such call |
//! | `reserve(size)`, `unreserve(base, size)`, `page_size()` | closed memory for stacks, and its end |
//! | `open(base, size)` | make closed memory readable and writable |
//! | `advise_stack(base, size)` | what the memory of a stack should be told |
//! | `munlock(base, size)` | undo what locking all future memory did to a fresh mapping |
//! | `install_guard(base, size)` | make every access a fault without a mapping; an error where that does not exist |
//! | `install_guards(pieces) -> bool`, `populate(pieces)` | the same for several at a time, or false; and have their pages there ahead, or do nothing |
//! | `discard(base, size)` | give pages back, keep the address space |
//! | `discard_all(pieces) -> bool` | the same for several pieces at a time, or false |
//! | `resident(base, pages) -> bool` | which pages are in memory; false where the system does not say |
//! | `prefetch(address)` | by processor: fetch a line ahead, or do nothing |

pub mod clock;
#[cfg_attr(windows, path = "sys/windows/last_error.rs")]
#[cfg_attr(not(any(unix, windows)), path = "sys/wasi/errno.rs")]
pub mod errno;
pub mod memory;
pub mod signal;
pub mod sync;
mod sys;
pub mod thread;

#[cfg(all(test, gosched_loom))]
mod model;
#[cfg(all(test, any(unix, windows)))]
#[cfg_attr(windows, path = "sys/windows/testing.rs")]
mod testing;
