//! Threads for the runtime: a new M, for a P that nobody runs or for one that is about to be taken;
//! and sysmon.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use gosched_runtime_sys::thread::spawn_thread;

use crate::ds::grow;
use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::gmp::sched::Sched;
use crate::proc::{attach, excess_p};

/// Makes a new M for `p`. It starts out searching if the caller holds a token for that. Gives the P
/// back if no thread can be made.
pub(crate) fn start_m(
    sched: &Sched,
    p: Box<P>,
    searching: bool,
) -> Result<(), (Box<P>, io::Error)> {
    let m = match prepared(sched) {
        Ok(m) => m,
        Err(error) => return Err((p, error)),
    };
    // The P travels in the seat, so that it is not lost with the closure of a thread that could not
    // be made.
    m.remote.start_with(p, searching);
    spawn(sched, m).map_err(|error| {
        let p = m.remote.take_next_p().expect("the thread that would take it was not made").p;
        sched.remove_m(m);
        (p, error)
    })
}

/// Makes a new M that begins asleep: somebody to hand a P to that is yet to be taken from where it
/// is.
pub(crate) fn start_idle_m(sched: &Sched) -> io::Result<()> {
    let m = prepared(sched)?;
    sched.dispatch.enlist(&&m.remote);
    spawn(sched, m).inspect_err(|_| {
        if let Some(p) = sched.dispatch.cancel_enlist(&&m.remote) {
            excess_p::put_back(sched, p);
        }
        sched.remove_m(m);
    })
}

/// The M is to end as soon as nothing is settled on it, and starts nothing more; a new one stands
/// in for it. False: none can be made, and it has to stay as it is, for there may be nobody else.
#[cold]
pub(crate) fn replace(sched: &Sched, m: &'static M) -> bool {
    m.set_exiting(true);
    let was_home = sched.leave_residents(m);
    sched.exiting.fetch_add(1, Relaxed);
    let replaced = start_idle_m(sched).is_ok();
    if !replaced {
        sched.exiting.fetch_sub(1, Relaxed);
        m.set_exiting(false);
        if was_home {
            sched.make_resident(m);
        }
    }
    replaced
}

/// A record that belongs to the runtime, for a thread yet to be made.
fn prepared(sched: &Sched) -> io::Result<&'static M> {
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

fn spawn(sched: &Sched, m: &'static M) -> io::Result<()> {
    let owner = sched.arc();
    let name = format!("{}-m{}", sched.config.name, sched.m_count());
    let join = spawn_thread(name, move || (owner.m_main)(&owner, m))?;
    keep(sched, join);
    Ok(())
}

pub(crate) fn keep(sched: &Sched, join: thread::JoinHandle<()>) {
    grow::push(|| sched.threads_to_join.lock(), |joins| joins, join);
}

/// Joins the threads that have ended: until then the system keeps their stacks.
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
