//! The calling thread's signal mask.
//!
//! The C library keeps some signals for itself: glibc uses 32 and 33 for `setuid` on all threads
//! and for cancellation. Blocking them hangs those functions. `pthread_sigmask` with `sigfillset`
//! leaves them alone; raw system calls would not.
//!
//! Everything here is async-signal-safe.
//!
//! # Safety
//!
//! Sets are initialised before they are read. `pthread_sigmask` fills only the part that the kernel
//! knows, so each set starts as all zeroes, which is a valid set.
#![expect(unsafe_code, reason = "pthread_sigmask and sigset_t")]

use crate::signal::fatal::{Part, fatal};
use crate::sys;
use std::ffi::c_int;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::null;

/// The signals that are open in every thread that this crate makes: those that an instruction of
/// its own raises, which kill without a handler where they are blocked, and the profilers' one.
pub const OPEN_SIGNALS: [c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGPROF,
];

/// A set of blocked signals.
#[derive(Clone, Copy)]
pub struct SignalMask {
    set: libc::sigset_t,
}

/// Returns an empty set, for a call to fill in.
fn zeroed() -> libc::sigset_t {
    let set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: an array of integers.
    unsafe { set.assume_init() }
}

/// Changes the calling thread's mask, if there is a set to change it by, and returns the mask
/// before.
fn change(how: c_int, by: Option<&libc::sigset_t>) -> SignalMask {
    let mut before = zeroed();
    let by = by.map_or(null(), |set| set as *const _);
    // SAFETY: null or a live set; `before` is writable.
    let result = unsafe { libc::pthread_sigmask(how, by, &mut before) };
    if result != 0 {
        // The call refuses only an operation that does not exist. The effects of a wrong mask would
        // be found much later.
        fatal(&[
            Part::Text("gosched: pthread_sigmask failed with errno "),
            Part::Dec(result as u64),
            Part::Text("\n"),
        ]);
    }
    SignalMask { set: before }
}

impl SignalMask {
    /// Blocks every signal that the C library lets a program block, on the calling thread; returns
    /// the mask before.
    ///
    /// A fault while signals are blocked (a null pointer, a stack overflow) kills the process
    /// without its handler.
    #[must_use = "the mask before is the only way back"]
    pub fn block_all() -> Self {
        let mut all = zeroed();
        // SAFETY: a live set.
        unsafe { libc::sigfillset(&mut all) };
        // Added, not assigned: the signals that the C library keeps for itself stay as they are.
        change(libc::SIG_BLOCK, Some(&all))
    }

    /// Returns the calling thread's mask.
    pub fn current() -> Self {
        change(libc::SIG_BLOCK, None)
    }

    /// Makes this the calling thread's mask. Pending signals that it lets through are handled
    /// before this returns.
    pub fn restore(&self) {
        change(libc::SIG_SETMASK, Some(&self.set));
    }

    /// Returns this mask without these signals. Numbers that are no signals are ignored.
    #[must_use]
    pub fn without(&self, signals: &[c_int]) -> Self {
        let mut set = self.set;
        for &signal in signals {
            // SAFETY: a live set; numbers that are no signals are refused.
            unsafe { libc::sigdelset(&mut set, signal) };
        }
        Self { set }
    }

    /// Unblocks these signals on the calling thread. Numbers that are no signals are ignored.
    pub fn unblock(signals: &[c_int]) {
        change(libc::SIG_UNBLOCK, Some(&set_of(signals)));
    }

    /// Blocks this signal on the calling thread. A number that is no signal is ignored.
    pub fn block(signal: c_int) {
        change(libc::SIG_BLOCK, Some(&set_of(&[signal])));
    }

    /// Blocks the signals of a handler's `sa_mask` on the calling thread.
    pub(crate) fn block_set(set: &libc::sigset_t) {
        change(libc::SIG_BLOCK, Some(set));
    }

    /// True if the signal is blocked in this mask.
    pub fn contains(&self, signal: c_int) -> bool {
        // SAFETY: a live set; numbers that are no signals are refused.
        unsafe { libc::sigismember(&self.set, signal) == 1 }
    }
}

/// Returns the set of these signals.
fn set_of(signals: &[c_int]) -> libc::sigset_t {
    let mut set = zeroed();
    for &signal in signals {
        // SAFETY: a live set; numbers that are no signals are refused.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

impl PartialEq for SignalMask {
    /// Compares the signals that exist. The C type has room for more, and the rest means nothing.
    fn eq(&self, other: &Self) -> bool {
        (1..=sys::LAST_SIGNAL).all(|signal| self.contains(signal) == other.contains(signal))
    }
}

impl Eq for SignalMask {}

impl fmt::Debug for SignalMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries((1..=sys::LAST_SIGNAL).filter(|&signal| self.contains(signal)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// Runs `body` on a thread of its own: the harness must not run anything with our mask.
    fn on_a_thread(body: impl FnOnce() + Send + 'static) {
        std::thread::spawn(body).join().expect("thread");
    }

    #[test]
    fn block_all_and_restore_are_a_round_trip() {
        on_a_thread(|| {
            SignalMask { set: set_of(&[libc::SIGUSR1, libc::SIGRTMAX()]) }.restore();
            let before = SignalMask::block_all();
            let blocked = SignalMask::current();
            assert_eq!(before, SignalMask { set: set_of(&[libc::SIGUSR1, libc::SIGRTMAX()]) });
            assert_ne!(before, blocked);
            for signal in [
                libc::SIGHUP,
                libc::SIGSEGV,
                libc::SIGTERM,
                libc::SIGURG,
                libc::SIGPROF,
                libc::SIGRTMIN(),
            ] {
                assert!(blocked.contains(signal), "{signal}");
            }
            assert_eq!(SignalMask::block_all(), blocked);
            before.restore();
            assert_eq!(SignalMask::current(), before);
        });
    }

    #[test]
    fn what_libc_keeps_for_itself_is_never_blocked() {
        on_a_thread(|| {
            let before = SignalMask::block_all();
            let mut kernel_set = 0_u64;
            let nothing: *const u64 = null();
            // SAFETY: asks the kernel itself, with the size of its own set.
            let result =
                unsafe { libc::syscall(libc::SYS_rt_sigprocmask, 0, nothing, &mut kernel_set, 8) };
            assert_eq!(result, 0);
            let bit = |signal: c_int| kernel_set >> (signal - 1) & 1;
            for signal in 32..libc::SIGRTMIN() {
                assert_eq!(bit(signal), 0, "{signal}");
            }
            assert_eq!((bit(libc::SIGKILL), bit(libc::SIGSTOP)), (0, 0));
            assert_eq!(
                (bit(libc::SIGRTMIN()), bit(libc::SIGRTMAX()), bit(libc::SIGCHLD)),
                (1, 1, 1)
            );
            before.restore();
        });
    }

    #[test]
    fn unblock_touches_nothing_else() {
        on_a_thread(|| {
            let before = SignalMask::block_all();
            SignalMask::unblock(&[libc::SIGPROF, libc::SIGSEGV, -3, 1000]);
            let left = SignalMask::current();
            assert!(
                !left.contains(libc::SIGPROF)
                    && !left.contains(libc::SIGSEGV)
                    && left.contains(libc::SIGTERM)
            );
            SignalMask::block_set(&set_of(&[libc::SIGPROF]));
            assert!(
                SignalMask::current().contains(libc::SIGPROF)
                    && !SignalMask::current().contains(libc::SIGSEGV)
            );
            before.restore();
            assert_eq!(SignalMask::current(), before);
        });
    }

    #[test]
    fn without_lets_some_through_and_touches_nothing_else() {
        let [some, fewer] = [&[libc::SIGBUS, libc::SIGTERM, libc::SIGSEGV][..], &[libc::SIGTERM]];
        let mask = SignalMask { set: set_of(some) };
        assert_eq!(
            mask.without(&[libc::SIGSEGV, libc::SIGBUS, libc::SIGUSR1, -3, 1000]),
            SignalMask { set: set_of(fewer) }
        );
        assert_eq!(mask, SignalMask { set: set_of(some) });
    }

    #[test]
    fn a_pending_signal_is_handled_inside_restore() {
        static HANDLED: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn count(_signal: c_int) {
            HANDLED.fetch_add(1, SeqCst);
        }
        let handler: extern "C" fn(c_int) = count;
        // SAFETY: the handler is async-signal-safe; nothing else here uses this signal.
        unsafe { libc::signal(libc::SIGWINCH, handler as libc::sighandler_t) };
        on_a_thread(|| {
            let before = SignalMask::block_all();
            // SAFETY: raises on the calling thread.
            unsafe { libc::raise(libc::SIGWINCH) };
            assert_eq!(HANDLED.load(SeqCst), 0);
            before.restore();
            assert_eq!(HANDLED.load(SeqCst), 1);
        });
    }

    #[test]
    fn debug_lists_the_signals() {
        assert_eq!(format!("{:?}", SignalMask { set: set_of(&[1, 15]) }), "{1, 15}");
    }
}
