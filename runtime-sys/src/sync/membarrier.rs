//! An asymmetric pair of fences: the frequent side pays nothing, the rare side pays for both.
//!
//! Two threads each write a word and then read the other's word. With a full fence in between on
//! both sides, at least one thread sees the other's write. Such a fence costs about 5 ns.
//!
//! Suppose one side runs millions of times a second, and the other only before it sleeps. Then the
//! rare side can have the kernel run the frequent side's fence: [`heavy`] returns after every other
//! thread of the process has passed a full fence since the call began. [`light`] only keeps the
//! compiler from moving the read before the write.
//!
//! Why that is enough: `heavy` interrupts and fences each thread that runs, at some instruction. If
//! that instruction comes after the thread's write, `heavy`'s caller sees the write in its next
//! read. If it comes before the write, it also comes before the thread's read, so that read sees
//! all that the caller wrote before the call. A thread that does not run was fenced by the switch
//! that took it off its core.
//!
//! Where the system has no such call, or a sandbox forbids it from the start, both `light` and
//! `heavy` are full fences. In models they always are, see `primitive`: the language's memory model
//! knows nothing else.
//!
//! # A sandbox that closes later
//!
//! A filter that is installed after the first successful call makes the call fail from then on. The
//! first `heavy` that fails makes both sides full fences, for good. A `light` that began before
//! may still have been a compiler's fence only. So a failed `heavy` promises less: it
//! returns a bound, and its caller sleeps for no longer than that before it looks again. Every
//! later `heavy` returns the bound too, because nothing says when the other threads see the change.
//!
//! Rejected: such a bound where the call works. It would do on every machine there is, but it wakes
//! an idle process.

use std::sync::atomic::{AtomicU32, Ordering, Ordering::Relaxed, compiler_fence, fence};
use std::time::Duration;

use crate::sys;

/// How long a thread may sleep after a `heavy` that promises less.
const BOUND: Duration = Duration::from_millis(10);

/// Nobody has asked yet. The kernel fences other threads. It never did. It no longer does.
const UNKNOWN: u32 = 0;
const YES: u32 = 1;
const NO: u32 = 2;
const NO_LONGER: u32 = 3;

/// What the pair stands on. A model brings its own.
pub(crate) trait Machine {
    /// Returns what is known of the kernel's call.
    fn answer(&self) -> u32;
    /// True if the call is known to work.
    fn works(&self) -> bool {
        self.answer() == YES
    }
    /// From now on the call is known to fail.
    fn give_up(&self);
    /// Has the kernel fence every thread; false if it refuses.
    fn fence_every_thread(&self) -> bool;
    /// A full fence of the frequent side.
    fn frequent_fence(&self);
    /// A full fence of the rare side.
    fn rare_fence(&self);
    /// True if a model has switched this mistake on.
    fn mutated(&self, _name: &'static str) -> bool {
        false
    }
}

/// The frequent side's fence on a machine.
#[inline(always)]
pub(crate) fn light_on(machine: &impl Machine) {
    if machine.works() {
        compiler_fence(Ordering::SeqCst);
    } else {
        machine.frequent_fence();
    }
}

/// The rare side's fence on a machine.
pub(crate) fn heavy_on(machine: &impl Machine) -> Option<Duration> {
    let mut answer = machine.answer();
    if answer == YES && !machine.fence_every_thread() {
        answer = NO_LONGER;
        if !machine.mutated("membarrier.stays_light") {
            machine.give_up();
        }
    }
    machine.rare_fence();
    (answer == NO_LONGER && !machine.mutated("membarrier.unbounded")).then_some(BOUND)
}

/// The process, its kernel, and the processors.
struct Real;

static ANSWER: AtomicU32 = AtomicU32::new(UNKNOWN);

impl Machine for Real {
    /// The answer that is there after the first time is looked for first.
    #[inline(always)]
    fn works(&self) -> bool {
        let answer = ANSWER.load(Relaxed);
        answer == YES || answer == UNKNOWN && ask() == YES
    }

    fn answer(&self) -> u32 {
        match ANSWER.load(Relaxed) {
            UNKNOWN => ask(),
            answer => answer,
        }
    }

    #[cold]
    fn give_up(&self) {
        ANSWER.store(NO_LONGER, Relaxed);
    }

    fn fence_every_thread(&self) -> bool {
        sys::fence_every_thread()
    }

    #[inline(always)]
    fn frequent_fence(&self) {
        // ORDERING[barrier.pair]: partner is the fence in `rare_fence`: one of the two reads sees
        // the other side's write.
        fence(Ordering::SeqCst);
    }

    fn rare_fence(&self) {
        // ORDERING[barrier.pair]: partner is the one in `frequent_fence`, or the one that the
        // kernel ran in its place.
        fence(Ordering::SeqCst);
    }
}

/// Asks the kernel for the first time.
#[cold]
fn ask() -> u32 {
    let answer = if sys::register_for_fences() { YES } else { NO };
    // The first answer stands.
    ANSWER.compare_exchange(UNKNOWN, answer, Relaxed, Relaxed).map_or_else(|is| is, |_| answer)
}

/// The frequent side's fence, between its write and its read.
#[inline(always)]
pub fn light() {
    light_on(&Real);
}

/// The rare side's fence, between its write and its read. Takes some microseconds, and interrupts
/// the cores on which this process runs.
///
/// Returns how long the caller may sleep at most before it reads again; none if it may sleep until
/// it is woken.
#[must_use = "a sleep that relies on the pair may have to be bounded"]
pub fn heavy() -> Option<Duration> {
    heavy_on(&Real)
}

#[cfg(test)]
mod tests {
    use super::{heavy, light};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn one_of_two_sees_the_other() {
        litmus();
    }

    /// A sandbox closes after the first use.
    #[test]
    #[cfg(unix)]
    fn forbidden_later_both_sides_fence_and_sleeps_are_bounded() {
        use super::{ANSWER, BOUND, NO_LONGER, YES};
        use crate::testing::{Child, forbid_membarrier};
        let name =
            "sync::membarrier::tests::forbidden_later_both_sides_fence_and_sleeps_are_bounded";
        Child::run(name, || {
            litmus();
            if ANSWER.load(Relaxed) != YES {
                return;
            }
            assert_eq!(heavy(), None);
            forbid_membarrier();
            light();
            assert_eq!(heavy(), Some(BOUND));
            assert_eq!(ANSWER.load(Relaxed), NO_LONGER);
            assert_eq!(heavy(), Some(BOUND), "for good");
            litmus();
        })
        .assert_success();
    }

    fn litmus() {
        const ROUNDS: usize = 2000;
        let words: Vec<_> =
            (0..ROUNDS).map(|_| [AtomicBool::new(false), AtomicBool::new(false)]).collect();
        let together = Barrier::new(2);
        let side = |me: usize, fence: fn()| -> Vec<bool> {
            let look = |pair: &[AtomicBool; 2]| {
                together.wait();
                pair[me].store(true, Relaxed);
                fence();
                pair[1 - me].load(Relaxed)
            };
            words.iter().map(look).collect()
        };
        std::thread::scope(|scope| {
            let often = scope.spawn(|| side(0, light));
            let rarely = side(1, || {
                let _no_sleep = heavy();
            });
            let often = often.join().expect("no panic");
            assert!(
                often.iter().zip(&rarely).all(|(often, rarely)| *often || *rarely),
                "neither saw the other"
            );
        });
    }
}
