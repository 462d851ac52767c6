//! What `std`'s types implement, too, and needs nothing of how ours are made.

use std::fmt;

use super::once::LazyLock;
use super::rwlock::{
    ArcRwLockReadGuard, ArcRwLockWriteGuard, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard,
};

/// A guard is shown as what it guards.
macro_rules! shows_what_it_guards {
    ($($guard:ty),* $(,)?) => {$(
        impl<T: ?Sized + fmt::Display> fmt::Display for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    )*};
}

shows_what_it_guards!(
    RwLockReadGuard<'_, T>,
    RwLockWriteGuard<'_, T>,
    RwLockUpgradableReadGuard<'_, T>,
    ArcRwLockReadGuard<T>,
    ArcRwLockWriteGuard<T>,
);

impl<T: Default> Default for LazyLock<T> {
    /// Makes the default value when it is asked for.
    fn default() -> Self {
        Self::new(T::default)
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sync::rwlock::RwLock;

    #[test]
    fn guards_are_shown_as_what_they_guard() {
        let lock = Arc::new(RwLock::new("text"));
        assert_eq!(format!("{:>6}", lock.read().expect("not poisoned")), "  text");
        assert_eq!(lock.upgradable_read().expect("not poisoned").to_string(), "text");
        assert_eq!(lock.write().expect("not poisoned").to_string(), "text");
        assert_eq!(lock.read_arc().expect("not poisoned").to_string(), "text");
        assert_eq!(lock.write_arc().expect("not poisoned").to_string(), "text");
    }

    #[test]
    fn a_lazy_value_has_a_default() {
        assert_eq!(*LazyLock::<Vec<u8>>::default(), []);
    }
}
