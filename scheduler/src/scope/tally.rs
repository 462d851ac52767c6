//! How many goroutines of a scope or group are left, and who waits for that to change.
//!
//! # Safety
//!
//! The lists lie under the tally's lock, which nothing replaces. Who waits in one holds the tally.
#![expect(unsafe_code, reason = "waits in the tally's lists")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Waker;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::mutated;

use crate::gmp::wait_reason::WaitReason;
use crate::join::OnEnd;
use crate::proc::target::Target;
use crate::wait::park::Park;
use crate::wait::parked::{self, Look, WaitIn, WaitedFor, wait_for};
use crate::wait::waiter::{Popped, Unpark, WaitList};

/// The number of children that are left, the parent that waits for their end, and newcomers that
/// wait for a place.
pub(crate) struct Tally<K: Unpark = Target> {
    state: Mutex<Remaining<K>>,
    /// The number of children that panicked and whose payload nobody has.
    unjoined_panics: AtomicUsize,
}

struct Remaining<K: Unpark> {
    left: usize,
    parent: WaitList<(), K>,
    /// The waker of the task that waits for the end of all.
    waker: Option<Waker>,
    /// Those who would make a child, and wait until fewer are left. They are handed the places of
    /// children that end, so somebody is here only while all places are taken.
    newcomers: WaitList<(), K>,
}

impl<K: Unpark> Remaining<K> {
    fn parent(&mut self) -> &mut WaitList<(), K> {
        &mut self.parent
    }

    fn newcomers(&mut self) -> &mut WaitList<(), K> {
        &mut self.newcomers
    }

    /// Counts a child if fewer than `limit` are left.
    fn count_below(&mut self, limit: usize) -> bool {
        let has_room = self.left < limit;
        self.left += usize::from(has_room);
        has_room
    }
}

impl<K: Unpark> Tally<K> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(Remaining {
                left: 0,
                parent: WaitList::new(),
                waker: None,
                newcomers: WaitList::new(),
            }),
            unjoined_panics: AtomicUsize::new(0),
        }
    }

    /// Counts a child.
    #[inline]
    pub(crate) fn up(&self) {
        self.state.lock().left += 1;
    }

    /// Counts a child if fewer than `limit` are left.
    #[inline]
    pub(crate) fn try_up(&self, limit: usize) -> bool {
        self.state.lock().count_below(limit)
    }

    /// Counts a child, once fewer than `limit` are left.
    ///
    /// The place of a child that ends is handed to the caller that has waited longest. A caller
    /// that was handed one has it, whatever cancels the caller meanwhile.
    pub(crate) fn up_below<P: Park<Target = K>>(&self, limit: usize, begin: impl FnOnce() -> P) {
        let look = |state: &mut Remaining<K>| {
            if state.count_below(limit) { Look::Done(()) } else { Look::Wait(None) }
        };
        let place = WaitIn::behind(Remaining::newcomers);
        // SAFETY: see the file's head. The closure does nothing.
        match unsafe { wait_for(&self.state, place, begin, None, look, || None) } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => {}
            WaitedFor::TimedOut => unreachable!("there is no deadline"),
            WaitedFor::Cancelled(parking) => parking.raise(),
        }
    }

    /// Uncounts a child of which nothing is left. The longest waiting newcomer has its place; if
    /// none waits, the last child wakes the parent.
    #[inline]
    pub(crate) fn down(&self) {
        let mut state = self.state.lock();
        if let Some(newcomer) = state.newcomers.pop() {
            let wake = newcomer.finish();
            if mutated("scope.place_is_free_again") {
                state.left -= 1;
            }
            drop(state);
            wake.now();
            return;
        }
        state.left -= 1;
        let last = state.left == 0 && !mutated("scope.last_wakes_nobody");
        let wake = if last { state.parent.pop().map(Popped::finish) } else { None };
        let waker = if last { state.waker.take() } else { None };
        drop(state);
        if let Some(wake) = wake {
            wake.now();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until no child is left. A cancel of the caller does not end the wait.
    pub(crate) fn wait<P: Park<Target = K>>(&self, begin: impl Fn() -> P) {
        loop {
            let state = self.state.lock();
            if state.left == 0 {
                return;
            }
            let (parking, state) = match P::begin_at_once() {
                Some(parking) => (parking, state),
                None => {
                    drop(state);
                    let parking = begin();
                    let state = self.state.lock();
                    if state.left == 0 && !mutated("scope.waits_for_nobody") {
                        return;
                    }
                    (parking, state)
                }
            };
            parking.set_wait_reason(WaitReason::Scope);
            // SAFETY: the guard is of this lock. The list lives in this tally, which the caller
            // holds.
            let _served_or_not =
                unsafe { parked::wait(&self.state, state, Remaining::parent, None, &parking) };
        }
    }

    /// Waits until no child is left, or the deadline has passed: then false. A cancel of the caller
    /// ends the wait.
    pub(crate) fn wait_by<P: Park<Target = K>>(
        &self,
        deadline: Option<Instant>,
        begin: impl FnOnce() -> P,
    ) -> bool {
        let look = |state: &mut Remaining<K>| match state.left {
            0 => Look::Done(()),
            _ => Look::Wait(None),
        };
        let place = WaitIn { why: WaitReason::Scope, ..WaitIn::behind(Remaining::parent) };
        // SAFETY: see the file's head. The closure does nothing.
        match unsafe { wait_for(&self.state, place, begin, deadline, look, || None) } {
            WaitedFor::AtOnce(()) | WaitedFor::Served(_) => true,
            WaitedFor::TimedOut => false,
            WaitedFor::Cancelled(parking) => parking.raise(),
        }
    }

    /// True if no child is left. Else keeps `waker`, to be woken when none is.
    pub(crate) fn poll(&self, waker: Waker) -> bool {
        // A waker's code is the user's: the old one is dropped when the lock is free.
        let mut waker = Some(waker);
        let mut state = self.state.lock();
        let is_over = state.left == 0;
        if !is_over {
            std::mem::swap(&mut state.waker, &mut waker);
        }
        drop(state);
        drop(waker);
        is_over
    }

    /// Returns the number of children that are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.state.lock().left
    }

    /// Counts a child that panicked.
    #[inline]
    pub(crate) fn count_panic(&self) {
        self.unjoined_panics.fetch_add(1, Relaxed);
    }

    /// True if a child panicked and nobody has its payload.
    pub(crate) fn has_unjoined_panics(&self) -> bool {
        self.unjoined_panics.load(Relaxed) > 0
    }
}

impl<K: Unpark> OnEnd for Arc<Tally<K>> {
    const TELLS: bool = false;

    fn panicked(&self) {
        self.count_panic();
    }

    fn panic_joined(&self) {
        self.unjoined_panics.fetch_sub(1, Relaxed);
    }

    fn released(self) {
        self.down();
    }
}
