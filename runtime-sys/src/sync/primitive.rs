//! The one seam between std and loom. Every atomic and cell of a modelled protocol comes from here;
//! its locks come from [`lock`](crate::sync::lock).
//!
//! A build with `--cfg gosched_loom` uses loom's types. Nothing else in the workspace asks for that
//! cfg, except the models themselves. The futex is the only way a thread blocks in a protocol.
//! Under loom it is one mutex and one condition variable, so a forgotten wake-up is reported as a
//! deadlock.
//!
//! A build with `--cfg gosched_mutants` compiles in named mistakes ([`mutated`]). Each model, and
//! the signal storm, must fail when its mistake is switched on. In every other build `mutated` is a
//! constant `false` and costs nothing.

mod unmodelled {
    /// A mutex for statics, the same in every build, without poisoning.
    ///
    /// A model's values live no longer than one of its runs, so loom's mutex cannot lie in a
    /// static. There is nothing to poison: no user code runs under the lock, so the value is valid
    /// at every point where user code could panic.
    #[derive(Debug, Default)]
    pub struct StaticMutex<T>(std::sync::Mutex<T>);

    /// The guard of [`StaticMutex`].
    pub type StaticMutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

    impl<T> StaticMutex<T> {
        /// Returns a free mutex around `value`.
        pub const fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }

        /// Blocks the thread until it has the lock.
        #[inline]
        pub fn lock(&self) -> StaticMutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Returns the value; `&mut self` says that the caller is its only user.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}
pub use unmodelled::{StaticMutex, StaticMutexGuard};

#[cfg(not(gosched_loom))]
mod real {
    pub use crate::sync::futex::Futex;
    pub use crate::sync::membarrier::{heavy as heavy_fence, light as light_fence};
    pub use std::cell::Cell;
    pub use std::sync::Arc;
    pub use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    /// Thread functions that a model may use.
    pub mod thread {
        pub use std::thread::{spawn, yield_now};
    }

    /// Tells the processor (or loom) that this thread waits for another thread.
    #[inline(always)]
    pub fn spin_loop() {
        std::hint::spin_loop();
    }

    /// An atomic pointer that is null at first, and may lie in a static in every build.
    #[derive(Debug)]
    pub struct StaticPtr<T>(AtomicPtr<T>);

    impl<T> StaticPtr<T> {
        /// Returns a null pointer.
        pub const fn null() -> Self {
            Self(AtomicPtr::new(std::ptr::null_mut()))
        }
    }

    impl<T> std::ops::Deref for StaticPtr<T> {
        type Target = AtomicPtr<T>;

        #[inline(always)]
        fn deref(&self) -> &AtomicPtr<T> {
            &self.0
        }
    }

    /// A cell whose accesses loom can check; in real builds, `std::cell::UnsafeCell`.
    #[derive(Debug)]
    #[repr(transparent)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// Returns a cell around `value`.
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Calls `f` with a pointer for reading.
        #[inline(always)]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Calls `f` with a pointer for writing.
        #[inline(always)]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(gosched_loom)]
mod model {
    pub use loom;
    pub use loom::cell::{Cell, UnsafeCell};
    pub use loom::hint::spin_loop;
    pub use loom::sync::{Arc, MutexGuard as LoomGuard, atomic::*};
    pub use loom::thread;

    /// An atomic pointer that is null at first. Loom's is made where it is first used.
    #[derive(Debug)]
    pub struct StaticPtr<T>(std::sync::OnceLock<AtomicPtr<T>>);

    impl<T> StaticPtr<T> {
        /// Returns a null pointer.
        pub const fn null() -> Self {
            Self(std::sync::OnceLock::new())
        }
    }

    impl<T> std::ops::Deref for StaticPtr<T> {
        type Target = AtomicPtr<T>;

        fn deref(&self) -> &AtomicPtr<T> {
            self.0.get_or_init(|| AtomicPtr::new(std::ptr::null_mut()))
        }
    }

    /// A mutex without poisoning.
    #[derive(Debug)]
    pub struct LoomMutex<T>(loom::sync::Mutex<T>);

    impl<T> LoomMutex<T> {
        /// Returns a free mutex around `value`.
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        /// Blocks the thread until it has the lock.
        pub fn lock(&self) -> LoomGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Returns the value; `&mut self` says that the caller is its only user.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// The frequent side's fence. In a model both sides of the asymmetric pair are full fences.
    pub fn light_fence() {
        fence(Ordering::SeqCst);
    }

    /// The rare side's fence; after it a sleep needs no bound.
    pub fn heavy_fence() -> Option<std::time::Duration> {
        fence(Ordering::SeqCst);
        None
    }

    /// A model's stand-in for a futex: the word, and the kernel's queue as one mutex and one
    /// condition variable.
    #[derive(Debug)]
    pub struct Futex {
        /// The word that is waited on.
        pub word: AtomicU32,
        lock: loom::sync::Mutex<()>,
        queue: loom::sync::Condvar,
    }

    impl Futex {
        /// Returns a futex whose word is `value`.
        pub fn new(value: u32) -> Self {
            Self {
                word: AtomicU32::new(value),
                lock: loom::sync::Mutex::new(()),
                queue: loom::sync::Condvar::new(),
            }
        }

        /// Sleeps while the word is `expected`; may return early.
        pub fn wait(&self, expected: u32) {
            let guard = self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // Acquire, as in the kernel's own check: the word is read under the lock that `wake`
            // takes.
            if self.word.load(Ordering::Acquire) == expected {
                drop(self.queue.wait(guard));
            }
        }

        /// Returns at once as if the deadline had passed: a model is to find out which is faster,
        /// the waker or the withdrawal.
        pub fn wait_until(&self, _expected: u32, _deadline: std::time::Instant) -> bool {
            loom::thread::yield_now();
            false
        }

        /// Wakes one sleeper.
        pub fn wake(&self) {
            drop(self.lock.lock());
            self.queue.notify_one();
        }

        /// Wakes all sleepers.
        pub fn wake_all(&self) {
            drop(self.lock.lock());
            self.queue.notify_all();
        }
    }
}

#[cfg(gosched_loom)]
pub use model::*;
#[cfg(not(gosched_loom))]
pub use real::*;

/// Defines a function that is `const` in real builds (loom's constructors are not).
#[macro_export]
#[doc(hidden)]
macro_rules! const_fn {
    ($(#[$m:meta])* $v:vis fn $($rest:tt)*) => {
        #[cfg(not(gosched_loom))]
        $(#[$m])* $v const fn $($rest)*
        #[cfg(gosched_loom)]
        $(#[$m])* $v fn $($rest)*
    };
}
#[doc(hidden)]
pub use crate::const_fn;

#[cfg(not(gosched_mutants))]
mod mutants {
    /// True if the named mistake is switched on: never, in a build without `--cfg gosched_mutants`.
    #[inline(always)]
    pub const fn mutated(_name: &str) -> bool {
        false
    }
}

#[cfg(gosched_mutants)]
mod mutants {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The mistake that is switched on, as its [`digest`]. One word, because signal handlers read
    /// it, too.
    static ON: AtomicU64 = AtomicU64::new(0);

    /// FNV-1a.
    const fn digest(name: &str) -> u64 {
        let bytes = name.as_bytes();
        let (mut hash, mut i) = (0xcbf2_9ce4_8422_2325_u64, 0);
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
            i += 1;
        }
        hash
    }

    /// Whether the named mistake is switched on.
    #[inline]
    pub fn mutated(name: &str) -> bool {
        ON.load(Ordering::Relaxed) == digest(name)
    }

    /// Switches one mistake on and all others off; an empty name switches all off.
    pub fn switch_on(name: &'static str) {
        ON.store(digest(name), Ordering::Relaxed);
    }
}

pub use mutants::*;
