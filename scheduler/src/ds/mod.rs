//! The concurrent data structures under the scheduler's verbs. They are generic and use no type of
//! `gmp`: a G, M or P is a type parameter here, or a count.
//!
//! # Protocols
//!
//! Each of these files holds one protocol: the words that it is made of, the rules for its callers,
//! and the argument why it is right. `model/` has a loom model of the same name for each, and each
//! model has mutants that it must catch.
//!
//! | file | protocol |
//! |---|---|
//! | [`idle`] | the counts of idle Ps and searching Ms: when published work needs a wake-up |
//! | [`parker`] | the park word: one owner parks, one claimer makes it run |
//! | [`revocable`] | holds a P while user code runs; sysmon may revoke it from there |
//! | [`inbox`] | many senders, one taker: how a woken G reaches the M that it settled on |
//! | [`run_next`] | the node that its owner runs next, unless another takes it |
//! | [`timers`] | the timers of one P, and the hint when the first is due |
//! | [`timekeeper`] | which sleeping M is woken by the clock |
//! | [`sysmon_note`] | sysmon's sleep, against threads that leave work behind for it |
//! | [`deprived`] | how many go on without what was taken from them |
//! | [`pending`] | one helper at a time is on its way to a queue |
//! | [`idle_workers`] | a pool of helper threads that shrinks without losing work |
//! | [`letterbox`] | a place for one message, at which a thread waits |
//! | [`agents`] | how many threads may wake a goroutine, and how many of them wait in place |
//! | [`pair_arc`] | a box with a count of its owners, made for two |
//!
//! # Structures
//!
//! Three files are plain data structures, used under a lock or by one owner: [`list`] (intrusive,
//! first in first out), [`heap`] (deadlines, with removal from the middle) and [`grow`] (a `Vec`
//! under a lock that grows while the lock is free).
//!
//! # What may enter
//!
//! A file enters if its type is generic over what it holds and if it imports nothing of this crate
//! but `ds`. If several threads run it at once, it needs a model. Which G, M or P takes part is for
//! `gmp` and `proc` to say.
//!
//! # Where to begin
//!
//! Begin with [`parker`]: the whole wake-up path rests on its one word. Then read [`idle`], whose
//! handshake [`timekeeper`] and [`sysmon_note`] vary, and [`revocable`].

pub(crate) mod agents;
pub(crate) mod deprived;
pub(crate) mod grow;
pub(crate) mod heap;
pub(crate) mod idle;
pub(crate) mod idle_workers;
pub(crate) mod inbox;
pub(crate) mod letterbox;
pub(crate) mod list;
pub(crate) mod pair_arc;
pub(crate) mod parker;
pub(crate) mod pending;
pub(crate) mod revocable;
pub(crate) mod run_next;
pub(crate) mod slot;
pub(crate) mod sysmon_note;
pub(crate) mod timekeeper;
pub(crate) mod timers;
