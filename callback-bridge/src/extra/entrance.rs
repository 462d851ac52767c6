//! A door, and where its closer waits.
//!
//! The closer waits as everything waits here: a goroutine parks, a plain thread sleeps. Those who
//! go out of a closed door tell it, on a slow path that an open door does not have.
//!
//! Each closer has a notification of its own, and is on the list before it looks who is inside. So
//! whoever goes out after that look tells it. One notification for all would not do: a closer that
//! is in some of the calls itself waits for fewer than another one, which would use it up.

use crate::extra::door::{Door, IsClosed, Places};
use gosched_scheduler::embed::Notify;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The door of a bridge and of its copies.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) door: Door,
    /// Who waits until others are inside no more.
    closers: Mutex<Vec<Arc<Notify>>>,
}

impl Entrance {
    /// Returns one with an open door.
    pub(crate) fn new() -> Self {
        Self { door: Door::new(), closers: Mutex::new(Vec::new()) }
    }

    /// Tells a closer. Called when the calling thread has gone out, or was refused, and is in
    /// nobody's way.
    #[inline]
    pub(crate) fn tell(&self) {
        if self.door.is_waited_for() {
            self.tell_closer();
        }
    }

    #[cold]
    fn tell_closer(&self) {
        // With the lock free: to notify takes locks of the scheduler's.
        let closers = self.closers().clone();
        closers.iter().for_each(|closer| closer.notify_one());
    }

    /// Comes in without a place, until [`count_out`](Self::count_out).
    pub(crate) fn count_in(&self) -> Result<(), IsClosed> {
        self.door.count_in().inspect_err(|IsClosed| self.tell())
    }

    /// Goes out, after [`count_in`](Self::count_in).
    pub(crate) fn count_out(&self) {
        self.door.count_out();
        self.tell();
    }

    /// Closes the door, and waits until `deadline` for those inside but the `own` calls of the
    /// calling thread. Returns how many are left then.
    pub(crate) fn close(&self, places: &Places, deadline: Option<Instant>, own: usize) -> usize {
        self.door.close();
        let gone = Arc::new(Notify::new());
        self.closers().push(gone.clone());
        let _listed = Listed { entrance: self, gone: &gone };
        let others = || self.door.inside(places).saturating_sub(own);
        loop {
            if others() == 0 {
                return 0;
            }
            match deadline {
                None => gone.wait(),
                Some(deadline) if gone.wait_deadline(deadline).is_err() => return others(),
                Some(_) => {}
            }
        }
    }

    fn closers(&self) -> MutexGuard<'_, Vec<Arc<Notify>>> {
        self.closers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a closer off the list when it is dropped, also when a cancel ends the wait.
struct Listed<'a> {
    entrance: &'a Entrance,
    gone: &'a Arc<Notify>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.entrance.closers().retain(|closer| !Arc::ptr_eq(closer, self.gone));
    }
}
