//! What there is: goroutines, Ms, Ps, and the world that holds them. What happens to it is in
//! `proc`, whose functions are given the world.
//!
//! Begin with `world`.

pub(crate) mod dispatch;
pub(crate) mod g;
pub(crate) mod m;
pub(crate) mod sysmon;
pub(crate) mod world;
