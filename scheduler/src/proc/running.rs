//! The stretch in which user code runs on an M: visible to sysmon, `stats` and signal handlers.
//!
//! Whoever runs a goroutine's code on an M holds a [`Running`]. It is made by showing the G, and
//! what ends it, a switch or an unwinding, ceases to show the G. So there is no way to resume a G
//! that is not shown: a G that ran unseen kept its P for as long as it computed, and nobody asked
//! it to let others run.
//!
//! # Invariants
//!
//! - While a `Running` exists, the M's progress names its G, and so does the thread's `Current`.
//! - A G that is not thread-backed runs only under a `Running`, but for the time of a `Blocked`
//!   (`proc::in_place`), in which its thread sleeps or blocks and its M has no P.
//!
//! # Safety
//!
//! Which M may resume a G is the affair of `proc::run`, the one caller of [`Running::resume`].
#![expect(unsafe_code, reason = "resumes contexts")]

use gosched_runtime_sys::sync::primitive::light_fence;

use crate::ds::timers::NEVER;
use crate::gmp::current::{Current, InsideWithP};
use crate::gmp::g::{G, Runnable, Switch};
use crate::gmp::m::MOwned;
use crate::proc::wake_sysmon::{wake_sysmon, wake_sysmon_for_deadline};

/// The right to run one G's code on the M of `cx`, until it is dropped.
#[must_use = "a G that is not resumed is not to be shown"]
pub(crate) struct Running<'a> {
    cx: &'a Current,
}

impl<'a> Running<'a> {
    /// Shows `g` at the end of a whole round. Wakes sysmon if something waits behind it.
    #[inline(always)]
    pub(crate) fn in_whole_round(cx: &'a Current, inside: &mut InsideWithP, g: &G) -> Self {
        let (owned, p) = inside.split();
        let queued = p.as_ref().map_or(0, |p| p.queued());
        let first = p.as_ref().map_or(NEVER, |p| p.shared.timers.first());
        let running = Self::show(cx, owned, queued, g);
        if first != NEVER {
            wake_sysmon_for_deadline(cx.sched(), first);
        }
        running
    }

    /// Shows `g` in a fast round, in which the P has nothing queued.
    #[inline(always)]
    pub(crate) fn in_fast_round(cx: &'a Current, owned: &MOwned, g: &G) -> Self {
        Self::show(cx, owned, 0, g)
    }

    #[inline(always)]
    fn show(cx: &'a Current, owned: &MOwned, queued: usize, g: &G) -> Self {
        if Self::begin_round(cx, owned, queued, g) {
            wake_sysmon(cx.sched());
        } else {
            tell_of_inbox(cx);
        }
        Self { cx }
    }

    /// Notes that `g` begins a round. True if something waits behind it.
    #[inline(always)]
    fn begin_round(cx: &Current, owned: &MOwned, queued: usize, g: &G) -> bool {
        let settled = owned.settled_ready();
        cx.m.progress.switch_in(g, owned.inherits_slice(), settled as u32, queued as u32);
        settled + queued > 0
    }

    /// Shows `g` again, which was switched from and goes on: its commit was refused.
    pub(crate) fn again(cx: &'a Current, g: &G) -> Self {
        cx.m.progress.switch_back_in(g);
        tell_of_inbox(cx);
        Self { cx }
    }

    /// Shows the running `g` in a new round, which it begins without a switch.
    #[inline(always)]
    pub(crate) fn renew(cx: &Current, owned: &MOwned, g: &G) {
        // It was shown all the time, so sysmon sees what came into the inbox.
        if Running::begin_round(cx, owned, 0, g) {
            wake_sysmon(cx.sched());
        }
    }

    /// Resumes `g` until it gives the M back. Returns why, or `None` if it has ended.
    ///
    /// # Safety
    ///
    /// This M may resume `g`: it is migratory, or has settled here.
    #[inline(always)]
    pub(crate) unsafe fn resume(self, g: &mut Runnable) -> Option<Switch> {
        self.cx.set_g(Some(g.g()));
        let context = g.context().as_mut().expect("it has started");
        // SAFETY: this function's contract.
        unsafe { context.resume(self.cx.as_resumed()) }
    }

    /// Calls `f` as `g`, on the thread's own stack: for a G that gets none.
    pub(crate) fn run_here(self, g: &G, f: impl FnOnce()) {
        self.cx.set_g(Some(g));
        f();
    }
}

/// Wakes sysmon if something came into the inbox that the M has not seen. Called when a G has just
/// been shown.
///
/// Whoever sends to an M wakes sysmon, and sysmon looks at the inboxes of Ms that show a G. An M on
/// its way from its last look to user code shows none yet, so it looks once more when it does. By
/// the fences, this sees what was sent and that sysmon sleeps, or sysmon's last look before its
/// sleep sees the G; see `ds::sysmon_note`.
#[inline(always)]
pub(crate) fn tell_of_inbox(cx: &Current) {
    light_fence();
    if !cx.m.inbox.is_empty() {
        wake_sysmon(cx.sched());
    }
}

/// Wakes sysmon if something waits behind a G for which the thread is about to sleep or block, as
/// the M's progress says by now.
pub(crate) fn tell_of_kept(cx: &Current) {
    light_fence();
    if cx.m.progress.settled_behind() > 0 || !cx.m.inbox.is_empty() {
        wake_sysmon(cx.sched());
    }
}

impl Drop for Running<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.cx.set_g(None);
        self.cx.m.progress.switch_out();
    }
}
