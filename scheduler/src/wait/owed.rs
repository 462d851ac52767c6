//! What is owed once a lock is free: waiters to be woken, and users' values to be dropped.
//!
//! # What the outside needs
//!
//! A step under a lock claims waiters and replaces wakers. To wake and to drop is to run other
//! code, which may be the user's: it may panic, wait, or use the same lock. Three promises:
//!
//! 1. Nothing of the user's is called or dropped under the lock. A debug build asserts it where
//!    user code is about to run ([`held`]).
//! 2. Everybody who was claimed is woken, whatever panics meanwhile.
//! 3. What is dropped is dropped after the last one was woken.
//!
//! # How
//!
//! The step writes into an [`Owed`]. [`locked`] takes the lock, runs the step, frees the lock, and
//! then pays: it wakes all, then drops all, each behind a catch of its own. [`Panics`] is that
//! catch, for a payer that has more to wake or to drop than an `Owed` holds.
//!
//! The first panic goes on when all is paid. There are two exceptions. A payer that has something
//! for its caller, such as a value that was received or a lock that was taken, pays with
//! [`Owed::pay_for_value`] and gives the panic up: an executor's waker must not cost the caller
//! what it has received. And on a thread that unwinds already, a second panic would end the
//! process. In both cases the panic was reported where it arose, by the panic hook.
//!
//! # Rejected
//!
//! An enum that the step returns, with the value and the reason in it: their bytes are packed,
//! stored and fetched in different widths, which costs more than the step itself. A list of any
//! length: it would be allocated under the lock.

use gosched_runtime_sys::sync::held;
use gosched_runtime_sys::sync::lock::Mutex;
use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;
use std::thread;

use super::waiter::{Unpark, Wakeup};

/// The first panic of several pieces of user code, each of which runs behind its own catch.
#[must_use = "a panic goes on, or is given up for a reason"]
#[derive(Debug)]
pub(crate) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    /// Returns a catch that has caught nothing.
    #[inline(always)]
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Runs `f`, which may be user code; keeps its panic if it is the first.
    #[inline]
    pub(crate) fn catch(&mut self, f: impl FnOnce()) {
        held::assert_none();
        let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { return };
        match self.0 {
            None => self.0 = Some(payload),
            Some(_) => discard_payload(payload),
        }
    }

    /// Drops `value`, which may be the user's.
    #[inline]
    pub(crate) fn drop_value<T>(&mut self, value: T) {
        self.catch(|| drop(value));
    }

    /// Adds what another caught later.
    #[inline]
    pub(crate) fn and(mut self, later: Self) -> Self {
        match (&self.0, later.0) {
            (Some(_), Some(payload)) => discard_payload(payload),
            (None, payload) => self.0 = payload,
            (Some(_), None) => {}
        }
        self
    }

    /// True if [`go_on`](Self::go_on) unwinds.
    #[inline]
    pub(crate) fn raises(&self) -> bool {
        self.0.is_some() && !thread::panicking()
    }

    /// Continues the first panic, if there was one and the thread does not unwind already.
    #[inline]
    pub(crate) fn go_on(self) {
        if let Some(payload) = self.0 {
            if thread::panicking() {
                discard_payload(payload);
            } else {
                resume_unwind(payload);
            }
        }
    }

    /// Gives the panic up. It was reported where it arose.
    #[inline]
    pub(crate) fn give_up(self) {
        if let Some(payload) = self.0 {
            discard_payload(payload);
        }
    }
}

/// Drops what a panic carried. The payload is the user's: its drop may panic as well, and what that
/// panic carries is leaked.
#[cold]
pub(crate) fn discard_payload(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
    }
}

/// What a step under a lock leaves to be done when the lock is free.
#[must_use = "a waiter that is not woken never runs again"]
pub(crate) struct Owed<K: Unpark> {
    /// The waiter that was served.
    served: Option<Wakeup<K>>,
    /// The waker of a future that may find something.
    polls: Option<Waker>,
    /// Wakers that are not to be called.
    ///
    /// Two fields and no array, whose drop would be a loop on the hottest path.
    unused: Option<Waker>,
    also_unused: Option<Waker>,
}

impl<K: Unpark> Owed<K> {
    /// Returns what is owed before the first step.
    #[inline(always)]
    pub(crate) fn nothing() -> Self {
        Self { served: None, polls: None, unused: None, also_unused: None }
    }

    /// Wakes this waiter, if there is one. Of each step one.
    #[inline(always)]
    pub(crate) fn wake(&mut self, waiter: Option<Wakeup<K>>) {
        debug_assert!(self.served.is_none(), "a step serves one waiter");
        self.served = waiter;
    }

    /// Calls this waker, if there is one. Of each step one.
    #[inline(always)]
    pub(crate) fn call(&mut self, waker: Option<Waker>) {
        debug_assert!(self.polls.is_none(), "a step calls one waker");
        self.polls = waker;
    }

    /// Drops this waker, if there is one. Of each step two.
    #[inline(always)]
    pub(crate) fn drop_waker(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        let is_first = self.unused.is_none();
        let place = if is_first { &mut self.unused } else { &mut self.also_unused };
        debug_assert!(place.is_none(), "a step drops two wakers");
        *place = Some(waker);
    }

    /// Wakes all, then drops all. The first panic goes on after that.
    #[inline(always)]
    pub(crate) fn pay(self) {
        if !self.wakes_one_at_most() || matches!(self.served, Some(Wakeup::Polls(_))) {
            self.pay_each().go_on();
        } else if let Some(parked) = self.served {
            parked.now();
        }
    }

    /// As [`pay`](Self::pay), for a caller that has something of the user's in its hands: the panic
    /// is given up.
    #[inline(always)]
    pub(crate) fn pay_for_value(self) {
        if self.wakes_one_at_most() && !matches!(self.served, Some(Wakeup::Polls(_))) {
            if let Some(served) = self.served {
                served.now();
            }
        } else {
            self.pay_each().give_up();
        }
    }

    #[inline(always)]
    fn wakes_one_at_most(&self) -> bool {
        self.polls.is_none() && self.unused.is_none()
    }

    #[cold]
    fn pay_each(self) -> Panics {
        let mut panics = Panics::none();
        if let Some(served) = self.served {
            panics.catch(|| served.now());
        }
        if let Some(polls) = self.polls {
            panics.catch(|| polls.wake());
        }
        let unused = [self.unused, self.also_unused];
        unused.into_iter().flatten().for_each(|waker| panics.drop_value(waker));
        panics
    }

    /// Returns the two waiters that are to be woken, for a payer of several steps. It owes nothing
    /// else.
    #[inline(always)]
    pub(crate) fn into_wakeups(self) -> [Option<Wakeup<K>>; 2] {
        debug_assert!(self.unused.is_none(), "it only wakes");
        [self.served, self.polls.map(Wakeup::Polls)]
    }
}

/// Runs a step under the lock, and pays what it owes when the lock is free.
#[inline(always)]
pub(crate) fn locked<S, K: Unpark, R>(
    lock: &Mutex<S>,
    step: impl FnOnce(&mut S, &mut Owed<K>) -> R,
) -> R {
    let mut owed = Owed::nothing();
    // The guard is a temporary of this statement.
    let result = step(&mut lock.lock(), &mut owed);
    owed.pay();
    result
}

/// Wakes this waiter, if there is one. If a future's waker unwinds, that goes on, unless the thread
/// unwinds already.
#[inline(always)]
pub(crate) fn wake_one<K: Unpark>(wakeup: Option<Wakeup<K>>) {
    if let Some(wakeup) = wakeup {
        wake_claimed(wakeup);
    }
}

#[cold]
#[inline(never)]
fn wake_claimed<K: Unpark>(wakeup: Wakeup<K>) {
    match wakeup {
        Wakeup::Polls(waker) => {
            let mut panics = Panics::none();
            panics.catch(|| waker.wake());
            panics.go_on();
        }
        parked => parked.now(),
    }
}

/// Wakes the waiters that `next` returns, one after the other, until it returns none.
///
/// A future's waker is the user's code: if one unwinds, the others are woken all the same.
pub(crate) fn wake_each<K: Unpark>(mut next: impl FnMut() -> Option<Wakeup<K>>) -> Panics {
    let mut panics = Panics::none();
    while let Some(wakeup) = next() {
        panics.catch(|| wakeup.now());
    }
    panics
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use std::sync::{Arc, Mutex as StdMutex};
    use std::task::Wake;

    use super::*;
    use crate::proc::target::Target;

    /// What happened, in order.
    type Log = Arc<StdMutex<Vec<&'static str>>>;

    struct Bad {
        log: Log,
        name: &'static str,
        wake_panics: bool,
        drop_panics: bool,
    }

    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            self.log.lock().expect("not poisoned").push(self.name);
            if self.wake_panics {
                resume_unwind(Box::new(self.name));
            }
        }
    }

    impl Drop for Bad {
        fn drop(&mut self) {
            self.log.lock().expect("not poisoned").push("dropped");
            if self.drop_panics && !thread::panicking() {
                resume_unwind(Box::new("a drop"));
            }
        }
    }

    fn waker(log: &Log, name: &'static str, wake_panics: bool, drop_panics: bool) -> Waker {
        Arc::new(Bad { log: log.clone(), name, wake_panics, drop_panics }).into()
    }

    fn owed(log: &Log, wake_panics: bool, drop_panics: bool) -> Owed<Target> {
        let mut owed = Owed::nothing();
        owed.drop_waker(Some(waker(log, "never", false, drop_panics)));
        owed.drop_waker(Some(waker(log, "never", false, drop_panics)));
        owed.call(Some(waker(log, "second", wake_panics, false)));
        owed.wake(Some(Wakeup::Polls(waker(log, "first", wake_panics, false))));
        owed
    }

    #[test]
    fn all_are_woken_and_then_all_is_dropped_and_the_first_panic_goes_on() {
        for (wake_panics, drop_panics) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let log = Log::default();
            let owed = owed(&log, wake_panics, drop_panics);
            let outcome = catch_unwind(AssertUnwindSafe(|| owed.pay()));
            let first = outcome.err().map(|payload| *payload.downcast_ref::<&str>().expect("ours"));
            let expected = match (wake_panics, drop_panics) {
                (true, _) => Some("first"),
                (false, true) => Some("a drop"),
                (false, false) => None,
            };
            assert_eq!(first, expected);
            let woken = ["first", "dropped", "second", "dropped", "dropped", "dropped"];
            assert_eq!(*log.lock().expect("not poisoned"), woken);
        }
    }

    #[test]
    fn a_payer_with_a_value_does_not_unwind() {
        for drop_panics in [false, true] {
            let log = Log::default();
            owed(&log, true, drop_panics).pay_for_value();
            assert_eq!(log.lock().expect("not poisoned").len(), 6);
            let mut one = Owed::<Target>::nothing();
            one.wake(Some(Wakeup::Polls(waker(&log, "alone", true, drop_panics))));
            one.pay_for_value();
            assert_eq!(log.lock().expect("not poisoned").len(), 8);
        }
    }

    #[test]
    fn a_payload_whose_drop_panics_goes_no_further() {
        struct Payload;
        impl Drop for Payload {
            fn drop(&mut self) {
                resume_unwind(Box::new(Self));
            }
        }
        let mut panics = Panics::none();
        panics.catch(|| resume_unwind(Box::new(1)));
        panics.catch(|| resume_unwind(Box::new(Payload)));
        let first = catch_unwind(AssertUnwindSafe(|| panics.go_on())).expect_err("it goes on");
        assert_eq!(first.downcast_ref::<i32>(), Some(&1));
    }

    #[test]
    fn nothing_goes_on_while_the_thread_unwinds() {
        struct Pays(Option<Owed<Target>>);
        impl Drop for Pays {
            fn drop(&mut self) {
                self.0.take().expect("it pays once").pay();
            }
        }
        let log = Log::default();
        let mut one = Owed::nothing();
        one.wake(Some(Wakeup::Polls(waker(&log, "alone", true, false))));
        for owed in [owed(&log, true, false), one] {
            let pays = Pays(Some(owed));
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let _pays = pays;
                resume_unwind(Box::new("outer"));
            }));
            let outer = outcome.expect_err("it unwinds");
            assert_eq!(outer.downcast_ref::<&str>(), Some(&"outer"));
        }
        assert_eq!(log.lock().expect("not poisoned").len(), 8);
    }
}
