//! Picks the operating system. The list of what each has to give stands at the head of the crate.

#[path = "linux/mod.rs"]
#[cfg(target_os = "linux")]
mod os;
#[path = "unsupported.rs"]
#[cfg(not(target_os = "linux"))]
mod os;

mod stack_bounds;

pub(crate) use os::*;
pub use stack_bounds::StackBounds;
