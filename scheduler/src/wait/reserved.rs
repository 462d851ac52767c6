//! The futures that wait for a lock or a channel beside waiters that park, and what is reserved for
//! one of them.
//!
//! # What the outside needs
//!
//! A future may be kept and never polled again, or be forgotten. So nothing is handed to a future:
//! it is woken, and tries again when it is polled. Goroutines and threads are faster than
//! somebody's executor, and a future that only tries again would starve among them. Two promises:
//!
//! 1. A future that is polled when it is woken gets what it waits for, however many others want it.
//! 2. A future that is not polled keeps others back at most for half of the time.
//!
//! # How
//!
//! A future waits in competition for as long as its *patience*, a millisecond at first. Then what
//! it waits for is *reserved*: others keep back for the same time at most. Where holders have to
//! leave first, the reservation begins while the future still waits in its list. When the future
//! can have what it waits for, it is woken, and the reservation begins anew. The future ends the
//! reservation when it is polled or dropped.
//!
//! A reservation lapses by itself, by a look at the clock of whoever wants the same. After that the
//! future waits in competition again. Its patience is doubled, up to a second: so it gets in at
//! last, also where its executor is slow or holders stay for nearly as long.
//!
//! Waiters that park come first. After each reservation one of them is served before the next
//! reservation begins, so futures do not starve them either.
//!
//! # Who watches
//!
//! Waiters that park sleep until they are served. If a reservation lapses while they sleep, one of
//! them must look. While something is reserved and somebody parks, one waiter is the *watcher*: it
//! sleeps until the reservation lapses, or is on its way to look. Whoever parks while nobody
//! watches does. A reservation that begins while others park already wakes the first of them, which
//! becomes the watcher. A watcher that gives up, or is served while the reservation lasts, has
//! another one woken.
//!
//! A look that finds a reservation lapsed need not serve others, because the watcher does: it looks
//! once more, and serves if it has to wait again. It may not have parked yet at that look.
//!
//! A future that is polled during somebody else's reservation is told until when: its owner sets an
//! alarm.
//!
//! # Rejected
//!
//! - Handing over to futures, as tokio does: a goroutine would wait for ever for a future that is
//!   kept and not polled.
//! - A number of times that others may come first, in place of the time: a future that finds the
//!   lock taken at each poll has it only if the others keep back until it is polled.
//!
//! # Safety
//!
//! The list is under its owner's lock. The callers link only nodes of pinned futures.

#![expect(unsafe_code, reason = "links the nodes of pinned futures")]

use gosched_runtime_sys::clock::to_instant;
use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};
use gosched_runtime_sys::sync::primitive::mutated;
use std::cell::Cell;
use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::alarm::FutureAlarm;
use super::owed::Owed;
use super::polled::{PolledNode, Standing};
use super::waiter::{Unpark, WaitList, Wakeup};

/// For how long a waiter may be passed over. Go's figure for its mutex: long enough that nearly no
/// waiter reaches it, and short enough that none is seen to hang.
pub(crate) const PATIENCE_NS: u64 = 1_000_000;

/// The longest time for which others wait for a future's executor.
const LONGEST_AWAY_NS: u64 = 64_000_000;

/// The longest patience, and so the longest time for which a future that still waits keeps others
/// back. Holders that stay for longer keep it out.
const LONGEST_PATIENCE_NS: u64 = 1_000_000_000;

/// What a future waits for, and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<W> {
    pub(crate) wants: W,
    since: u64,
    /// For how long it waits in competition, and for how long others keep back then.
    patience: u64,
    /// The number of the reservation that was made for it; zero if it waits in competition.
    reservation: u64,
}

/// Futures in the order of their arrival, and the reservation of one of them.
pub(crate) struct Futures<W, K> {
    list: WaitList<Ask<W>, K>,
    /// Until when something is reserved; zero if nothing is.
    until: u64,
    /// When those that keep back look again: a future that is woken meanwhile ends it earlier.
    look_at: u64,
    /// True if the future was woken; else it is the first of the list.
    woken: bool,
    /// The number of the last reservation.
    count: u64,
    /// True if nobody watches the reservation.
    unwatched: bool,
    /// True if a waiter that parks was served since the last reservation began.
    parked_served: bool,
}

impl<W: Copy, K: Unpark> Futures<W, K> {
    pub(crate) const fn new() -> Self {
        Self {
            list: WaitList::new(),
            until: 0,
            look_at: 0,
            woken: false,
            count: 0,
            unwatched: false,
            parked_served: false,
        }
    }

    /// True if no future waits in the list and nothing is reserved.
    #[inline(always)]
    pub(crate) fn is_idle(&self) -> bool {
        self.list.is_empty() && self.until == 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// True if something was reserved at the last look.
    #[inline(always)]
    pub(crate) fn is_reserved(&self) -> bool {
        self.until != 0
    }

    /// Returns what the first future of the list wants.
    pub(crate) fn first(&self) -> Option<W> {
        self.list.peek().map(|ask| ask.wants)
    }

    /// Returns since when the first future waits, if that is for longer than its patience.
    pub(crate) fn starves(&self, now: u64) -> Option<u64> {
        let ask = self.list.peek()?;
        (now.saturating_sub(ask.since) >= ask.patience).then_some(ask.since)
    }

    /// Looks at the clock: returns when others that have to keep back look again. A reservation
    /// whose time is over has lapsed after that. If the first future has lost its patience, a new
    /// one begins: after a waiter that parks was served, or if `nobody_parks`.
    #[inline]
    pub(crate) fn reserved(&mut self, nobody_parks: bool) -> Option<u64> {
        let may_begin = nobody_parks || self.parked_served;
        if self.until == 0 && (self.list.is_empty() || !may_begin) {
            return None;
        }
        self.reserved_at(may_begin, K::now_ns())
    }

    #[cold]
    fn reserved_at(&mut self, may_begin: bool, now: u64) -> Option<u64> {
        if self.until != 0 {
            let lasts = now < self.until && !mutated("reserved.for_nobody");
            if lasts || mutated("reserved.never_lapses") {
                self.look_at = self.until.min(now.saturating_add(LONGEST_AWAY_NS));
                return Some(self.look_at);
            }
            self.lapse(now);
            // The next future is woken first: by whoever comes in now, at the latest.
            return None;
        }
        if !may_begin || self.starves(now).is_none() {
            return None;
        }
        self.begin(now);
        Some(self.look_at)
    }

    fn lapse(&mut self, now: u64) {
        self.until = 0;
        let own = self.list.peek().filter(|ask| !self.woken && ask.reservation == self.count);
        if let Some(ask) = own {
            let patience = (ask.patience * 2).min(LONGEST_PATIENCE_NS);
            self.list.replace_first(Ask { since: now, patience, reservation: 0, ..ask });
        }
    }

    /// Reserves what the first future of the list waits for.
    pub(crate) fn begin(&mut self, now: u64) {
        let Some(ask) = self.list.peek() else { return };
        self.count += 1;
        self.list.replace_first(Ask { reservation: self.count, ..ask });
        self.until = now.saturating_add(ask.patience);
        self.look_at = self.until.min(now.saturating_add(LONGEST_AWAY_NS));
        self.woken = false;
        self.unwatched = true;
        self.parked_served = false;
    }

    /// Ends the reservation.
    pub(crate) fn end(&mut self) {
        self.until = 0;
    }

    /// A waiter that parks was served.
    #[inline(always)]
    pub(crate) fn parked_was_served(&mut self) {
        self.parked_served = true;
    }

    /// Takes the first future off the list, to be woken. If something is reserved, it is for this
    /// one from now on: it has come back to the front, or is the one that it was for. None if the
    /// reservation's future was woken already.
    pub(crate) fn wake(&mut self) -> Option<Wakeup<K>> {
        let ask = self.list.peek()?;
        if self.until == 0 {
            return self.wake_beside();
        }
        if self.woken {
            return None;
        }
        self.count += 1;
        self.woken = true;
        self.until = K::now_ns() + ask.patience.min(LONGEST_AWAY_NS);
        self.look_at = self.until;
        Some(self.list.pop()?.replace(Ask { reservation: self.count, ..ask }))
    }

    /// Takes the first future off the list, to be woken beside the one that something is reserved
    /// for: there is more.
    pub(crate) fn wake_beside(&mut self) -> Option<Wakeup<K>> {
        let ask = self.list.peek()?;
        Some(self.list.pop()?.replace(Ask { reservation: 0, ..ask }))
    }

    /// Returns the list, for those that wake all of it.
    pub(crate) fn list(&mut self) -> &mut WaitList<Ask<W>, K> {
        &mut self.list
    }

    /// True if something is reserved, and for this future.
    pub(crate) fn is_for(&self, node: &PolledNode<Ask<W>, K>) -> bool {
        let expected = if self.woken { Standing::Woken } else { Standing::Waits };
        self.until != 0
            && node.standing() == expected
            && node.content().is_some_and(|ask| ask.reservation == self.count)
    }

    /// For a waiter that is about to park: returns until when, if it is to watch. `watches` says
    /// whether it has watched, and is set.
    pub(crate) fn watch(&mut self, watches: &Cell<bool>) -> Option<u64> {
        if self.until == 0 {
            return None;
        }
        watches.set(watches.get() | mem::take(&mut self.unwatched));
        watches.get().then_some(self.look_at)
    }

    /// A watcher has given up, or may have been served. The caller then wakes the
    /// [`watcher`](Self::watcher) that is to look.
    pub(crate) fn unwatch(&mut self) {
        self.unwatched = !mutated("reserved.watcher_just_goes");
    }

    /// Returns a waiter of `parked` that is to look, and then watches, if there is need of one.
    pub(crate) fn watcher<T>(&self, parked: &mut WaitList<T, K>) -> Option<Wakeup<K>> {
        if self.until == 0 || !self.unwatched || mutated("reserved.unwatched") {
            return None;
        }
        Some(parked.pop()?.finish())
    }

    /// Has a future wait with this waker, or wait on. Returns the earlier waker, to be dropped when
    /// the lock is free.
    ///
    /// # Safety
    ///
    /// As for [`PolledNode::wait`]; the lock is this list's.
    #[must_use = "a waker's drop is the user's code"]
    pub(crate) unsafe fn wait(
        &mut self,
        node: &PolledNode<Ask<W>, K>,
        wants: W,
        waker: Waker,
    ) -> Option<Waker> {
        if self.woken && self.is_for(node) {
            // What it was woken for is gone.
            self.end();
        }
        let standing = node.standing();
        if standing != Standing::Waits {
            let before = node.take().filter(|_| standing == Standing::Woken);
            node.offer(match before {
                // It was woken in vain, and has its place before the others.
                Some(ask) if ask.reservation == 0 => ask,
                Some(late) => {
                    let patience = late.patience.max((late.patience * 2).min(LONGEST_AWAY_NS));
                    Ask { since: K::now_ns(), patience, reservation: 0, wants }
                }
                None => Ask { since: K::now_ns(), patience: PATIENCE_NS, reservation: 0, wants },
            });
        }
        // SAFETY: this function's contract.
        unsafe { node.wait(&mut self.list, waker) }
    }

    /// Ends a future's wait, and its reservation. Returns how its node stood, whether something was
    /// reserved for it, and its waker, to be dropped when the lock is free.
    ///
    /// # Safety
    ///
    /// If the node waits, then in this list, whose lock the caller has.
    pub(crate) unsafe fn leave(
        &mut self,
        node: &PolledNode<Ask<W>, K>,
    ) -> (Standing, bool, Option<Waker>) {
        let had = self.is_for(node);
        if had && !mutated("reserved.outlives_its_future") {
            self.end();
        }
        // SAFETY: this function's contract.
        let (standing, waker) = unsafe { node.leave(&mut self.list) };
        (standing, had, waker)
    }
}

/// What a future finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It has what it waits for.
    Taken,
    /// It has to wait, until this ns of the clock at longest if something is reserved for another
    /// future.
    Wait(Option<u64>),
}

/// Polls for a future beside which others park: true if `look` says, under the lock, that the
/// future has what it waits for.
///
/// If not, the node waits, with this waker. If so, the node is off the list, and `hand_on`, which
/// frees the lock, serves others and returns a future to wake. Wakers are the user's code: they are
/// called, and dropped, when the lock is free. If one of them unwinds, a future that has what it
/// waits for is told so all the same.
///
/// # Safety
///
/// As for [`PolledNode::wait`]. `futures` leads to the same list on each call, one that lives as
/// long as the `S` in the lock.
pub(crate) unsafe fn poll_reserved<'l, S, W: Copy, K: Unpark>(
    lock: &'l Mutex<S>,
    futures: fn(&mut S) -> &mut Futures<W, K>,
    node: &PolledNode<Ask<W>, K>,
    (wants, waker): (W, Waker),
    look: impl FnOnce(&mut S) -> Found,
    hand_on: impl FnOnce(MutexGuard<'l, S>) -> Option<Wakeup<K>>,
) -> Found {
    let (mut state, mut owed) = (lock.lock(), Owed::nothing());
    let found = look(&mut state);
    if found != Found::Taken {
        // SAFETY: this function's contract; the lock is held.
        owed.drop_waker(unsafe { futures(&mut state).wait(node, wants, waker) });
        drop(state);
        owed.pay();
        return found;
    }
    // SAFETY: as above.
    let (_, _, before) = unsafe { futures(&mut state).leave(node) };
    owed.drop_waker(before);
    owed.drop_waker(Some(waker));
    owed.wake(hand_on(state));
    owed.pay_for_value();
    found
}

/// The alarm of a future that is polled while something is reserved for another one.
pub(crate) struct Recheck(FutureAlarm);

impl Recheck {
    pub(crate) const fn new() -> Self {
        Self(FutureAlarm::new())
    }

    /// Returns what a poll that found this returns; has the future polled again when it is time.
    pub(crate) fn told(&self, found: Found, cx: &Context<'_>) -> Poll<()> {
        match found {
            Found::Taken => Poll::Ready(()),
            Found::Wait(until) => {
                if let Some(until) = until.and_then(to_instant) {
                    self.at(until, cx);
                }
                Poll::Pending
            }
        }
    }

    #[cold]
    fn at(&self, until: Instant, cx: &Context<'_>) {
        self.0.set(until, cx);
    }
}
