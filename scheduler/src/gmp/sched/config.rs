//! The settings of a runtime.

use std::time::Duration;

use gosched_runtime_sys::memory::stack::Shape;

use crate::carry::SwitchHooks;
use crate::mode::{Deadlock, Mode, Warnings};

/// The settings of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    /// The initial number of Ps.
    pub(crate) procs: usize,
    /// The shape of a stack, unless a goroutine asks for another size.
    pub(crate) stack: Shape,
    /// The most Ms that the runtime makes threads for.
    pub(crate) max_threads: usize,
    /// The most threads that `blocking` makes.
    pub(crate) max_blocking: usize,
    /// The slice that threads which run goroutines ask the system for; none: the system's.
    pub(crate) thread_slice: Option<Duration>,
    /// How much later than its deadline a timer may fire, to be served with others; in ns.
    pub(crate) timer_slack_ns: u64,
    pub(crate) deadlock: Deadlock,
    /// A thread of the process that wakes no goroutine, although the runtime does not know it.
    pub(crate) bystander: Option<i32>,
    pub(crate) warnings: Warnings,
    pub(crate) carried: SwitchHooks,
    pub(crate) name: String,
    /// What the stacks of waiting goroutines are searched for beside the known functions; none:
    /// they are not searched.
    #[cfg(feature = "check-promises")]
    #[cfg_attr(not(debug_assertions), expect(dead_code, reason = "debug builds check"))]
    pub(crate) checked: Option<Vec<String>>,
}
