//! The owner's side of a wait that parks: goroutines and threads, in one list.
//!
//! # Safety
//!
//! A node lies in the frame of [`wait_until`], which returns only when the node is done or off its
//! list, because parking does not unwind. Or it lies in a [`SplitWait`], in a frame whose function
//! promises the same. The callers must see to it that guard and list belong to the lock.

#![expect(unsafe_code, reason = "links a node of its own frame")]

use gosched_runtime_sys::clock::to_instant;
use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::mutated;
use std::cell::UnsafeCell;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::time::Instant;

use super::owed::Panics;
use super::park::Park;
use super::waiter::{End, Unpark, WaitList, Waiter, WaiterKind, Wakeup};
use crate::gmp::wait_reason::WaitReason;

/// How a wait ended, with what the slot held then.
pub(crate) enum Waited<T> {
    /// A waker served the node.
    Served(Option<T>),
    /// The deadline passed first.
    TimedOut(Option<T>),
    /// Given up and unlinked. The caller raises when it holds nothing any more that would be lost.
    Cancelled(Option<T>),
}

/// Waits in a list until a waker serves the node or the wait is cancelled. Releases the lock while
/// it waits.
///
/// # Safety
///
/// As for [`wait_until`].
pub(crate) unsafe fn wait<S, T, P: Park>(
    lock: &Mutex<S>,
    guard: MutexGuard<'_, S>,
    list: fn(&mut S) -> &mut WaitList<T, P::Target>,
    slot: Option<T>,
    parking: &P,
) -> Waited<T> {
    // SAFETY: the same contract.
    unsafe { wait_until(lock, guard, WaitIn::behind(list), slot, parking, None, || None) }
}

/// Where in a lock's state to wait.
pub(crate) struct WaitIn<S, T, K> {
    pub(crate) list: fn(&mut S) -> &mut WaitList<T, K>,
    pub(crate) end: End,
    /// What a wait that [`wait_for`] begins is for.
    pub(crate) why: WaitReason,
}

impl<S, T, K> WaitIn<S, T, K> {
    /// Behind the waiters in `list`.
    #[inline(always)]
    pub(crate) fn behind(list: fn(&mut S) -> &mut WaitList<T, K>) -> Self {
        Self { list, end: End::Back, why: WaitReason::Lock }
    }
}

/// As [`wait`], at longest until the deadline.
///
/// `unlocked` runs once the node is linked and the lock is free, and returns whom else to wake
/// then.
///
/// `parking` must have begun before: the node's target has to forget notifications of earlier waits
/// before anybody can see the node.
///
/// # Safety
///
/// `guard` is of `lock`. `place` leads to the same list on each call. That list lives as long as
/// the `S` in the lock, and is neither replaced nor dropped while a node is linked in it.
/// `unlocked` does not unwind.
#[inline]
pub(crate) unsafe fn wait_until<S, T, P: Park>(
    lock: &Mutex<S>,
    mut guard: MutexGuard<'_, S>,
    place: WaitIn<S, T, P::Target>,
    slot: Option<T>,
    parking: &P,
    deadline: Option<Instant>,
    unlocked: impl FnOnce() -> Option<Wakeup<P::Target>>,
) -> Waited<T> {
    let list = place.list;
    let node = Waiter::new(slot);
    // SAFETY: the node is new, and stays in this frame, which returns below only when the node is
    // done or unlinked: parking does not unwind.
    unsafe { list(&mut guard).push(&node, WaiterKind::Parked(parking.target()), place.end) };
    drop(guard);
    if let Some(wakeup) = unlocked() {
        // SAFETY: the node has just been linked there.
        unsafe { wake_while_linked(lock, list, &node, parking, wakeup) };
    }
    // SAFETY: as above.
    unsafe { until_served(lock, list, &node, parking, deadline) }
}

/// Parks until the node is served, or the wait is given up.
///
/// # Safety
///
/// `node` was linked into the list under the lock, and the caller is its owner.
#[inline(always)]
unsafe fn until_served<S, T, P: Park>(
    lock: &Mutex<S>,
    list: fn(&mut S) -> &mut WaitList<T, P::Target>,
    node: &Waiter<T, P::Target>,
    parking: &P,
    deadline: Option<Instant>,
) -> Waited<T> {
    while !node.is_done() {
        parking.park_until(deadline);
        if !node.is_done()
            // SAFETY: as above.
            && let Some(given_up) = unsafe { given_up_wait(lock, list, node, parking, deadline) }
        {
            return given_up;
        }
    }
    Waited::Served(node.slot.replace(None))
}

/// A wait without a deadline in two parts: [`begin`](Self::begin), and [`end`](Self::end) after the
/// caller has suspended.
///
/// `begin` returns before the switch; `end` is called after it. So no call but the user's own is
/// open across the switch, and a waiter in a loop comes back to its own frame. A processor
/// mispredicts the return of every function that was called before the switch and returns after it.
pub(crate) struct SplitWait<T, K>(UnsafeCell<MaybeUninit<Waiter<T, K>>>);

impl<T, K: Unpark> SplitWait<T, K> {
    /// Returns a wait that has not begun.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Begins the wait of `target`, whose parking `parking` returns. False: the node is served
    /// already, and the caller must not park.
    ///
    /// Wakes `wakeup` once the lock is free; if that unwinds, there is no wait.
    ///
    /// # Safety
    ///
    /// As for [`wait_until`]. This is the first call, and if it returns, the caller keeps `self` in
    /// place, calls [`end`](Self::end), and lets that return.
    #[inline(always)]
    pub(crate) unsafe fn begin<S, P: Park<Target = K>>(
        &self,
        lock: &Mutex<S>,
        mut guard: MutexGuard<'_, S>,
        list: fn(&mut S) -> &mut WaitList<T, K>,
        (slot, target): (Option<T>, K),
        parking: impl FnOnce() -> P,
        wakeup: Option<Wakeup<K>>,
    ) -> bool {
        // SAFETY: nobody else knows the node yet.
        let node: &Waiter<T, K> = unsafe { &mut *self.0.get() }.write(Waiter::new(slot));
        // SAFETY: this function's contract.
        unsafe { list(&mut guard).push(node, WaiterKind::Parked(target), End::Back) };
        drop(guard);
        if let Some(wakeup) = wakeup {
            let unwinds = DropsNode(node);
            // SAFETY: the node has just been linked there.
            unsafe { wake_while_linked(lock, list, node, &parking(), wakeup) };
            mem::forget(unwinds);
            // The notification of a waker may be forgotten already.
            return !node.is_done();
        }
        true
    }

    /// Ends the wait: parks until the node is served or cancelled, if it is not yet.
    ///
    /// `resumed` returns the parking with which the wait was begun. If it was called, that parking
    /// is returned, too.
    ///
    /// # Safety
    ///
    /// `begin` has returned, with the same lock and list; and this is the first call.
    #[inline(always)]
    pub(crate) unsafe fn end<S, P: Park<Target = K>>(
        &self,
        lock: &Mutex<S>,
        list: fn(&mut S) -> &mut WaitList<T, K>,
        resumed: impl FnOnce() -> P,
    ) -> (Waited<T>, Option<P>) {
        // SAFETY: `begin` wrote it; other threads know it by shared references only, too.
        let node = unsafe { &*self.0.get().cast::<Waiter<T, K>>() };
        if node.is_done() || mutated("waiter.end_unseen") {
            return (Waited::Served(node.slot.replace(None)), None);
        }
        let parking = resumed();
        let _ended = DropsNode(node);
        // SAFETY: `begin` linked the node there.
        let waited = unsafe { until_served(lock, list, node, &parking, None) };
        (waited, Some(parking))
    }
}

/// Drops what is in a [`SplitWait`]'s node, which is off its list by then. A node that was served
/// holds nothing.
struct DropsNode<T, K>(*const Waiter<T, K>);

impl<T, K> Drop for DropsNode<T, K> {
    fn drop(&mut self) {
        // SAFETY: only `SplitWait` makes this, of its own node, which is not used after it.
        unsafe { ptr::drop_in_place(self.0.cast_mut()) };
    }
}

/// Wakes another waiter while the caller's node is linked.
///
/// If that unwinds, the caller's node is taken off and the panic goes on. A node that was served
/// meanwhile stays so: the wait ends as always, with what it was handed, and the panic is given up.
///
/// # Safety
///
/// `node` was linked into the list under the lock, and the caller is its owner.
#[cold]
unsafe fn wake_while_linked<S, T, P: Park>(
    lock: &Mutex<S>,
    list: fn(&mut S) -> &mut WaitList<T, P::Target>,
    node: &Waiter<T, P::Target>,
    parking: &P,
    wakeup: Wakeup<P::Target>,
) {
    let renew = || {
        let _no_waker_is_halfway = lock.lock();
        parking.renew();
    };
    let panics = wake_linked([wakeup], renew);
    if !panics.raises() {
        return panics.give_up();
    }
    let mut guard = lock.lock();
    if node.is_done() {
        drop(guard);
        return panics.give_up();
    }
    // SAFETY: under the lock, a node that is not done is on its list (invariants 1, 2).
    unsafe { list(&mut guard).unlink(node) };
    drop(guard);
    panics.go_on();
}

/// Decides, after parking returned and the node was not done, whether the wait is given up.
///
/// # Safety
///
/// As for [`wake_while_linked`].
#[cold]
unsafe fn given_up_wait<S, T, P: Park>(
    lock: &Mutex<S>,
    list: fn(&mut S) -> &mut WaitList<T, P::Target>,
    node: &Waiter<T, P::Target>,
    parking: &P,
    deadline: Option<Instant>,
) -> Option<Waited<T>> {
    let cancelled = parking.cancelled();
    if !cancelled && deadline.is_none_or(|deadline| !parking.expired(deadline)) {
        // Notified and not done: the waker is between the two, and holds the lock. To wait for the
        // lock is to wait for `done`. If the node is not done then, the notification is that of an
        // outer wait on the same park word, whose waker runs this one. The outer wait looks again
        // in any case; here the notification would refuse every commit, and no sibling would run.
        let _no_waker_is_halfway = lock.lock();
        if !node.is_done() && !mutated("waiter.notification_sticks") {
            parking.renew();
        }
        return None;
    }
    let mut guard = lock.lock();
    if node.is_done() && !mutated("waiter.unlink_unseen") {
        return None;
    }
    // SAFETY: under the lock, a node that is not done is on its list (invariants 1, 2).
    unsafe { list(&mut guard).unlink(node) };
    drop(guard);
    let slot = node.slot.replace(None);
    Some(if cancelled { Waited::Cancelled(slot) } else { Waited::TimedOut(slot) })
}

/// Wakes other waiters, all of them, after the caller's own wait has begun and before it parks.
///
/// A future's waker is the user's code. It may unwind; the panic is returned. It may also wait, on
/// the caller's own park word, and so use up the notification of the wait that has begun. So
/// `renew` begins that wait again, and must do so when no waker is between notifying and `done`.
pub(crate) fn wake_linked<K: Unpark>(
    wakeups: impl IntoIterator<Item = Wakeup<K>>,
    renew: impl FnOnce(),
) -> Panics {
    let (mut panics, mut ran_user_code) = (Panics::none(), false);
    for wakeup in wakeups {
        match wakeup {
            Wakeup::Parked(wake) => K::wake(wake),
            Wakeup::Polls(waker) => {
                ran_user_code = true;
                panics.catch(|| waker.wake());
            }
        }
    }
    if ran_user_code {
        renew();
    }
    panics
}

/// The result of a look at the state.
pub(crate) enum Look<R, T> {
    /// There is nothing to wait for.
    Done(R),
    /// The caller has to wait, with this in its slot.
    Wait(Option<T>),
    /// The same, until this ns of the clock; then it looks again.
    WaitUntil(Option<T>, u64),
}

impl<R, T> Look<R, T> {
    /// Returns that the caller has to wait, with `content` in its slot, and looks again at `until`,
    /// if that is given.
    pub(crate) fn wait(content: T, until: Option<u64>) -> Self {
        match until {
            None => Self::Wait(Some(content)),
            Some(until) => Self::WaitUntil(Some(content), until),
        }
    }
}

/// True if a wait that timed out with this deadline did so because of the deadline, and not because
/// it was to look again.
pub(crate) fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// How [`wait_for`] ended.
pub(crate) enum WaitedFor<R, T, P> {
    /// Without a wait.
    AtOnce(R),
    /// A waker served the node, and left this in the slot.
    Served(Option<T>),
    /// The deadline passed first, or the time came at which the caller looks again.
    TimedOut,
    /// Given up and unlinked. The caller raises when it holds nothing any more that would be lost.
    Cancelled(P),
}

/// Looks at the state under the lock, and waits if the look says so.
///
/// A wait begins under that lock where it can. Otherwise `begin` begins it without the lock, and
/// then the look is repeated.
///
/// # Safety
///
/// `place` and `unlocked` are as in [`wait_until`].
pub(crate) unsafe fn wait_for<S, T, R, P: Park>(
    lock: &Mutex<S>,
    place: WaitIn<S, T, P::Target>,
    begin: impl FnOnce() -> P,
    deadline: Option<Instant>,
    mut look: impl FnMut(&mut S) -> Look<R, T>,
    unlocked: impl FnOnce() -> Option<Wakeup<P::Target>>,
) -> WaitedFor<R, T, P> {
    let mut state = lock.lock();
    let (mut slot, mut until) = match look(&mut state) {
        Look::Done(result) => return WaitedFor::AtOnce(result),
        Look::Wait(slot) => (slot, None),
        Look::WaitUntil(slot, until) => (slot, Some(until)),
    };
    let parking = match P::begin_at_once() {
        Some(parking) => parking,
        None => {
            drop(state);
            let parking = begin();
            state = lock.lock();
            (slot, until) = match look(&mut state) {
                Look::Done(result) => {
                    // The parking gives its record back under a lock of its own.
                    drop(state);
                    return WaitedFor::AtOnce(result);
                }
                Look::Wait(slot) => (slot, None),
                Look::WaitUntil(slot, until) => (slot, Some(until)),
            };
            parking
        }
    };
    parking.set_wait_reason(place.why);
    let deadline = deadline.into_iter().chain(until.and_then(to_instant)).min();
    // SAFETY: the guard is of this lock; the rest is this function's contract.
    match unsafe { wait_until(lock, state, place, slot, &parking, deadline, unlocked) } {
        Waited::Served(slot) => WaitedFor::Served(slot),
        Waited::TimedOut(_) => WaitedFor::TimedOut,
        Waited::Cancelled(_) => WaitedFor::Cancelled(parking),
    }
}
