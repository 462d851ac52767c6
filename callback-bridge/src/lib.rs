//! `need_m` and `drop_m`: how a thread that gosched did not create becomes a goroutine, and then a
//! plain thread again.
//!
//! # The round trip
//!
//! A C library made a thread and calls a function pointer on it. The function calls
//! [`Bridge::enter`].
//!
//! 1. **The gate** (`bridge.rs`) asks three questions. Is the runtime up? Is this still the process
//!    that built it? Is the thread a goroutine of that runtime already (Rust called C, C calls
//!    back)? `errno` is put aside.
//! 2. **`need_m`** (`enter.rs`). Pthread cancellation is switched off, and all signals are blocked.
//!    An extra M is taken from the list (`extra/list.rs`), and its goroutine is made current. If
//!    the thread has no signal stack, or one that is too small, ours is registered. Then signals
//!    are unblocked. From here on a handler on this thread finds a whole goroutine.
//! 3. **Inside.** If that was the last extra M, another is made now, where allocating is harmless.
//!    Then the callback runs inside `catch_panic` (`catch_panic.rs`). It may park: its goroutine is
//!    backed by this thread, so the thread sleeps and nobody else waits. It needs no P, so
//!    goroutines that keep every core busy do not keep it out.
//! 4. **`drop_m`**. The goroutine ends, in its turn: its locals are dropped. Signals are blocked.
//!    The signal stack is taken off, if it is still the registered one. No goroutine is current,
//!    and the M goes back to the list. Signals, cancellation and `errno` are as they were.
//!
//! With [`Binding::UntilThreadExit`], step 4 only makes no goroutine current. The M stays with the
//! thread, and so do mask and signal stack (`binding.rs`). The next call skips step 2. The end of
//! the thread does the rest of step 4.
//!
//! # What a signal handler may rely on
//!
//! At every instruction: if a goroutine is current, its M is whole and a signal stack is
//! registered; otherwise the thread is C's and nothing of ours may be touched. The order of the
//! steps above follows from this sentence alone.
//!
//! # What stands on it
//!
//! - [`Bridge::attach`] does steps 2 and 4 at two times, for hosts that have two functions for them
//!   (`bridge/attach.rs`).
//! - [`Bridge::close`] refuses calls and waits for those inside (`extra/door.rs`).
//! - [`Bridge::call`] asks a [`Service`], which goroutines serve, and waits for the reply
//!   (`bridge/slot.rs`).
//! - A [`Callback`] is a closure with a bridge of its own, as a function pointer and user data
//!   (`callback/block.rs`).
//! - A [`Mailbox`] goes into goroutines from where nobody may enter: signal handlers and real-time
//!   threads (`mailbox/queue.rs`).
//!
//! # What is refused
//!
//! [`EnterError`] lists it. A signal handler must not enter, because it may have interrupted
//! anything. It is refused where that can be seen.

mod binding;
mod bridge;
mod callback;
mod catch_panic;
mod enter;
mod error;
mod extra;
mod mailbox;
#[cfg(all(test, gosched_loom))]
mod model;

pub use bridge::{Attached, Binding, Bridge, CallError, Reply, Request, Requests, Service};
pub use callback::{
    CReturn, CType, Callback, Closure, DataAt, LocalCallback, LocalClosure, Otherwise, OwnedByC,
    Signature, kept_callbacks, leaked_callbacks,
};
pub use error::{CallCode, CloseError, EnterCode, EnterError};
pub use mailbox::{MailPoller, MailReceiver, Mailbox};
