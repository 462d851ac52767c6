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
//! State lies in [`gmp`](crate::gmp), decisions in [`policy`](crate::policy). A function may enter
//! this room when it changes what several of G, M, P and the runtime are to each other. Begin with
//! [`run`]: its head is the map of the scheduler. In the order of a goroutine's life:
//!
//! | module | what |
//! |---|---|
//! | [`attach`], [`start_m`], [`new_thread`] | a thread becomes an M; one is made for an M, by whom |
//! | [`spawn`], [`thread_backed`], [`colocate`] | a G is made: queued, with a thread, beside another G |
//! | [`find`], [`apart`] | which G an M runs next; which ones begin on an M of their own |
//! | [`run`], [`fast_rounds`], [`stop_m`], [`share_p`] | the loop; its short form; without work; with too much |
//! | [`start`], [`running`] | a G begins and ends; it is shown while it runs |
//! | [`park`], [`in_place`], [`switch`], [`carried`], [`yield_now`], [`no_wait`] | a G waits by a switch, or with its thread; it yields; it must not |
//! | [`lock_thread`], [`locals`], [`put_off`], [`limit`], [`exit`] | what a G has for itself: its thread, its values, its time, the process's end |
//! | [`cancel`], [`timers`] | why a wait is given up: a cancel, a deadline |
//! | [`target`], [`claimed`], [`wake`], [`take_over`] | a waker claims a G and makes it runnable; it gets a P for it |
//! | [`wake_sysmon`], [`sysmon`], [`report`] | what waits behind user code |
//! | [`set_procs`], [`excess_p`] | the number of Ps changes |
//! | [`check_dead`], [`shutdown`], [`refuse`] | nothing runs any more; the runtime ends; a G never begins |
//! | [`promises`] | whether a G waits where it must not; only where it was asked for |
//! | [`draw`] | what chance decides by |
//! | [`events`] | what the runtime says of that: events of `tracing`, or standard error |

pub(crate) mod apart;
pub(crate) mod attach;
pub(crate) mod cancel;
pub(crate) mod carried;
pub(crate) mod check_dead;
pub(crate) mod claimed;
pub(crate) mod colocate;
pub(crate) mod draw;
pub(crate) mod events;
pub(crate) mod excess_p;
pub(crate) mod exit;
pub(crate) mod fast_rounds;
pub(crate) mod find;
pub(crate) mod in_place;
pub(crate) mod limit;
pub(crate) mod locals;
pub(crate) mod lock_thread;
pub(crate) mod new_thread;
pub(crate) mod no_wait;
pub(crate) mod park;
pub(crate) mod promises;
pub(crate) mod put_off;
pub(crate) mod refuse;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod running;
pub(crate) mod set_procs;
pub(crate) mod share_p;
pub(crate) mod shutdown;
pub(crate) mod spawn;
pub(crate) mod standstill;
pub(crate) mod start;
pub(crate) mod start_m;
pub(crate) mod stop_m;
pub(crate) mod switch;
pub(crate) mod sysmon;
pub(crate) mod take_over;
pub(crate) mod target;
pub(crate) mod thread_backed;
pub(crate) mod timers;
pub(crate) mod wake;
pub(crate) mod wake_sysmon;
pub(crate) mod yield_now;
