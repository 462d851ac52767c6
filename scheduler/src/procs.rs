//! The number of processors, for users.

use std::io;

use crate::gmp::p::check_number;
use crate::proc::set_procs::set_procs;
use crate::runtime::{Handle, Runtime};

impl Runtime {
    /// From here on so many goroutines run at the same time, 1 to 1024: as
    /// [`Builder::procs`](crate::Builder::procs), while the runtime works; from any thread,
    /// goroutines included. If several threads call it at once, one of their numbers holds.
    ///
    /// It returns without waiting. Processors that come are there at once. Of those that go, idle
    /// ones do so at once, and those in use when their goroutine next suspends, or is found to keep
    /// its processor for longer than its slice of 10 ms
    /// ([`Stats::surplus_procs`](crate::Stats::surplus_procs)). Goroutines stay where they have
    /// settled: with fewer processors their threads take turns, and with more, new goroutines start
    /// on new threads.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `n` is out of its range; nothing changes then.
    ///
    /// ```
    /// use gosched::{Mode, Runtime};
    ///
    /// // SAFETY: nothing runs in it.
    /// let rt = Runtime::builder(unsafe { Mode::settled() }).procs(1).build()?;
    /// rt.set_procs(3)?;
    /// assert_eq!(rt.stats().procs, 3);
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias("GOMAXPROCS", "worker_threads"))]
    #[inline]
    pub fn set_procs(&self, n: usize) -> io::Result<()> {
        self.handle().set_procs(n)
    }
}

impl Handle {
    /// As [`Runtime::set_procs`].
    ///
    /// # Errors
    ///
    /// The same.
    #[doc(alias("GOMAXPROCS", "worker_threads"))]
    #[inline]
    pub fn set_procs(&self, n: usize) -> io::Result<()> {
        check_number(n)?;
        set_procs(self.sched(), n);
        Ok(())
    }
}
