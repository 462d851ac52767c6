//! The extra-M list: Ms that wait for a thread that gosched did not create.
//!
//! # The rule
//!
//! *The list always has one more M than is needed.* A thread that takes the last M owes the list
//! another. It pays once it is inside, as a goroutine with its signals restored. In the gap between
//! the thread's own world and ours all signals are blocked, and nothing is allocated there.
//!
//! A thread that finds the list empty leaves the gap again. It is counted, sleeps with its own mask
//! until the debt is paid, and asks anew. The debtor makes as many Ms as it counts waiters, plus
//! one, and puts them on the list in one go. If it cannot make any, the waiters wake with that
//! error.
//!
//! # The words
//!
//! `head` is null, [`locked`](ExtraList::lock) or the first M. The locked phase is a handful of
//! instructions. It may only be entered with signals blocked: otherwise a handler that itself asks
//! for an M waits for ever for the thread it interrupts (golang/go#42207). Everything else (`link`
//! of a listed M, [`Debt`]) belongs to the thread that holds `head` locked.
//!
//! `refills` counts the debts that were paid or written off; waiters sleep on it. A waiter reads
//! its [`RefillSeen`] while `head` is locked, and the count moves while `head` is locked. So no
//! waiter can register between the count and the wake-up and miss both.
//!
//! # Rejected
//!
//! - *A lock-free pop*: it reads the link of an M that another thread may have taken. It needs a
//!   tagged head against ABA, and a second word for the debt and the waiters.
//! - *Handing an M to a waiter directly*: the waiter would own an M while its signals are still
//!   open.
//! - *Sleeping inside the gap*: signals for the process would wait for an allocation on another
//!   thread.
//! - *Polling with a short sleep, as Go does*: a hundred threads that arrive together would wake a
//!   hundred times each.
//!
//! # Safety
//!
//! Only the list reaches a listed M. Taking the M turns it into a `&'static mut`; putting it back
//! gives that reference up. Nodes are never freed.
#![expect(
    unsafe_code,
    reason = "an intrusive list of immortal nodes, guarded by a locked value of its head"
)]

use gosched_runtime_sys::sync::primitive::{
    AtomicPtr, AtomicU32, Futex, Ordering, UnsafeCell, mutated, spin_loop, thread,
};
use std::ptr;

/// A node of the list.
///
/// # Safety
///
/// `link` returns the same link at every call, and a link belongs to one node.
pub(crate) unsafe trait Node: Sized + Send + 'static {
    /// Returns the place where the list keeps the next node.
    fn link(&self) -> &Link<Self>;
}

/// The place in a node for the next node. It belongs to the list while the node is listed, and to
/// the node's owner otherwise.
pub(crate) struct Link<T>(UnsafeCell<*mut T>);

impl<T> Link<T> {
    /// Returns a link to nothing.
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(ptr::null_mut()))
    }

    fn get(&self) -> *mut T {
        self.0.with(|next| {
            // SAFETY: the link of a listed node is read under the list's lock; see the module's
            // head.
            unsafe { *next }
        })
    }

    fn set(&self, next: *mut T) {
        self.0.with_mut(|link| {
            // SAFETY: written by the owner of a node that is not listed yet, or under the list's
            // lock.
            unsafe { *link = next }
        });
    }
}

/// The list.
pub(crate) struct ExtraList<T> {
    head: AtomicPtr<T>,
    debt: UnsafeCell<Debt>,
    refills: Futex,
    failure: AtomicU32,
}

/// The debt and its waiters; read and written while `head` is locked.
#[derive(Default)]
struct Debt {
    /// A thread holds [`Owed`].
    owing: bool,
    /// Threads that have found the list empty since the last debt was paid.
    waiting: u32,
}

// SAFETY: one thread at a time reaches a node (the lock, then a unique reference), which asks only
// for `T: Send`; `debt` is touched under the lock.
unsafe impl<T: Send> Sync for ExtraList<T> {}
// SAFETY: as above; the list owns its nodes.
unsafe impl<T: Send> Send for ExtraList<T> {}

/// The promise to [`ExtraList::pay`]; there is one at a time.
#[must_use = "threads may be waiting for what is owed"]
pub(crate) struct Owed(());

/// A waiter's view of the list: the number of refills when it found the list empty.
#[must_use = "a counted waiter that does not wait makes the next refill larger for nothing"]
pub(crate) struct RefillSeen(u32);

/// The outcome of [`ExtraList::take`].
#[must_use = "a node that is dropped here is lost"]
pub(crate) enum Take<T: 'static> {
    /// One of several Ms, or the last M while a thread owes already.
    One(&'static mut T),
    /// The last M: pay once inside.
    Last(&'static mut T, Owed),
    /// None, and a thread owes: leave the gap, [wait](ExtraList::wait), ask again.
    Wait(RefillSeen),
    /// None, and no thread owes, because the last debt was written off: leave the gap, pay, ask
    /// again.
    Dry(Owed),
}

/// New nodes on their way to the list.
pub(crate) struct Chain<T> {
    first: *mut T,
    last: *mut T,
}

impl<T: Node> Chain<T> {
    /// Returns a chain without a node.
    pub(crate) fn new() -> Self {
        Self { first: ptr::null_mut(), last: ptr::null_mut() }
    }

    /// Puts `node` in front.
    pub(crate) fn push(&mut self, node: &'static mut T) {
        node.link().set(self.first);
        self.first = node;
        if self.last.is_null() {
            self.last = self.first;
        }
    }

    /// True if there is no node.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }
}

impl<T: Node> ExtraList<T> {
    /// Returns an empty list without a debt.
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            debt: UnsafeCell::new(Debt { owing: false, waiting: 0 }),
            refills: Futex::new(0),
            failure: AtomicU32::new(0),
        }
    }

    /// Takes an M. Signals must be blocked.
    pub(crate) fn take(&self) -> Take<T> {
        let first = self.lock();
        if mutated("need_m.take_before_block") {
            // The window of that mistake is a few nanoseconds. A slow holder shows the same mistake
            // sooner.
            (0..200).for_each(|_| spin_loop());
        }
        if first.is_null() {
            let answer = self.debt(|debt| self.queue_up(debt));
            self.unlock(ptr::null_mut());
            return match answer {
                // Mutant: the count is read after the unlock, perhaps after the refill that it
                // should wait for.
                Take::Wait(_) if mutated("extra.ticket_under_lock") => {
                    Take::Wait(self.refills_seen())
                }
                answer => answer,
            };
        }
        // SAFETY: a listed node is alive for ever, and only the holder of the lock reaches it.
        let node = unsafe { &mut *first };
        let next = node.link().get();
        let owed = if next.is_null() { self.debt(Debt::incur) } else { None };
        self.unlock(next);
        match owed {
            Some(owed) => Take::Last(node, owed),
            None => Take::One(node),
        }
    }

    fn queue_up(&self, debt: &mut Debt) -> Take<T> {
        match debt.incur() {
            Some(owed) => Take::Dry(owed),
            None => {
                debt.waiting += 1;
                Take::Wait(self.refills_seen())
            }
        }
    }

    /// Gives an M back. Signals must be blocked. From here on another thread may take it.
    pub(crate) fn put(&self, node: &'static mut T) {
        let first = self.lock();
        node.link().set(first);
        self.unlock(node);
    }

    /// Takes on the debt of an empty list without a debtor; none in every other case. Signals must
    /// be blocked.
    pub(crate) fn stock(&self) -> Option<Owed> {
        let first = self.lock();
        let owed = if first.is_null() { self.debt(Debt::incur) } else { None };
        self.unlock(first);
        owed
    }

    /// Returns how many Ms a debtor makes: one for each waiter it can see, and one more. A thread
    /// that comes later finds the list filled, or gets an [`Owed`] of its own.
    pub(crate) fn wanted(&self) -> u32 {
        let first = self.lock();
        let waiting = self.debt(|debt| debt.waiting);
        self.unlock(first);
        waiting + 1
    }

    /// Pays the debt with `made`, or writes it off because of the OS error `failure`. Wakes all
    /// waiters either way. Signals must be blocked.
    pub(crate) fn pay(&self, _owed: Owed, made: Chain<T>, failure: i32) {
        let old = self.lock();
        let first = if made.is_empty() {
            old
        } else {
            // SAFETY: a chain that is not empty has a last node; no other thread has seen it yet.
            unsafe { &*made.last }.link().set(old);
            made.first
        };
        let waiting = self.debt(|debt| std::mem::take(debt).waiting);
        let failure = if first.is_null() { failure.cast_unsigned() } else { 0 };
        self.failure.store(failure, Ordering::Relaxed);
        // ORDERING[extra.refill]: `wait` sees the count, then the failure stored above.
        self.refills.word.fetch_add(1, Ordering::Release);
        self.unlock(first);
        if waiting > 0 && !(mutated("extra.failed_refill_wakes") && failure != 0) {
            self.refills.wake_all();
        }
    }

    /// Sleeps until the debt that `seen` waits for is paid or written off.
    ///
    /// # Errors
    ///
    /// The OS error for which it was written off. The word holds the latest outcome: after two
    /// refills in a row a waiter may see the second outcome, which is as true for it.
    pub(crate) fn wait(&self, seen: RefillSeen) -> Result<(), i32> {
        // ORDERING[extra.refill]: with the count comes the failure that `pay` stored before it.
        while self.refills.word.load(Ordering::Acquire) == seen.0 {
            self.refills.wait(seen.0);
        }
        match self.failure.load(Ordering::Relaxed) {
            0 => Ok(()),
            errno => Err(errno.cast_signed()),
        }
    }

    fn refills_seen(&self) -> RefillSeen {
        RefillSeen(self.refills.word.load(Ordering::Relaxed))
    }

    fn debt<R>(&self, f: impl FnOnce(&mut Debt) -> R) -> R {
        self.debt.with_mut(|debt| {
            // SAFETY: called by the holder of the lock only.
            f(unsafe { &mut *debt })
        })
    }

    /// Locks `head` and returns its value.
    ///
    /// The holder is a few instructions from done, and no handler can hold it up, so this spins. It
    /// yields between looks, because the kernel may have taken the processor away from the holder.
    fn lock(&self) -> *mut T {
        let mut looks = 0_u32;
        loop {
            let first = self.head.load(Ordering::Relaxed);
            if first != locked() {
                // ORDERING[extra.lock]: the holder before us wrote links and debt; its `unlock`
                // makes them visible.
                let outcome = self.head.compare_exchange(
                    first,
                    locked(),
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                if outcome.is_ok() {
                    return first;
                }
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(64) { thread::yield_now() } else { spin_loop() }
        }
    }

    fn unlock(&self, first: *mut T) {
        // ORDERING[extra.lock]: hands links, debt and the nodes themselves to the next `lock`.
        let order =
            if mutated("extra.unlock_releases") { Ordering::Relaxed } else { Ordering::Release };
        self.head.store(first, order);
    }
}

impl Debt {
    fn incur(&mut self) -> Option<Owed> {
        if self.owing {
            return None;
        }
        self.owing = true;
        Some(Owed(()))
    }
}

/// The value of `head` while the list is locked; no node lies at an odd address.
fn locked<T>() -> *mut T {
    const { assert!(align_of::<T>() > 1, "a node at an odd address looks like a locked list") };
    ptr::without_provenance_mut(1)
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;
    use std::thread::{scope, yield_now};

    struct Numbered {
        link: Link<Numbered>,
        number: usize,
    }

    // SAFETY: one link each.
    unsafe impl Node for Numbered {
        fn link(&self) -> &Link<Self> {
            &self.link
        }
    }

    // SAFETY: numbers, and a link that belongs to the list.
    unsafe impl Send for Numbered {}

    fn chain(numbers: std::ops::Range<usize>) -> Chain<Numbered> {
        let mut chain = Chain::new();
        numbers.for_each(|number| {
            chain.push(Box::leak(Box::new(Numbered { link: Link::new(), number })))
        });
        chain
    }

    /// Returns a list whose only node is taken: empty, and in debt.
    fn indebted() -> (ExtraList<Numbered>, Owed) {
        let list = ExtraList::new();
        let owed = list.stock().expect("empty and nobody owes");
        assert!(list.stock().is_none(), "one debtor at a time");
        list.pay(owed, chain(0..1), 0);
        assert!(list.stock().is_none(), "there is one");
        let Take::Last(node, owed) = list.take() else { panic!("one node") };
        assert_eq!(node.number, 0);
        (list, owed)
    }

    const WAITERS: usize = 5;

    /// Lets [`WAITERS`] threads find the list empty, and pays the debt once all are counted.
    fn pay_with_waiters(made: usize, failure: i32) -> Vec<Result<(), i32>> {
        let (list, owed) = indebted();
        scope(|scope| {
            let waiters: Vec<_> = (0..WAITERS)
                .map(|_| {
                    scope.spawn(|| {
                        let Take::Wait(seen) = list.take() else { panic!("somebody owes") };
                        list.wait(seen)
                    })
                })
                .collect();
            while list.wanted() < WAITERS as u32 + 1 {
                yield_now();
            }
            list.pay(owed, chain(0..made), failure);
            waiters.into_iter().map(|waiter| waiter.join().expect("waiter")).collect()
        })
    }

    #[test]
    fn waiters_are_counted_and_served_in_one_go() {
        assert_eq!(pay_with_waiters(WAITERS + 1, 0), [Ok(()); WAITERS]);
    }

    #[test]
    fn a_failed_refill_wakes_all_waiters_with_its_error() {
        assert_eq!(pay_with_waiters(0, libc::ENOMEM), [Err(libc::ENOMEM); WAITERS]);
    }

    #[test]
    fn a_node_that_came_back_outweighs_a_failed_refill() {
        let (list, owed) = indebted();
        let Take::Wait(seen) = list.take() else { panic!("somebody owes") };
        list.put(Box::leak(Box::new(Numbered { link: Link::new(), number: 7 })));
        list.pay(owed, Chain::new(), libc::ENOMEM);
        assert_eq!(list.wait(seen), Ok(()));
        assert!(matches!(list.take(), Take::Last(node, _) if node.number == 7));
        assert!(matches!(list.take(), Take::Wait(_)));
    }

    #[test]
    fn a_debt_that_was_written_off_falls_to_the_next() {
        let (list, owed) = indebted();
        list.pay(owed, Chain::new(), libc::ENOMEM);
        let Take::Dry(owed) = list.take() else { panic!("nobody owes") };
        list.pay(owed, chain(0..3), 0);
        let taken = [list.take(), list.take()].map(|take| match take {
            Take::One(node) => node.number,
            _ => panic!("three nodes"),
        });
        assert_eq!(taken, [2, 1], "last in, first out");
    }
}
