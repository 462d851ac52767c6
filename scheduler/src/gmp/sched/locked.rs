//! How many Ms may have a locked thread. The others start what is new.

use std::io;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

use crate::gmp::m::M;
use crate::gmp::sched::Sched;

impl Sched {
    /// Counts `m`, whose thread is about to be locked. Fails if none would be left of the threads
    /// that the runtime may make. A lent thread is not one of those.
    pub(crate) fn admit_lock(&self, m: &M) -> io::Result<()> {
        if m.locks.is_lent() {
            return Ok(());
        }
        let most = self.config.max_threads - 1;
        let admitted = self
            .locked_ms
            .fetch_update(Relaxed, Relaxed, |locked| (locked < most).then_some(locked + 1));
        admitted.map(drop).map_err(|_| {
            io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "all other threads of the runtime are locked, and it may make no more \
                 (Builder::max_threads)",
            )
        })
    }

    /// Undoes [`admit_lock`](Self::admit_lock).
    pub(crate) fn end_lock(&self, m: &M) {
        if !m.locks.is_lent() {
            self.locked_ms.fetch_sub(1, Relaxed);
        }
    }

    /// True if the runtime has another M than `m` that starts goroutines.
    pub(crate) fn has_starter_beside(&self, m: &M) -> bool {
        let ms = self.ms.lock();
        ms.list
            .iter()
            .any(|other| !ptr::eq(*other, m) && !other.locks.is_locked() && !other.is_exiting())
    }
}
