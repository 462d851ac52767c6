//! What there is: goroutines (G), machines (M), processors (P), and the runtime that holds them.
//!
//! State and its invariants live here. What happens to that state is in [`proc`](crate::proc), what
//! is decided about it in [`policy`](crate::policy). Nothing here waits, switches stacks or calls
//! user code; a wake-up that follows from a change of state is returned to the caller.
//!
//! A type may enter when it is a part of G, M, P or the runtime that several verbs share. A
//! structure that knows no G, M or P belongs to [`ds`](crate::ds).
//!
//! Begin with [`g`], [`m`] and [`p`], then [`dispatch`] (which M has which P), then [`sched`] (one
//! runtime). [`current`] tells a thread where it is. The pools ([`slab`], [`stack_pool`],
//! [`thread_pool`], [`blocking_pool`]) keep what the next goroutine needs.

pub(crate) mod admission;
pub(crate) mod all_ps;
pub(crate) mod blocking_pool;
pub(crate) mod body;
pub(crate) mod current;
pub(crate) mod dispatch;
pub(crate) mod g;
pub(crate) mod g_queue;
pub(crate) mod m;
pub(crate) mod names;
pub(crate) mod p;
pub(crate) mod progress;
pub(crate) mod sched;
pub(crate) mod slab;
pub(crate) mod stack_pool;
pub(crate) mod thread_g;
pub(crate) mod thread_pool;
pub(crate) mod wait_reason;
