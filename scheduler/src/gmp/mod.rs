//! What there is: goroutines (G), machines (M), processors (P), and the runtime that holds them.
//!
//! This room holds state and its invariants. [`proc`](crate::proc) acts on that state, and
//! [`policy`](crate::policy) decides about it. Nothing here switches stacks, and only [`body`]
//! calls user code.
//!
//! A type belongs here if it is a part of G, M, P or the runtime and several verbs share it. A
//! structure that knows no G, M or P belongs to [`ds`](crate::ds).
//!
//! Begin with [`g`], [`m`] and [`p`], then [`dispatch`] (which M has which P), then [`sched`] (one
//! runtime). [`current`] holds the calling thread's M, runtime and G. The pools ([`slab`],
//! [`stack_pool`], [`thread_pool`], [`blocking_pool`], [`thread_maker`]) keep what the next
//! goroutine needs.

pub(crate) mod admission;
pub(crate) mod all_ps;
pub(crate) mod apart;
pub(crate) mod blocking_pool;
pub(crate) mod body;
pub(crate) mod call_sites;
pub(crate) mod current;
pub(crate) mod dispatch;
pub(crate) mod g;
pub(crate) mod g_queue;
pub(crate) mod m;
pub(crate) mod names;
pub(crate) mod own_threads;
pub(crate) mod p;
pub(crate) mod progress;
pub(crate) mod sched;
pub(crate) mod slab;
pub(crate) mod stack_pool;
pub(crate) mod thread_g;
pub(crate) mod thread_locks;
pub(crate) mod thread_maker;
pub(crate) mod thread_pool;
pub(crate) mod wait_ages;
pub(crate) mod wait_reason;
