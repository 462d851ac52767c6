//! The verbs: what Ms do with Gs and Ps.
//!
//! ```text
//!            spawn                      find, run                  yield_now
//!   go(f) ----------> unstarted  ----------------------> running --------------+
//!                                    ^         ^          |   |                |
//!                                    |         +----------|---|----- queued <--+
//!                                    |                    |   | exit             ^
//!                                    |                    |   v                  |
//!                                    |             park   |  joiner woken        |
//!                                    |                    v                      |
//!                                    |                 waiting ------------------+
//!                                    |                            wake: ready
//!                                 (steal)
//! ```
//!
//! Below this module is state, here is what happens to it: [`wake`] makes Gs runnable and brings Ps
//! to Ms, [`find`] looks for the next G, [`run`] is an M's loop, [`park`] is how a G waits,
//! [`cancel`] why it gives up, [`timers`] how its time limit comes, [`in_place`] how its thread
//! sleeps for it, [`lock_thread`] how it has that to itself, [`spawn`] how it begins, [`beside`]
//! where, [`attach`] and [`start_m`] how a thread becomes an M, [`set_procs`] and [`surplus`] how
//! Ps come and go, [`shutdown`] how all of it ends.

pub(crate) mod attach;
pub(crate) mod cancel;
pub(crate) mod check_dead;
pub(crate) mod claimed;
pub(crate) mod colocate;
pub(crate) mod excess_p;
pub(crate) mod fast_rounds;
pub(crate) mod find;
pub(crate) mod in_place;
pub(crate) mod locals;
pub(crate) mod lock_thread;
pub(crate) mod park;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod set_procs;
pub(crate) mod share_p;
pub(crate) mod shutdown;
pub(crate) mod spawn;
pub(crate) mod start;
pub(crate) mod start_m;
pub(crate) mod stop_m;
pub(crate) mod switch;
pub(crate) mod sysmon;
pub(crate) mod target;
pub(crate) mod thread_backed;
pub(crate) mod timers;
pub(crate) mod wake;
pub(crate) mod wake_sysmon;
pub(crate) mod yield_now;
