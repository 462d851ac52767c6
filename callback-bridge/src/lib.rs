//! `need_m` and `drop_m`: how a thread that gosched did not create becomes a goroutine, and a plain
//! thread again.
//!
//! # The round trip
//!
//! A C library made a thread and calls a function pointer on it. Behind the pointer stands
//! [`Bridge::enter`].
//!
//! 1. **The gate** (`bridge.rs`). Is the runtime up, is this still the process that built it, is
//!    the thread perhaps a goroutine of that runtime already (Rust called C, C calls back)? `errno`
//!    is put aside.
//! 2. **`need_m`** (`enter.rs`). Pthread cancellation off; all signals blocked; an M taken from the
//!    extra list (`extra_list.rs`), its goroutine made current; a signal stack registered if the
//!    thread's own is none or too small; signals back. From here on a handler that runs on this
//!    thread finds a goroutine, whole.
//! 3. **Inside.** If that was the last extra M, another is made now, where allocating is harmless.
//!    Then the callback runs behind the panic barrier (`catch_panic.rs`). It may park: its goroutine is
//!    backed by this thread, so the thread sleeps and nobody else waits. It needs no P, so hogs on
//!    every core do not keep it out.
//! 4. **`drop_m`**. Signals blocked; the signal stack taken off, if it is still the registered one;
//!    no goroutine is current; the M back on the list; signals, cancellation and `errno` as they
//!    were.
//!
//! Or, [`Binding::UntilThreadExit`]: step 4 only says that no goroutine is current; the M stays
//! with the thread and so do mask and signal stack (`binding.rs`). The next call skips step 2. The
//! end of the thread does the rest of step 4.
//!
//! # What a signal handler may rely on
//!
//! At every instruction: if a goroutine is current, its M is whole and a signal stack is
//! registered; otherwise the thread is C's and nothing of ours may be touched. The steps above have
//! no other order than this sentence asks for.
//!
//! # What is refused
//!
//! [`EnterError`] lists it. Entering from a signal handler is against the contract, since the
//! handler may have interrupted anything; it is refused where it can be seen.

mod binding;
mod bridge;
mod catch_panic;
mod enter;
mod error;
mod extra_list;
mod extra_m;
#[cfg(all(test, gosched_loom))]
mod model;
mod process;

pub use bridge::{Binding, Bridge};
pub use error::EnterError;
