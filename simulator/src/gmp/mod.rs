//! The state: goroutines, Ms, Ps, and the world that holds them. `proc` acts on it; its functions
//! take the world as a parameter.
//!
//! Begin with `world`.

pub(crate) mod apart;
pub(crate) mod dispatch;
pub(crate) mod g;
pub(crate) mod m;
pub(crate) mod sysmon;
pub(crate) mod world;
