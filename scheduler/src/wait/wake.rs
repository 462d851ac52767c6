//! Waking all waiters of a list.

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};

use super::owed::{Panics, wake_each};
use super::waiter::{Mark, Popped, Unpark, WaitList};

/// Wakes every waiter that is in the list now. Returns the panics of their wakers, which go on when
/// all is woken and dropped.
pub(crate) fn wake_all<'a, S, T, K: Unpark>(
    lock: &'a Mutex<S>,
    mut guard: MutexGuard<'a, S>,
    list: fn(&mut S) -> &mut WaitList<T, K>,
) -> Panics {
    let mark = list(&mut guard).mark();
    wake_up_to(lock, guard, list, mark)
}

/// Wakes every waiter that was in the list at the mark, also if the waker of a future among them
/// unwinds. Returns their panics.
///
/// The lock is dropped between them: a list has no bound, and to collect its waiters first would be
/// to allocate under the lock.
pub(crate) fn wake_up_to<'a, S, T, K: Unpark>(
    lock: &'a Mutex<S>,
    guard: MutexGuard<'a, S>,
    list: fn(&mut S) -> &mut WaitList<T, K>,
    mark: Mark,
) -> Panics {
    let mut held = Some(guard);
    wake_each(|| {
        let mut guard = held.take().unwrap_or_else(|| lock.lock());
        list(&mut guard).pop_before(mark).map(Popped::finish)
    })
}
