//! Picks the operating system. The head of the crate lists what each system has to provide.

#[path = "linux/mod.rs"]
#[cfg(target_os = "linux")]
mod os;
#[path = "unsupported.rs"]
#[cfg(not(target_os = "linux"))]
mod os;

mod stack_bounds;

pub(crate) use os::*;
pub use stack_bounds::StackBounds;
