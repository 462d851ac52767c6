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
//! Where the system has no such call, or a sandbox forbids it, both `light` and `heavy` are full
//! fences. In models they always are, see `primitive`: the language's memory model knows nothing
//! else.
//!
//! Rejected: a time-out on the rare side, after which the write is visible "by then". It would work
//! on every machine there is, but it wakes an idle process.

use std::sync::atomic::{AtomicU32, Ordering, Ordering::Relaxed, compiler_fence, fence};

use crate::sys;

/// The frequent side's fence, between its write and its read.
#[inline(always)]
pub fn light() {
    if expedited() {
        compiler_fence(Ordering::SeqCst);
    } else {
        // ORDERING[barrier.pair]: partner is the fence in `heavy`: one of the two reads sees the
        // other side's write.
        fence(Ordering::SeqCst);
    }
}

/// The rare side's fence, between its write and its read. Takes some microseconds, and interrupts
/// the cores on which this process runs.
pub fn heavy() {
    // After a successful registration the call fails only if the kernel breaks its promise. Then
    // the fence below is all there is.
    let _fenced = expedited() && sys::fence_every_thread();
    // ORDERING[barrier.pair]: partner is `light`, or the fence that the kernel ran in its place.
    fence(Ordering::SeqCst);
}

/// True if the kernel fences other threads for this process.
///
/// The answer is the same for the whole life of the process, because `light` and `heavy` must
/// agree.
#[inline(always)]
fn expedited() -> bool {
    const UNKNOWN: u32 = 0;
    const NO: u32 = 1;
    const YES: u32 = 2;
    static ANSWER: AtomicU32 = AtomicU32::new(UNKNOWN);

    #[cold]
    fn ask() -> bool {
        let answer = if sys::register_for_fences() { YES } else { NO };
        // The first answer stands.
        match ANSWER.compare_exchange(UNKNOWN, answer, Relaxed, Relaxed) {
            Ok(_) => answer == YES,
            Err(earlier) => earlier == YES,
        }
    }

    match ANSWER.load(Relaxed) {
        UNKNOWN => ask(),
        answer => answer == YES,
    }
}

#[cfg(test)]
mod tests {
    use super::{heavy, light};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    #[test]
    fn one_of_two_sees_the_other() {
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
            let rarely = side(1, heavy);
            let often = often.join().expect("no panic");
            assert!(
                often.iter().zip(&rarely).all(|(often, rarely)| *often || *rarely),
                "neither saw the other"
            );
        });
    }
}
