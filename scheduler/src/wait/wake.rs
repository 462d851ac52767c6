//! Waking everybody who waits in a list.

use gosched_runtime_sys::sync::lock::{Mutex, MutexGuard};

use super::waiter::{Mark, Popped, Unpark, WaitList, wake_each};

/// Lets everybody in the list go who is in it now.
pub(crate) fn wake_all<'a, S, T, K: Unpark>(
    lock: &'a Mutex<S>,
    mut guard: MutexGuard<'a, S>,
    list: fn(&mut S) -> &mut WaitList<T, K>,
) {
    let mark = list(&mut guard).mark();
    wake_up_to(lock, guard, list, mark);
}

/// Lets everybody in the list go who was in it at the mark, also if a waker among theirs unwinds.
/// The lock is dropped between them: a list has no bound, and what is collected from it would have
/// to be allocated under the lock.
pub(crate) fn wake_up_to<'a, S, T, K: Unpark>(
    lock: &'a Mutex<S>,
    guard: MutexGuard<'a, S>,
    list: fn(&mut S) -> &mut WaitList<T, K>,
    mark: Mark,
) {
    let mut held = Some(guard);
    wake_each(|| {
        let mut guard = held.take().unwrap_or_else(|| lock.lock());
        list(&mut guard).pop_before(mark).map(Popped::finish)
    });
}
