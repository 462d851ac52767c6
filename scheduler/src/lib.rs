//! The goroutine scheduler of `gosched`: g, m, p, and the verbs on them. Use it through the
//! `gosched` package.
//!
//! The modules, lowest first; a module uses those above it in this list and nothing below:
//!
//! | module | what |
//! |---|---|
//! | `ds` | structures without G, M or P: parker, table, idle counts, inbox, list, roster, timers, watch |
//! | `policy` | what is decided, as pure functions |
//! | `pulse`, `crowd` | what an M shows of itself; how new Gs are let in |
//! | `mode`, `why`, `carry`, `cancelled` | what the builder of a runtime said; what a goroutine may wait for, and carries along |
//! | `events` | what a runtime says of itself, and to whom |
//! | `body` | what a goroutine runs, and how that begins |
//! | `g`, `g_queue` | one goroutine; queues of them |
//! | `stack_pool`, `slab` | stacks and records that wait for their next goroutine |
//! | `p` | the right to run Gs and the queues that go with it |
//! | `dispatch` | which M has which P; the line |
//! | `m` | one thread that runs Gs |
//! | `thread_pool`, `blocking_pool`, `sched` | one runtime: what its Ms and Ps share |
//! | `current`, `thread_g`, `dump` | the calling thread's place; Gs that are threads; all Gs |
//! | `proc` | the verbs: wake, timers, find, run, park, spawn, attach, shutdown |
//! | `sysmon`, `report` | who takes a P from an M that keeps it too long, and what is told of that |
//! | `thread_stack` | the stack under the calling code |
//! | `waiter` | the wait queue under everything that blocks |
//! | `local`, `blocking`, `cancel`, `time`, `join`, `go`, `scope`, `future`, `chan`, `sync` | what users call |
//! | `fault`, `signal`, `runtime`, `goroutine`, `embed` | the edges |

mod alarm;
mod blocking;
mod blocking_pool;
mod body;
mod cancelled;
mod carry;
mod crowd;
mod current;
mod dispatch;
mod ds;
mod dump;
mod events;
mod fault;
mod g;
mod g_queue;
mod go;
mod join;
mod m;
mod mode;
mod names;
mod p;
mod policy;
mod proc;
mod procs;
mod pulse;
mod report;
mod runtime;
mod sched;
mod scope;
mod slab;
mod stack_pool;
mod stats;
mod sysmon;
mod thread_g;
mod thread_pool;
mod thread_stack;
mod waiter;
mod why;

pub mod cancel;
pub mod chan;
#[doc(hidden)]
pub mod embed;
pub mod future;
pub mod goroutine;
pub mod local;
pub mod signal;
pub mod sync;
pub mod time;

pub use blocking::blocking;
pub use body::NotStarted;
pub use cancel::{CancelScope, Cancelled};
pub use carry::Carry;
pub use dump::{Dump, Snapshot, StackUse, State, dump};
pub use go::{current_id, go, go_migratory};
pub use join::JoinHandle;
pub use mode::{Deadlock, Mode};
pub use proc::lock_thread::{ThreadLock, lock_thread};
pub use proc::park::yield_now;
pub use runtime::{
    Builder, DEFAULT_MAX_THREADS, DEFAULT_STACK_SIZE, DROP_GRACE, Handle, Runtime, ShutdownError,
    run,
};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use stack_pool::StackStats;
pub use stats::Stats;
pub use thread_stack::{on_thread_stack, stack_remaining, stack_used};

#[cfg(all(test, gosched_loom))]
mod model;
