//! What an M runs next.
//!
//! # The order of a round
//!
//! 1. Timers of the M's own P that are due; in every 61st round, the timers of all Ps.
//! 2. The inbox joins the M's woken Gs, behind those that are ready.
//! 3. In every 61st round, or when sysmon has asked: what is looked at last otherwise goes first.
//!    That is the global queues; the P's oldest unstarted G if it has waited for 10 ms; unstarted
//!    Gs that nobody takes; and those that other Ms offer.
//! 4. The G that was woken last, of the M (`run_next`) or of the P: as many in a row as
//!    `policy::chain` says, and not beyond the slice.
//! 5. Gs that have not had a turn yet, new or woken, up to 8 in a row; then one that has had one:
//!    it has yielded, or its chain of wakes has ended. New and woken ones take turns; those in the
//!    global queue, which threads without a P made, are the last of the new ones. Of the woken
//!    ones, settled and migratory Gs take turns, and of the migratory ones those of the P and those
//!    in the global queue, which threads without a P woke. Settled and migratory Gs that have had a
//!    turn take turns as well.
//! 6. A search, if the M may count as a searcher: the inbox, the global queues, then each P in a
//!    ring: its due timers, its migratory Gs, and its oldest unstarted G once that is 10 us old, or
//!    200 us if the M has its share of settled Gs already.
//! 7. The search is repeated within the spin budget. Then the M stops (`proc::stop_m`).
//!
//! `own` has steps 1 to 5, `others` the queues of others, `search` step 6, `spin` the
//! waiting in step 7, and `unstarted` the conditions under which an M may start a G at all.
//!
//! # Why so
//!
//! *The newest unstarted G first for its own M, the oldest for thieves.* A tree of spawns then runs
//! depth first: 17 stacks in use instead of 65,536 in a tree of depth 16.
//!
//! *What has had a turn comes last.* A goroutine that computes for some ms between its yields would
//! keep each of those that serve, sleep or begin waiting for a turn of it.
//!
//! *A minimum age for what is stolen.* A child that talks to its parent costs 56 ns for a round
//! trip beside the parent, 455 ns on another core, 50 us if that core sleeps.
//!
//! *What a thief owes.* A started G stays on its M. So an M that sees an unstarted G and has its
//! share of settled Gs does not take it: it kicks the resident M with the fewest. And an M that
//! found something stops searching before it runs it ([`stop_searching`]).
//!
//! // GO: proc.go findRunnable, stealWork

mod others;
mod own;
mod search;
mod spin;
mod unstarted;

pub(crate) use own::{take_inbox, take_local};
pub(crate) use search::{search, stop_searching, work_was_published};
pub(crate) use spin::await_inbox;
pub(crate) use unstarted::{Wants, arrive_for_apart, leaves_p_to_resident};
