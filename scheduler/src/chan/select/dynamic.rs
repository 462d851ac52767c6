//! A select over a number of cases that is known when the program runs.
//!
//! # Safety
//!
//! A case is turned back into its type only after its way and the address of its channel were
//! compared with a channel that the caller has: a channel that exists has its address for itself,
//! and both ends of a channel are invariant in the type of its values, so that is the case's type,
//! too.
//!
//! A list of cases goes to other threads. Each case is of a channel whose values are `Send`, and
//! between two calls no case keeps a lock or a linked node.

#![expect(unsafe_code, reason = "cases get their type back")]

use std::error::Error;
use std::fmt;
use std::ptr;
use std::time::{Duration, Instant};

use super::engine::{self, Wait};
use super::{RANDOM, one_of};
use crate::chan::case::{Case, Direction, RecvCase, SendCase};
use crate::chan::place::Place;
use crate::chan::{ChannelRef, Receiver, RecvError, SendError, Sender};
use crate::proc::target::Target;

/// A list of cases, one of which is done at a time: [`select!`](crate::select!) for a number of
/// cases that is known when the program runs.
///
/// Cases are numbered in the order in which they were added, and a number is not given twice. A
/// case that receives stays in the list; one that sends leaves it when it was chosen, with its
/// value, and until then keeps the value: what was not chosen is lost in no way, and can be [taken
/// back](Self::take_back).
///
/// A clone has the same cases under the same numbers. Values are not cloned: in the clone a case
/// that sends has none, and is not ready until [`put`](Self::put) gives it one.
///
/// ```
/// use gosched::chan::{self, Select};
///
/// let (txs, rxs): (Vec<_>, Vec<_>) = (0..10).map(|_| chan::bounded(1)).unzip();
/// let mut select = Select::new();
/// for rx in &rxs {
///     select.recv(rx);
/// }
/// txs[7].send("seven").expect("there is room");
/// let chosen = select.select();
/// assert_eq!(chosen.index(), 7);
/// assert_eq!(chosen.recv(&rxs[7]), Ok("seven"));
/// ```
#[doc(alias = "reflect.Select")]
#[derive(Default)]
pub struct Select<'a> {
    pub(super) cases: Cases<'a>,
    /// The case that was chosen, until its [`SelectedOperation`] is dropped. One that was forgotten
    /// ([`std::mem::forget`]) is dropped by the next call, before that takes a lock.
    pub(super) chosen: Option<usize>,
}

/// Cases by their numbers.
pub(super) type Cases<'a> = Vec<Option<Box<dyn Case<Target> + 'a>>>;

// SAFETY: the head of this file. What a case borrows and what it holds is `Send`, because `recv`,
// `send` and `put` take only such values.
unsafe impl Send for Select<'_> {}
// SAFETY: a shared list is counted and cloned, which reads what only `&mut` changes, and makes
// cases of the same channels; these are `Sync`, as their values are `Send`.
unsafe impl Sync for Select<'_> {}

/// No case was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrySelectError;

/// No case became ready in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectTimeoutError;

/// The case that was done. What was received is in it: ask with [`recv`](Self::recv) or
/// [`send`](Self::send), which say how it went. Dropping it drops a value that was received, or
/// came back.
#[must_use = "it holds what was received"]
pub struct SelectedOperation<'s, 'a> {
    pub(super) select: &'s mut Select<'a>,
    pub(super) index: usize,
}

impl<'a> Select<'a> {
    /// A list without cases.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a case that receives. Its number.
    pub fn recv<T: Send>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(Box::new(RecvCase::new(&receiver.channel)))
    }

    /// Adds a case that sends `value`. Its number.
    pub fn send<T: Send + 'a>(&mut self, sender: &'a Sender<T>, value: T) -> usize {
        let place = Place::boxed_full(value);
        self.add(Box::new(SendCase::new(&sender.channel, place)))
    }

    #[inline]
    fn add(&mut self, case: Box<dyn Case<Target> + 'a>) -> usize {
        self.cases.push(Some(case));
        self.cases.len() - 1
    }

    /// Takes a case out of the list; one that sends drops its value.
    ///
    /// # Panics
    ///
    /// If there is no such case.
    #[inline]
    pub fn remove(&mut self, index: usize) {
        self.drop_chosen();
        assert!(
            self.cases.get_mut(index).and_then(Option::take).is_some(),
            "no case has the number {index}"
        );
    }

    /// Takes a case that sends out of the list, for its value.
    ///
    /// # Panics
    ///
    /// If there is no such case, it sends into another channel, or it has no value.
    pub fn take_back<T>(&mut self, index: usize, sender: &Sender<T>) -> T {
        self.drop_chosen();
        let value = self.sending(index, &sender.channel).take_back();
        self.cases[index] = None;
        value.expect("the case has a value")
    }

    /// As [`take_back`](Self::take_back), but returns none if the case has left the list, as one
    /// that was chosen has, or has no value: for a [future of a select](Self::select_async) that
    /// was dropped, perhaps after its value was received.
    ///
    /// # Panics
    ///
    /// If the case sends into another channel, or receives.
    ///
    /// ```
    /// use gosched::chan::{self, Select};
    ///
    /// let (tx, _rx) = chan::bounded(0);
    /// let mut list = Select::new();
    /// let case = list.send(&tx, 7);
    /// drop(list.select_async());
    /// assert_eq!(list.try_take_back(case, &tx), Some(7));
    /// assert_eq!(list.try_take_back(case, &tx), None);
    /// ```
    pub fn try_take_back<T>(&mut self, index: usize, sender: &Sender<T>) -> Option<T> {
        self.drop_chosen();
        self.cases.get(index)?.as_ref()?;
        let value = self.sending(index, &sender.channel).take_back();
        self.cases[index] = None;
        value
    }

    /// Gives a case that sends a value, in a clone, where it has none. Returns the value that the
    /// case had.
    ///
    /// # Panics
    ///
    /// If there is no such case, or it sends into another channel.
    ///
    /// ```
    /// use gosched::chan::{self, Select};
    ///
    /// let (tx, rx) = chan::bounded(2);
    /// let mut select = Select::new();
    /// let sends = select.send(&tx, "one");
    /// let mut clone = select.clone();
    /// assert!(clone.try_select().is_err(), "it has no value to send");
    ///
    /// assert_eq!(clone.put(sends, &tx, "another"), None);
    /// clone.select().send(&tx).expect("the receiver is there");
    /// select.select().send(&tx).expect("the receiver is there");
    /// assert_eq!(rx.try_iter().collect::<Vec<_>>(), ["another", "one"]);
    /// ```
    pub fn put<T: Send>(&mut self, index: usize, sender: &Sender<T>, value: T) -> Option<T> {
        self.drop_chosen();
        self.sending(index, &sender.channel).put(value)
    }

    /// Waits until one of the cases can be done, and does it; if several can, one of them at
    /// random. Without cases it waits for ever.
    ///
    /// # Panics
    ///
    /// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait.
    /// No case was done then, and all keep their values.
    #[inline]
    pub fn select(&mut self) -> SelectedOperation<'_, 'a> {
        self.run(Wait::Until(None)).expect("without a deadline it waits for as long as it takes")
    }

    /// Does one of the cases that can be done without waiting. If there is none, a goroutine whose
    /// slice is over gives its turn.
    ///
    /// # Errors
    ///
    /// [`TrySelectError`] if there is none.
    #[inline]
    pub fn try_select(&mut self) -> Result<SelectedOperation<'_, 'a>, TrySelectError> {
        self.run(Wait::No).ok_or(TrySelectError)
    }

    /// As [`select`](Self::select), waiting at longest for `timeout`.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`] if the time was over first; all cases keep their values.
    ///
    /// # Panics
    ///
    /// As [`select`](Self::select).
    #[inline]
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'_, 'a>, SelectTimeoutError> {
        self.run(Wait::Until(Instant::now().checked_add(timeout))).ok_or(SelectTimeoutError)
    }

    /// As [`select`](Self::select), waiting at longest until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`select_timeout`](Self::select_timeout).
    ///
    /// # Panics
    ///
    /// As [`select`](Self::select).
    #[inline]
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'_, 'a>, SelectTimeoutError> {
        self.run(Wait::Until(Some(deadline))).ok_or(SelectTimeoutError)
    }

    #[inline]
    fn run(&mut self, wait_mode: Wait) -> Option<SelectedOperation<'_, 'a>> {
        self.drop_chosen();
        let numbered = self.cases.iter().enumerate();
        let mut entries: Vec<_> = numbered
            .filter_map(|(index, case)| case.as_deref().map(|case| engine::Entry::new(case, index)))
            .collect();
        let index = one_of(&mut entries, wait_mode, RANDOM)?;
        self.chosen = Some(index);
        Some(SelectedOperation { select: self, index })
    }

    /// Drops what the chosen case has left. A case that sends leaves the list.
    #[inline]
    pub(super) fn drop_chosen(&mut self) {
        let Some(index) = self.chosen.take() else { return };
        let case = &mut self.cases[index];
        match case.as_ref().map(|case| case.direction()) {
            Some(Direction::Send) => drop(case.take()),
            Some(Direction::Recv) => case.iter().for_each(|case| case.discard()),
            None => {}
        }
    }

    fn case<T>(&self, index: usize, direction: Direction, channel: &ChannelRef<T>) -> *const () {
        let case = self.cases.get(index).and_then(Option::as_deref).expect("there is such a case");
        let same = case.direction() == direction
            && case.channel() == ptr::from_ref::<Raw<T>>(channel).cast();
        assert!(same, "case {index} of the select is of another channel, or goes the other way");
        ptr::from_ref(case).cast()
    }

    fn receiving<T>(&self, index: usize, channel: &ChannelRef<T>) -> &RecvCase<'a, T, Target> {
        let case = self.case(index, Direction::Recv, channel);
        // SAFETY: it is of that channel, so of values `T`, and receives; it lives as long as
        // `self`.
        unsafe { &*case.cast() }
    }

    fn sending<T>(&self, index: usize, channel: &ChannelRef<T>) -> &SendCase<'a, T, Target> {
        let case = self.case(index, Direction::Send, channel);
        // SAFETY: it is of that channel, so of values `T`, and sends; it lives as long as `self`.
        unsafe { &*case.cast() }
    }
}

type Raw<T> = crate::chan::raw::Channel<T, Target>;

impl SelectedOperation<'_, '_> {
    /// The number of the case.
    #[inline]
    pub fn index(&self) -> usize {
        self.index
    }

    /// What the case received.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if nothing is left and all senders are gone.
    ///
    /// # Panics
    ///
    /// If it is not `receiver`'s channel that the case received from: ask [`index`](Self::index)
    /// first. What was received is dropped then, with `self`, while the panic unwinds.
    pub fn recv<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        let case = self.select.receiving(self.index, &receiver.channel);
        case.outcome().expect("it was chosen, and is asked once")
    }

    /// Whether the case has sent its value.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the value back if all receivers are gone.
    ///
    /// # Panics
    ///
    /// If it is not `sender`'s channel that the case sent into. A value that came back is dropped
    /// then.
    pub fn send<T>(self, sender: &Sender<T>) -> Result<(), SendError<T>> {
        let case = self.select.sending(self.index, &sender.channel);
        case.outcome().expect("it was chosen, and is asked once")
    }
}

impl Drop for SelectedOperation<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        self.select.drop_chosen();
    }
}

impl<'a> Clone for Select<'a> {
    #[inline]
    fn clone(&self) -> Self {
        let sent = |index: usize, case: &dyn Case<Target>| {
            self.chosen == Some(index) && case.direction() == Direction::Send
        };
        let case = |(index, case): (usize, &Option<Box<dyn Case<Target> + 'a>>)| {
            case.as_deref().filter(|case| !sent(index, *case)).map(Case::empty)
        };
        Self { cases: self.cases.iter().enumerate().map(case).collect(), chosen: None }
    }
}

impl fmt::Debug for Select<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("cases", &self.cases.iter().flatten().count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SelectedOperation<'_, '_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectedOperation").field("index", &self.index).finish_non_exhaustive()
    }
}

impl fmt::Display for TrySelectError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no case of the select is ready")
    }
}

impl fmt::Display for SelectTimeoutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out waiting for a case of the select")
    }
}

impl Error for TrySelectError {}
impl Error for SelectTimeoutError {}
