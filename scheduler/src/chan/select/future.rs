//! Selects as futures: [`SelectFuture`] of a list of cases, and what
//! [`select_async!`](crate::select_async!) awaits.
//!
//! # Safety
//!
//! A [`SelectFuture`] has its cases and what waits for them in boxes, and for itself alone as long
//! as it waits: if it is forgotten, they are never freed, and the list that they come from is
//! empty. A [`Selecting`](super::support::polled::Selecting) has them in itself, and is pinned by
//! its first poll. Both end the wait when they are dropped.
//!
//! Between two polls no case keeps a lock. What a future has of a case is what another thread may
//! reach by a node, or the future's alone; so with values that are `Send` it may go to another
//! thread.

#![expect(unsafe_code, reason = "polls cases that stay in place")]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomPinned;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::RANDOM;
use super::dynamic::{Cases, Select, SelectedOperation};
use super::engine::{Entry, Order};
use super::polled::{self, Polled};
use crate::chan::standby::Standby;
use crate::proc::target::Target;
use crate::proc::yield_now::poll_turn;
use crate::wait::alarm::FutureAlarm;
use crate::wait::owed::Panics;
use crate::wait::race::Race;

/// What a select has beside its cases while it is a future. It stays in place.
pub(super) struct Wait<S: AsRef<[Standby<Target>]>> {
    race: Race,
    standbys: S,
    /// True from the first poll until the select is through.
    waits: Cell<bool>,
    ended: Cell<bool>,
    /// For values that are due at a certain time.
    alarm: FutureAlarm,
    _pinned: PhantomPinned,
}

impl<S: AsRef<[Standby<Target>]>> Wait<S> {
    pub(super) fn new(standbys: S) -> Self {
        let (waits, ended) = (Cell::new(false), Cell::new(false));
        let (race, alarm) = (Race::new(), FutureAlarm::new());
        Self { race, standbys, waits, ended, alarm, _pinned: PhantomPinned }
    }

    /// Polls; at `deadline` the select is through without a case.
    ///
    /// # Panics
    ///
    /// If the select was through before.
    ///
    /// # Safety
    ///
    /// As for [`polled::poll`], until this is ready or [`end`](Self::end) was called.
    pub(super) unsafe fn poll(
        &self,
        entries: &mut [Entry<'_, Target>],
        order: Order,
        deadline: Option<Instant>,
        cx: &Context<'_>,
    ) -> Poll<Option<usize>> {
        assert!(!self.ended.get(), "a select that has ended is not polled again");
        ready!(poll_turn(cx));
        self.waits.set(true);
        let standbys = self.standbys.as_ref();
        // SAFETY: this function's contract.
        match unsafe { polled::poll(entries, standbys, &self.race, order, cx.waker()) } {
            Polled::Done(index) => {
                self.waits.set(false);
                self.ended.set(true);
                Poll::Ready(Some(index))
            }
            Polled::Waits(_) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                let (served, panics) = self.end(entries);
                if served.is_some() {
                    panics.give_up()
                } else {
                    panics.go_on()
                }
                Poll::Ready(served)
            }
            Polled::Waits(due) => {
                if let Some(first) = due.into_iter().chain(deadline).min() {
                    self.alarm.set(first, cx);
                }
                Poll::Pending
            }
        }
    }

    /// Ends the wait, if there is one. Returns the case that was served, if one was.
    pub(super) fn end(&self, entries: &mut [Entry<'_, Target>]) -> (Option<usize>, Panics) {
        self.ended.set(true);
        if !self.waits.take() {
            return (None, Panics::none());
        }
        polled::leave(entries, self.standbys.as_ref(), &self.race)
    }
}

impl<'a> Select<'a> {
    /// As [`select`](Self::select), as a future, for tasks of any executor. The cases stand among
    /// those that park and among other futures in the order of arrival.
    ///
    /// Dropping the future ends the wait: then no case was done, but for one that sends, whose
    /// value may have been received since the last poll; it has left the list. What came for a case
    /// wakes another future in its place. The list has its cases again, with their values, and can
    /// be waited for anew. A future that is forgotten ([`std::mem::forget`]) takes them along.
    ///
    /// [`select_async!`](crate::select_async!) is the same for cases that are known when the
    /// program is written. A limit is a [`timeout_async`](crate::time::timeout_async) around it.
    ///
    /// # Examples
    ///
    /// ```
    /// use gosched::chan::{self, Select};
    /// use gosched::future::block_on;
    ///
    /// let (txs, rxs): (Vec<_>, Vec<_>) = (0..10).map(|_| chan::bounded(1)).unzip();
    /// let mut select = Select::new();
    /// for rx in &rxs {
    ///     select.recv(rx);
    /// }
    /// txs[7].send("seven").expect("there is room");
    /// block_on(async {
    ///     let chosen = select.select_async().await;
    ///     assert_eq!(chosen.index(), 7);
    ///     assert_eq!(chosen.recv(&rxs[7]), Ok("seven"));
    /// });
    /// ```
    #[inline]
    pub fn select_async(&mut self) -> SelectFuture<'_, 'a> {
        self.drop_chosen();
        SelectFuture::new(self)
    }
}

/// The future of [`Select::select_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct SelectFuture<'s, 'a> {
    /// The list, without its cases; none when this is done.
    select: Option<&'s mut Select<'a>>,
    cases: Cases<'a>,
    wait: Box<Wait<Vec<Standby<Target>>>>,
}

// SAFETY: the head of this file. The cases of a `Select` have only values that are `Send`.
unsafe impl Send for SelectFuture<'_, '_> {}

impl<'s, 'a> SelectFuture<'s, 'a> {
    #[inline]
    pub(super) fn new(select: &'s mut Select<'a>) -> Self {
        let cases = mem::take(&mut select.cases);
        let standbys = cases.iter().flatten().map(|_| Standby::new()).collect();
        Self { select: Some(select), cases, wait: Box::new(Wait::new(standbys)) }
    }

    /// The cases that there are, numbered from zero.
    #[inline]
    fn entries<'c>(cases: &'c Cases<'a>) -> Vec<Entry<'c, Target>> {
        let cases = cases.iter().flatten().enumerate();
        cases.map(|(index, case)| Entry::new(&**case, index)).collect()
    }
}

impl<'s, 'a> Future for SelectFuture<'s, 'a> {
    type Output = SelectedOperation<'s, 'a>;

    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut entries = Self::entries(&this.cases);
        // SAFETY: cases and wait are in boxes of this future's, which ends the wait before it frees
        // them or gives them back.
        let done = ready!(unsafe { this.wait.poll(&mut entries, RANDOM, None, cx) });
        drop(entries);
        let nth = done.expect("without a deadline it waits for as long as it takes");
        let mut numbers = (0..this.cases.len()).filter(|number| this.cases[*number].is_some());
        let index = numbers.nth(nth).expect("there is such a case");
        let select = this.select.take().expect("it was there");
        select.cases = mem::take(&mut this.cases);
        select.chosen = Some(index);
        Poll::Ready(SelectedOperation { select, index })
    }
}

impl Drop for SelectFuture<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        let Some(select) = self.select.take() else { return };
        let mut entries = Self::entries(&self.cases);
        let (served, panics) = self.wait.end(&mut entries);
        drop(entries);
        select.cases = mem::take(&mut self.cases);
        let mut numbers = (0..select.cases.len()).filter(|number| select.cases[*number].is_some());
        // A case whose value was taken is through, and leaves the list as always. One that could
        // not send keeps its value.
        let served = served.and_then(|nth| numbers.nth(nth));
        select.chosen = served
            .filter(|number| select.cases[*number].as_ref().is_some_and(|case| case.has_sent()));
        panics.go_on();
    }
}

impl fmt::Debug for SelectFuture<'_, '_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SelectFuture { .. }")
    }
}
