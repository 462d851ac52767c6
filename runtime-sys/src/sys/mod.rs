//! Picks the operating system. The head of the crate lists what each system has to provide.
//!
//! | folder | what it holds |
//! |---|---|
//! | `posix` | what several systems share, each part once |
//! | `absent` | what stands in for a part that a system lacks |
//! | one for each system | the rest, and which of the parts the system has |

#[path = "linux/mod.rs"]
#[cfg(any(target_os = "linux", target_os = "android"))]
mod os;
#[path = "apple/mod.rs"]
#[cfg(target_vendor = "apple")]
mod os;
#[path = "freebsd/mod.rs"]
#[cfg(target_os = "freebsd")]
mod os;
#[path = "dragonfly/mod.rs"]
#[cfg(target_os = "dragonfly")]
mod os;
#[path = "netbsd.rs"]
#[cfg(target_os = "netbsd")]
mod os;
#[path = "openbsd/mod.rs"]
#[cfg(target_os = "openbsd")]
mod os;
#[path = "solarish.rs"]
#[cfg(any(target_os = "illumos", target_os = "solaris"))]
mod os;
#[path = "windows/mod.rs"]
#[cfg(windows)]
mod os;
#[path = "wasi/mod.rs"]
#[cfg(target_os = "wasi")]
mod os;
#[path = "unsupported.rs"]
#[cfg(not(any(
    windows,
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "illumos",
    target_os = "solaris",
    target_os = "wasi"
)))]
mod os;

#[cfg_attr(windows, path = "windows/overflow.rs")]
#[cfg_attr(not(windows), path = "absent/overflow.rs")]
mod overflow;
#[cfg_attr(windows, path = "windows/process.rs")]
#[cfg_attr(target_os = "wasi", path = "wasi/process.rs")]
#[cfg_attr(not(any(windows, target_os = "wasi")), path = "posix/process.rs")]
mod process;
#[cfg_attr(target_arch = "x86_64", path = "prefetch/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "prefetch/aarch64.rs")]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), path = "prefetch/none.rs")]
mod processor;
mod stack_bounds;

pub(crate) use os::*;
pub(crate) use overflow::{HANDLER_ROOM, make_handler_room, make_own_handler_room};
#[cfg(debug_assertions)]
pub(crate) use process::thread_mark;
pub(crate) use process::{abort, at_fork, end_process, write_some};
pub(crate) use processor::prefetch;
pub use stack_bounds::StackBounds;
