//! A `Vec` under a lock that grows while the lock is free.
//!
//! A global allocator may call into the scheduler from wherever the scheduler allocates. Under a
//! lock, the thread would then wait for itself. So what can be intrusive is intrusive (`list`,
//! `inbox`), and what is a `Vec` grows here.

use std::mem;
use std::ops::DerefMut;

/// Pushes `value` to the list in what `lock` locks. The memory for a longer list is allocated, and
/// the outgrown memory freed, with the lock free.
pub(crate) fn push<S, T, L>(lock: impl Fn() -> L, list: fn(&mut S) -> &mut Vec<T>, value: T)
where
    L: DerefMut<Target = S>,
{
    with_room(lock, list, |locked| list(locked).push(value));
}

/// Calls `f` under the lock when the list has room for one more.
pub(crate) fn with_room<S, T, L, R>(
    lock: impl Fn() -> L,
    list: fn(&mut S) -> &mut Vec<T>,
    f: impl FnOnce(&mut S) -> R,
) -> R
where
    L: DerefMut<Target = S>,
{
    let mut room = Vec::new();
    loop {
        let mut guard = lock();
        let items = list(&mut guard);
        let wanted = items.len() + 1;
        if items.capacity() < wanted && room.capacity() >= wanted {
            room.append(items);
            mem::swap(items, &mut room);
        }
        if items.capacity() >= wanted {
            let done = f(&mut guard);
            // The guard is dropped before the outgrown list.
            drop(guard);
            return done;
        }
        drop(guard);
        room = Vec::with_capacity((2 * wanted).max(8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn values_keep_their_order_over_many_growths() {
        let list = Mutex::new((0, Vec::new()));
        for n in 0..1000 {
            push(|| list.lock().expect("no panic"), |(_, values)| values, n);
        }
        assert!(list.into_inner().expect("no panic").1.into_iter().eq(0..1000));
    }
}
