//! The concurrent data structures under the scheduler's verbs. They are generic and know no G, M or
//! P: each file holds one protocol, the words it is made of, and the argument why it is right;
//! `model/` checks that argument with loom.

pub(crate) mod grow;
pub(crate) mod heap;
pub(crate) mod idle;
pub(crate) mod idle_workers;
pub(crate) mod inbox;
pub(crate) mod list;
pub(crate) mod pair_arc;
pub(crate) mod parker;
pub(crate) mod revocable;
pub(crate) mod sysmon_note;
pub(crate) mod timekeeper;
pub(crate) mod timers;
