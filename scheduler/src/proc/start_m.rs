//! A new M: a record, a signal stack and a thread for a P that nobody runs.

use std::io;
use std::thread;

use crate::ds::grow;
use crate::m::M;
use crate::p::P;
use crate::proc::attach;
use crate::sched::Sched;

/// Makes a new M for `p`. It starts out searching if the caller holds a token for that. Gives the P back if no thread can
/// be made.
pub(crate) fn start_m(sched: &Sched, p: Box<P>, searching: bool) -> Result<(), (Box<P>, io::Error)> {
    let m = M::acquire();
    if let Err(error) = attach::prepare(m) {
        m.release();
        return Err((p, error));
    }
    // The P travels in the seat, so that it is not lost with the closure of a thread that could not be made.
    sched.add_m(m);
    m.seat.start_with(p, searching);
    let owner = sched.arc();
    let name = format!("{}-m{}", sched.config.name, sched.m_count());
    match thread::Builder::new().name(name).spawn(move || (owner.m_main)(&owner, m)) {
        Ok(join) => {
            grow::push(|| sched.joins.lock(), |joins| joins, join);
            Ok(())
        }
        Err(error) => {
            let p = m.seat.take_handed().expect("the thread that would take it was not made").p;
            sched.remove_m(m);
            Err((p, error))
        }
    }
}
