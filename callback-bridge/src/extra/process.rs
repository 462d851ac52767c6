//! The share of one process in all its bridges: the list of extra Ms.
//!
//! A fork copies memory and one thread. What the other threads were doing to the list stays half
//! done in the child: an M that a thread had taken never comes back. So the list belongs to a
//! process. A bridge that is bound in a child gets a new list. Everything that was made before the
//! fork is left alone there, leaked with the parent's runtime.
//!
//! To find the list takes no lock: a thread that had it at the fork would never give it back in the
//! child.
//!
//! # Safety
//!
//! The pointer to a process's share is null or from a leaked box.
#![expect(unsafe_code, reason = "a static pointer to what is never freed")]

use crate::extra::door::Places;
use crate::extra::m::ExtraM;
use crate::extra::stock::Stock;
use gosched_runtime_sys::clock;
use gosched_runtime_sys::sync::primitive::light_fence;
use gosched_runtime_sys::thread::fork;
use std::io;
use std::ptr;
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Release},
};

/// How many Ms there are from the first `bind` on. A thread that takes the last M has to map memory
/// for another; three that are inside together do not.
const FIRST_MS: usize = 4;

/// How many Ms a thread strips at most that needs one: some microseconds each.
const STRIPPED_AT_ONCE: u32 = 8;

/// The list of one process. Never freed.
pub(crate) struct Process {
    /// The process, counted in forks.
    generation: u32,
    /// Its Ms, and those of them that no thread uses.
    pub(crate) extra: Stock<ExtraM>,
    /// The places of all Ms.
    pub(crate) places: Places,
}

impl Process {
    /// Returns this process's list.
    ///
    /// # Errors
    ///
    /// No memory for the fork hook. Without it a child would not know that it is one.
    #[inline]
    pub(crate) fn this() -> io::Result<&'static Self> {
        static THIS: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
        fork::register_hook()?;
        // ORDERING[process.this]: partner is the exchange below; the list becomes visible.
        let mut there = THIS.load(Acquire);
        // SAFETY: null, or leaked.
        while unsafe { there.as_ref() }.is_none_or(Self::forked) {
            let new = Box::into_raw(Box::new(Self {
                generation: fork::generation(),
                extra: Stock::new(),
                places: Places::new(),
            }));
            // ORDERING[process.this]: partner is the load above, and that of a failed exchange.
            there = match THIS.compare_exchange(there, new, Release, Acquire) {
                Ok(_) => new,
                Err(faster) => {
                    // SAFETY: made above, and nobody else has it.
                    drop(unsafe { Box::from_raw(new) });
                    faster
                }
            };
        }
        // SAFETY: leaked, and not null.
        Ok(unsafe { &*there })
    }

    /// True if this is a forked child of the process meant. Async-signal-safe.
    #[inline]
    pub(crate) fn forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Makes an M, or makes a bare one ready. Allocates.
    #[inline]
    pub(crate) fn make_m(&'static self) -> io::Result<&'static mut ExtraM> {
        let Some(m) = self.extra.take_bare() else {
            return ExtraM::new(&self.extra, &self.places);
        };
        match m.dress() {
            Ok(()) => Ok(m),
            Err(error) => {
                self.extra.put_bare_back(m);
                Err(error)
            }
        }
    }

    /// Strips some Ms that were not needed lately. Not for the gap: this unmaps memory.
    #[inline]
    pub(crate) fn trim(&'static self) {
        let surplus = self.extra.surplus(clock::monotonic_ns);
        for _ in 0..surplus.min(STRIPPED_AT_ONCE) {
            let Some(m) = self.extra.take_spare() else { return };
            m.strip();
            self.extra.put_bare(m);
        }
    }

    /// Prepares for the first callbacks: puts [`FIRST_MS`] Ms on an empty list. Without memory for
    /// an M there are fewer. Who finds the list empty tries again and can report the error.
    ///
    /// The process's first fence of the asymmetric pair registers with the kernel, which takes some
    /// 10 ms where there are other threads. A callback goes through such a fence.
    #[inline]
    pub(crate) fn prepare(&'static self) {
        light_fence();
        let Some(owed) = self.extra.owe() else { return };
        for _ in 1..FIRST_MS {
            let Ok(m) = self.make_m() else { return };
            self.extra.put(m);
        }
        if let Ok(m) = self.make_m() {
            self.extra.pay(owed, m);
        }
    }

    /// Puts another M on an empty list, unless a thread is about to. Without memory for it the list
    /// stays empty. Not for the gap: this allocates.
    #[inline]
    pub(crate) fn stock(&'static self) {
        if let Some(owed) = self.extra.owe()
            && let Ok(m) = self.make_m()
        {
            self.extra.pay(owed, m);
        }
    }
}
