//! The way into a runtime: the process that made it, a door, the runtime behind it, and where the
//! door's closer waits.
//!
//! The runtime is reached from inside only (`extra/room.rs`), so it can be let go while C still
//! calls. What is left then is small.
//!
//! The closer waits as everything waits here: a goroutine parks, a plain thread sleeps. Those who
//! go out of a closed door tell it, on a slow path that an open door does not have.
//!
//! Each closer has a notification of its own, and is on the list before it looks who is inside. So
//! whoever goes out after that look tells it. One notification for all would not do: a closer that
//! is in some of the calls itself waits for fewer than another one, which would use it up.
//!
//! A bridge that leads nowhere any more may be given another entrance (`extra/line.rs`). The old
//! one is retired: its runtime is let go when nobody is inside, and nobody waits for that.
//!
//! # Safety
//!
//! The handle is given to those who are inside.
#![expect(unsafe_code, reason = "lends the content of a room")]

use crate::error::EnterError;
use crate::extra::door::{IsClosed, Place};
use crate::extra::line::{Link, Next};
use crate::extra::process::Process;
use crate::extra::room::Room;
use gosched_scheduler::embed::{self, Bound, Handle, Notify};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The way in of a callback, or of a bridge and its copies.
pub(crate) struct Entrance {
    pub(crate) process: &'static Process,
    /// While it is there, any thread may come and wake goroutines of the runtime.
    runtime: Room<Bound>,
    /// Who waits until others are inside no more.
    closers: Mutex<Vec<Arc<Notify>>>,
    /// The entrance that calls take instead, once this one leads nowhere.
    next: Next<Entrance>,
}

impl Link for Entrance {
    #[inline]
    fn next(&self) -> &Next<Self> {
        &self.next
    }
}

impl Entrance {
    /// Returns an open one.
    ///
    /// # Errors
    ///
    /// No memory for the fork hook.
    #[inline]
    pub(crate) fn new(handle: Handle) -> io::Result<Self> {
        let process = Process::this()?;
        process.prepare();
        let runtime = Room::new(Bound::new(handle));
        Ok(Self { process, runtime, closers: Mutex::new(Vec::new()), next: Next::none() })
    }

    /// True if a call may come in, as far as can be seen before.
    #[inline]
    pub(crate) fn seems_open(&self) -> bool {
        !self.process.forked() && !self.runtime.door.is_closed()
    }

    /// Asks what can be asked before the thread is changed.
    #[inline]
    pub(crate) fn ask(&self) -> Result<(), EnterError> {
        if self.process.forked() {
            return Err(EnterError::Forked.refused());
        }
        if self.runtime.door.is_closed() {
            return Err(self.refusal());
        }
        Ok(())
    }

    /// Returns the error for a call that found the door closed.
    #[cold]
    fn refusal(&self) -> EnterError {
        // One that was replaced while the call came was not closed by a user: its runtime was over.
        let replaced = self.runtime.door.was_closed() && self.next.is_some();
        if replaced { EnterError::ShutDown.refused() } else { EnterError::Closed.refused() }
    }

    /// True if no call will come in by this any more, nor into its runtime.
    #[inline]
    pub(crate) fn leads_nowhere(&self) -> bool {
        !self.seems_open() || self.runtime_shuts_down().unwrap_or(true)
    }

    /// Asks, as far as a call can that does not come in.
    #[inline]
    pub(crate) fn ask_runtime(&self) -> Result<(), EnterError> {
        self.ask()?;
        if self.runtime_shuts_down()? { Err(EnterError::ShutDown.refused()) } else { Ok(()) }
    }

    #[inline]
    fn runtime_shuts_down(&self) -> Result<bool, EnterError> {
        // SAFETY: used before the call goes out.
        let shuts_down = embed::shuts_down(unsafe { self.count_in() }?);
        self.count_out();
        Ok(shuts_down)
    }

    /// Refuses calls, and lets the runtime go when nobody is inside. In a forked child the runtime
    /// stays, as all of the parent's does.
    #[inline]
    pub(crate) fn retire(&self) {
        if self.process.forked() {
            return self.close_door();
        }
        drop(self.runtime.retire(&self.process.places));
    }

    /// Comes in by a place. The caller [tells](Self::tell) in both cases, after it has gone out, or
    /// after it was refused.
    ///
    /// # Safety
    ///
    /// The handle is not used after [`go_out`](Self::go_out).
    #[inline]
    pub(crate) unsafe fn come_in(&self, place: &Place) -> Result<&Handle, EnterError> {
        // SAFETY: as the caller says.
        match unsafe { self.runtime.come_in(place) } {
            Ok(bound) => Ok(bound.handle()),
            Err(IsClosed) => Err(self.refusal()),
        }
    }

    /// Returns the runtime.
    ///
    /// # Safety
    ///
    /// The caller is inside, and does not use it after it has gone out.
    #[inline]
    pub(crate) unsafe fn handle(&self) -> &Handle {
        // SAFETY: as the caller says.
        unsafe { self.runtime.content() }.handle()
    }

    /// Goes out, after [`come_in`](Self::come_in).
    #[inline]
    pub(crate) fn go_out(&self, place: &Place) {
        self.runtime.door.go_out(place);
    }

    /// Tells the closers. Called when the calling thread has gone out, or was refused, and is in
    /// nobody's way.
    #[inline]
    pub(crate) fn tell(&self) {
        if self.runtime.door.is_waited_for() {
            self.tell_closers();
        }
    }

    #[cold]
    fn tell_closers(&self) {
        // A child of a fork in a call has no closers, and a thread of the parent may have had the
        // lock.
        if self.process.forked() {
            return;
        }
        // With the lock free: to notify takes locks of the scheduler's.
        let closers = self.closers().clone();
        closers.iter().for_each(|closer| closer.notify_one());
        drop(self.runtime.take_if_left(&self.process.places));
    }

    /// Comes in without a place, until [`count_out`](Self::count_out).
    ///
    /// # Safety
    ///
    /// The handle is not used after that.
    #[inline]
    pub(crate) unsafe fn count_in(&self) -> Result<&Handle, EnterError> {
        // SAFETY: as the caller says.
        match unsafe { self.runtime.count_in() } {
            Ok(bound) => Ok(bound.handle()),
            Err(IsClosed) => {
                self.tell();
                Err(self.refusal())
            }
        }
    }

    /// Goes out, after [`count_in`](Self::count_in).
    #[inline]
    pub(crate) fn count_out(&self) {
        self.runtime.door.count_out();
        self.tell();
    }

    /// Closes the door, and waits for nobody.
    #[inline]
    pub(crate) fn close_door(&self) {
        self.runtime.door.close();
    }

    /// Closes the door, and waits until `deadline` for those inside but the `own` calls of the
    /// calling thread. Returns how many are left then.
    #[inline]
    pub(crate) fn close(&self, deadline: Option<Instant>, own: usize) -> usize {
        self.close_door();
        let gone = Arc::new(Notify::new());
        self.closers().push(gone.clone());
        let _listed = Listed { entrance: self, gone: &gone };
        let others = || self.runtime.door.inside(&self.process.places).saturating_sub(own);
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

    /// Takes the runtime out.
    ///
    /// # Safety
    ///
    /// The door was closed, and nobody has been inside of it since some moment after that.
    #[inline]
    pub(crate) unsafe fn take_runtime(&self) -> Option<Bound> {
        // SAFETY: as the caller says.
        unsafe { self.runtime.take() }
    }

    #[inline]
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
    #[inline]
    fn drop(&mut self) {
        self.entrance.closers().retain(|closer| !Arc::ptr_eq(closer, self.gone));
    }
}
