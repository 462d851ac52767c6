//! An asymmetric pair of fences: the side that runs often pays nothing, the side that runs rarely
//! pays for both.
//!
//! Two threads each write a word and then read the other's. With a full fence in between on both
//! sides one of them sees the other; that costs each of them some 5 ns. Where one side comes by
//! millions of times a second and the other before it goes to sleep, the second can have the kernel
//! run the first one's fence for it: [`heavy`] returns after every other thread of the process has
//! passed a full fence since the call began. [`light`] then only keeps the compiler from moving the
//! read before the write.
//!
//! Why that is enough: a thread that runs while `heavy` does is interrupted and fenced somewhere.
//! If that is after its write, the write is visible to whoever called `heavy` and reads afterwards.
//! If it is before its write, so is its read, which therefore comes after all that the caller wrote
//! before the call. A thread that does not run was fenced by the switch that took it off its core.
//!
//! Where the system has no such call, or a sandbox forbids it, `light` is a full fence and `heavy`
//! another. That is the only case in models, where `primitive` has both: the language's own memory
//! model speaks of nothing else.
//!
//! Rejected: a time-out on the rare side, after which the write is visible "by then": true on every
//! machine there is, and a wake-up of an idle process.

use std::sync::atomic::{AtomicU32, Ordering, Ordering::Relaxed, compiler_fence, fence};

use crate::sys;

/// To be called between the write and the read on the side that runs often.
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

/// To be called between the write and the read on the side that runs rarely. Takes some
/// microseconds, and interrupts the cores on which this process runs.
pub fn heavy() {
    // A call that fails although it was registered would be a kernel's broken promise; the fence
    // below is then all there is.
    let _fenced = expedited() && sys::fence_every_thread();
    // ORDERING[barrier.pair]: partner is `light`, or what the kernel made of it.
    fence(Ordering::SeqCst);
}

/// Whether the kernel fences other threads for this process. The same answer for the whole life of
/// the process, whoever asks first: `light` and `heavy` must agree.
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
