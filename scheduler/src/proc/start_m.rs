//! Threads for the runtime: new Ms, and the joining of threads that have ended.
//!
//! # Who calls it
//!
//! - [`start_m`] makes an M for a P. `wake` calls it when a P is to run work and no M sleeps. The
//!   new M begins with that P; it counts as searching if the caller has counted a search for it.
//! - [`start_idle_m`] makes an M without a P. Sysmon calls it before it takes a P, so that an M is
//!   there to receive the P; if no thread can be made, the P stays where it is.
//! - [`replace`] makes an M that stands in for one whose goroutine ended locked to its thread. The
//!   M's loop calls it.
//! - [`reap`] joins ended threads. An M's thread and a thread of `Mode::threads` call it as the
//!   last thing they do.
//!
//! # Who owns what
//!
//! An M record belongs to the runtime from [`Sched::add_m`] to [`Sched::remove_m`], whether its
//! thread exists or not. The P of a new M travels in the record (`Remote::start_with`), and not in
//! the thread's closure, so it comes back if no thread can be made.
//!
//! A new M without a P is listed as a sleeper before its thread exists (`Dispatch::enlist`): from
//! then on others hand it a P or kick it as any other sleeper. If its thread cannot be made, it is
//! taken off the list again, and a P that it was handed meanwhile becomes idle.
//!
//! The number of Ms is limited by `Config::max_threads`. Threads that lend themselves to the
//! runtime do not count, nor do Ms that are about to end with others in their place.
//!
//! # Rejected
//!
//! Ending the thread of a goroutine that ended locked to it without a replacement: if it is the
//! last M of a runtime, everything stands still.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::proc::{attach, excess_p, new_thread};

/// Makes a new M for `p`, or gives `p` back if no thread can be made.
///
/// `searching`: the caller has counted a search for the M, which carries it out.
pub(crate) fn start_m(
    sched: &Sched,
    p: Box<P>,
    searching: bool,
) -> Result<(), (Box<P>, io::Error)> {
    let m = match new_record(sched) {
        Ok(m) => m,
        Err(error) => return Err((p, error)),
    };
    // The P travels in the M's record: the closure of a thread that cannot be made is lost.
    m.remote.start_with(p, searching);
    spawn(sched, m).map_err(|error| {
        let p = m.remote.take_next_p().expect("the thread that would take it was not made").p;
        sched.remove_m(m);
        (p, error)
    })
}

/// Makes a new M that begins asleep, so that it can be handed a P that is yet to be taken.
///
/// After an error the caller submits, if there is free work.
pub(crate) fn start_idle_m(sched: &Sched) -> io::Result<()> {
    let m = new_record(sched)?;
    sched.dispatch.enlist(&&m.remote);
    spawn(sched, m).inspect_err(|_| {
        if let Some(given) = sched.dispatch.cancel_enlist(&&m.remote) {
            excess_p::put_back(sched, given.p);
            // Publishers have relied on a search of this M, or on its P. The caller submits.
            let _the_caller_submits = given.searching && sched.idle.stop_search();
        }
        // Others may have brought it for a G that is to begin apart.
        sched.apart.open();
        sched.remove_m(m);
    })
}

/// Replaces `m` by a new M. From then on `m` starts no Gs, and ends with its last settled G.
///
/// False if no M can be made. Then `m` stays as it is: the runtime may have no other.
#[cold]
pub(crate) fn replace(sched: &Sched, m: &'static M) -> bool {
    m.set_exiting(true);
    let was_resident = sched.leave_residents(m);
    sched.exiting.fetch_add(1, Relaxed);
    let replaced = start_idle_m(sched).is_ok();
    if !replaced {
        sched.exiting.fetch_sub(1, Relaxed);
        m.set_exiting(false);
        if was_resident {
            sched.make_resident(m);
        }
    }
    replaced
}

/// Returns an M record of this runtime, for a thread that is yet to be made.
fn new_record(sched: &Sched) -> io::Result<&'static M> {
    if sched.m_count()
        >= sched.config.max_threads + sched.lent_threads.load(Relaxed) + sched.exiting.load(Relaxed)
    {
        return Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            "the runtime has as many threads as it may",
        ));
    }
    let m = M::acquire();
    if let Err(error) = attach::prepare(m) {
        m.release();
        return Err(error);
    }
    sched.add_m(m);
    Ok(m)
}

/// Makes the thread of `m`.
fn spawn(sched: &Sched, m: &'static M) -> io::Result<()> {
    let owner = sched.arc();
    let name = format!("{}-m{}", sched.config.name, sched.m_count());
    let main = move || {
        new_thread::ask_for_slice(&owner);
        (owner.m_main)(&owner, m);
    };
    let join = new_thread::make(sched, name, main)?;
    new_thread::keep_handle(sched, join);
    Ok(())
}

/// Joins the threads that have ended. Until then the system keeps their stacks.
pub(crate) fn reap(sched: &Sched) {
    loop {
        let mut joins = sched.threads_to_join.lock();
        let Some(at) = joins.iter().position(thread::JoinHandle::is_finished) else { return };
        let ended = joins.swap_remove(at);
        drop(joins);
        // An M's loop does not panic: that aborts.
        let _ended = ended.join();
    }
}
