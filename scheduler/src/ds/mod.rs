//! The concurrent data structures under the scheduler's verbs. They are generic and know no G, M or
//! P: each file holds one protocol, the words it is made of, and the argument why it is right;
//! `model/` checks that argument with loom.

pub(crate) mod grow;
pub(crate) mod heap;
pub(crate) mod idle;
pub(crate) mod inbox;
pub(crate) mod list;
pub(crate) mod parker;
pub(crate) mod quiet;
pub(crate) mod roster;
pub(crate) mod shared;
pub(crate) mod table;
pub(crate) mod timekeeper;
pub(crate) mod timers;
pub(crate) mod watch;
