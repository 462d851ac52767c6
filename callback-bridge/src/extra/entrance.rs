//! A door, and where its closer waits.
//!
//! The closer waits as everything waits here: a goroutine parks, a plain thread sleeps. Those who
//! go out of a closed door tell it, one call of many at a time, on a slow path that an open door
//! does not have.

use crate::extra::door::{Door, IsClosed, Places};
use gosched_scheduler::embed::{self, Notify};
use std::time::Instant;

/// The door of a bridge and of its copies.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) door: Door,
    /// One is inside no more.
    gone: Notify,
}

impl Entrance {
    /// Returns one with an open door.
    pub(crate) fn new() -> Self {
        Self { door: Door::new(), gone: Notify::new() }
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
        // All of them: a closer that is in some of the calls itself waits for fewer than another.
        self.gone.notify_waiters();
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
        let others = || self.door.inside(places).saturating_sub(own);
        loop {
            // Made before the look: who goes out after that ends this wait.
            let gone = self.gone.notified();
            if others() == 0 {
                return 0;
            }
            match deadline {
                None => embed::block_on(gone),
                Some(deadline) => {
                    if embed::block_on(embed::timeout_at_async(deadline, gone)).is_err() {
                        return others();
                    }
                }
            }
        }
    }
}
