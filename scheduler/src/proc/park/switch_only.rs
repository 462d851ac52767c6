//! The wait that takes no more than to switch.
//!
//! # Safety
//!
//! What suspends a goroutine comes from its own record, and is handed to who runs on its stack.
#![expect(unsafe_code, reason = "suspends the running G")]

use std::thread;

use super::{Parking, suspender};
use crate::ds::timers::NEVER;
use crate::gmp::current;
use crate::gmp::g::{GSuspender, Switch};
use crate::gmp::wait_reason::WaitReason;
use crate::proc::cancel;
use crate::proc::target::Target;

/// A wait of the calling goroutine that parks by a switch and nothing else: it may switch, has no
/// limit, and carries nothing along. (Three words, and no part of a [`Parking`]: it stays in
/// registers.)
#[derive(Clone, Copy)]
pub(crate) struct SwitchOnly {
    target: Target,
    suspender: GSuspender,
}

/// The switch of a [`SwitchOnly`] wait.
pub(crate) struct ParkSwitch(GSuspender);

impl SwitchOnly {
    /// Begins one, if that is all it takes; else there is none. Neither allocates nor locks.
    #[inline(always)]
    pub(crate) fn begin(why: WaitReason) -> Option<Self> {
        current::with(|cx| {
            let cx = cx?;
            let (g, sched) = (cx.g()?, cx.sched());
            let suspender = suspender(g, thread::panicking() || cx.m.in_scheduler())?;
            if cancel::limit(g) != NEVER || !sched.config.carried.is_empty() {
                return None;
            }
            g.parker.prepare();
            g.set_wait_reason(why);
            Some(Self { target: Target { g: g.into(), sched }, suspender })
        })
    }

    /// Who has to be woken.
    #[inline(always)]
    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// What suspends it, once it waits.
    #[inline(always)]
    pub(crate) fn switch(&self) -> ParkSwitch {
        ParkSwitch(self.suspender)
    }
}

impl ParkSwitch {
    /// Parks. May return early; does not unwind.
    ///
    /// # Safety
    ///
    /// It is the calling G's, on whose stack this runs, and the wait for which it was made has
    /// begun.
    #[inline(always)]
    pub(crate) unsafe fn suspend(self) {
        // SAFETY: this function's contract.
        let _resumed = unsafe { self.0.suspend(Switch::Park) };
    }
}

impl Parking {
    /// The [`SwitchOnly`] wait that the calling goroutine has begun.
    #[cold]
    pub(crate) fn reborrow() -> Self {
        let target = Target::current().expect("a goroutine stays one");
        Self { target, busy: false, _stand_in: None }
    }
}
