//! What acts on the state: events, the loop of an M, operations, waking, sysmon. The functions take
//! the world and the number of the M or G.
//!
//! Begin with `events`, then `run`.

mod admission;
mod apart;
mod blocking;
pub(crate) mod events;
mod find;
mod hand_over;
mod ops;
mod run;
pub(crate) mod set_procs;
pub(crate) mod spawn;
pub(crate) mod sysmon;
mod timers;
mod wake;
