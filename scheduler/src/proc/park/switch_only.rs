//! The wait that parks by a switch and nothing else.
//!
//! The plain `send` and `recv` of a channel (`chan::inline`) inline the switch into the user's
//! function. Their first half [begins](SwitchOnly::begin) the wait before the switch, their second
//! half looks for the outcome after it. Either half [takes](Parking::reborrow) the whole
//! [`Parking`] of the same wait where it needs one: to begin again, or to wait on after an early
//! return. Every other wait is a [`Parking`] from the start.
//!
//! # Safety
//!
//! A suspender comes from its goroutine's own record, and is used by code on that goroutine's
//! stack.
#![expect(unsafe_code, reason = "suspends the running G")]

use std::thread;

use super::{Parking, suspender};
use crate::ds::timers::NEVER;
use crate::gmp::current;
use crate::gmp::g::{GSuspender, Switch};
use crate::gmp::wait_reason::WaitReason;
use crate::proc::cancel;
use crate::proc::target::Target;

/// A wait of the calling goroutine that may switch, has no time limit, and carries nothing along.
///
/// It is three words, and no part of a [`Parking`], so that it stays in registers.
#[derive(Clone, Copy)]
pub(crate) struct SwitchOnly {
    target: Target,
    suspender: GSuspender,
}

/// The switch of a [`SwitchOnly`] wait.
pub(crate) struct ParkSwitch(GSuspender);

impl SwitchOnly {
    /// Begins such a wait, or returns `None` if the wait takes more than a switch. Neither
    /// allocates nor locks.
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

    /// Returns what a waker needs to wake the waiter.
    #[inline(always)]
    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// Returns the switch that parks the waiter, once its node is linked.
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
    /// It is the calling G's, on whose stack this runs, and the wait that it was made for has
    /// begun.
    #[inline(always)]
    pub(crate) unsafe fn suspend(self) {
        // SAFETY: this function's contract.
        let _resumed = unsafe { self.0.suspend(Switch::Park) };
    }
}

impl Parking {
    /// Returns the [`SwitchOnly`] wait that the calling goroutine has begun, as a whole one.
    #[cold]
    pub(crate) fn reborrow() -> Self {
        let target = Target::current().expect("a goroutine stays one");
        Self { target, busy: false, _stand_in: None }
    }
}
