//! The codes that functions return, and what they mean.
//!
//! The first twelve are those of `CallCode`, nine of them also of `EnterCode`, so that Rust and C
//! agree. They are macros in C: an
//! `enum` has no fixed size there.
//!
//! # Safety
//!
//! The names that are exported have this library's prefix.
#![expect(unsafe_code, reason = "exported names")]

use std::ffi::CStr;

/// What most functions return: GOSCHED_OK, or what was wrong. The numbers do not change; new ones
/// may come.
pub type Code = i32;

/// It is done.
pub const GOSCHED_OK: Code = 0;
/// No runtime is there yet.
pub const GOSCHED_NOT_RUNNING: Code = 1;
/// The runtime is shutting down, or has.
pub const GOSCHED_SHUT_DOWN: Code = 2;
/// The channel is closed, and empty where something was to be received.
pub const GOSCHED_CLOSED: Code = 3;
/// This process is a forked child of the one that made it, or the calling thread was a goroutine
/// when it forked.
pub const GOSCHED_FORKED: Code = 4;
/// The call came from a signal handler.
pub const GOSCHED_SIGNAL_HANDLER: Code = 5;
/// The system had no memory or no thread for it.
pub const GOSCHED_RESOURCES: Code = 6;
/// The library itself panicked: a fault of its own, which the text tells.
pub const GOSCHED_PANICKED: Code = 7;
/// The wait was ended because the goroutine was cancelled, or its runtime shuts down. What it
/// waited for has not happened. Every further wait of the goroutine returns this at once: return
/// from the goroutine's function, soon.
pub const GOSCHED_CANCELLED: Code = 8;
/// The time was over first.
pub const GOSCHED_TIMED_OUT: Code = 9;
/// A library in Rust has no room for a request. The functions here return GOSCHED_WOULD_BLOCK.
pub const GOSCHED_FULL: Code = 10;
/// Nobody in a library in Rust serves requests any more. The functions here return GOSCHED_CLOSED.
pub const GOSCHED_DISCONNECTED: Code = 11;
/// A library in Rust has dropped a request without a reply. No function here returns it.
pub const GOSCHED_NO_REPLY: Code = 12;
/// An argument that cannot be: NULL, a size or number out of its range. Nothing has happened.
pub const GOSCHED_INVALID: Code = 32;
/// The program was compiled with a header of another ABI than the library has.
pub const GOSCHED_WRONG_ABI: Code = 33;
/// A function that only tries would have had to wait.
pub const GOSCHED_WOULD_BLOCK: Code = 34;
/// Somebody else is receiving from this mailbox, which has one receiver at a time.
pub const GOSCHED_BUSY: Code = 35;
/// The caller is inside the runtime, and would wait for itself.
pub const GOSCHED_INSIDE: Code = 36;
/// The time is over, and goroutines or callbacks are left, which the text counts.
pub const GOSCHED_STILL_RUNNING: Code = 37;
/// The calling thread is not the one that this belongs to.
pub const GOSCHED_WRONG_THREAD: Code = 38;
/// The mutex is not locked; the wait group has a count of zero.
pub const GOSCHED_NOT_HELD: Code = 39;

/// Returns what a code means.
pub(crate) fn text(code: Code) -> &'static CStr {
    match code {
        GOSCHED_OK => c"no error",
        GOSCHED_NOT_RUNNING => c"no runtime is there yet",
        GOSCHED_SHUT_DOWN => c"the runtime is shut down",
        GOSCHED_CLOSED => c"it is closed",
        GOSCHED_FORKED => c"it belongs to the parent of this process",
        GOSCHED_SIGNAL_HANDLER => c"a signal handler cannot call this",
        GOSCHED_RESOURCES => c"no memory or no thread for it",
        GOSCHED_PANICKED => c"the library panicked",
        GOSCHED_CANCELLED => c"the goroutine is cancelled",
        GOSCHED_TIMED_OUT => c"the time was over first",
        GOSCHED_FULL => c"the service has no room for the request",
        GOSCHED_DISCONNECTED => c"nobody serves the request",
        GOSCHED_NO_REPLY => c"the request was dropped without a reply",
        GOSCHED_INVALID => c"an argument is NULL or out of its range",
        GOSCHED_WRONG_ABI => c"the program was compiled for another ABI of the library",
        GOSCHED_WOULD_BLOCK => c"the call would have to wait",
        GOSCHED_BUSY => c"somebody else is receiving",
        GOSCHED_INSIDE => c"the caller is inside the runtime and would wait for itself",
        GOSCHED_STILL_RUNNING => c"the grace is over and something still runs",
        GOSCHED_WRONG_THREAD => c"this belongs to another thread",
        GOSCHED_NOT_HELD => c"it is not held",
        _ => c"an unknown code",
    }
}

/// Returns what a code means, in English: a text that stays for good.
///
/// Threads: any. Waits: no. Handlers: yes. States: any.
#[unsafe(no_mangle)]
pub extern "C" fn gosched_code_text(code: Code) -> *const std::ffi::c_char {
    text(code).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gosched::callback::{CallCode, EnterCode};

    #[test]
    fn rust_and_c_agree() {
        let codes = [
            (EnterCode::NotRunning, GOSCHED_NOT_RUNNING),
            (EnterCode::ShutDown, GOSCHED_SHUT_DOWN),
            (EnterCode::Closed, GOSCHED_CLOSED),
            (EnterCode::Forked, GOSCHED_FORKED),
            (EnterCode::SignalHandler, GOSCHED_SIGNAL_HANDLER),
            (EnterCode::Resources, GOSCHED_RESOURCES),
            (EnterCode::Panicked, GOSCHED_PANICKED),
            (EnterCode::Cancelled, GOSCHED_CANCELLED),
            (EnterCode::TimedOut, GOSCHED_TIMED_OUT),
        ];
        for (rust, c) in codes {
            assert_eq!(rust as i32, c);
        }
        let calls = [
            (CallCode::Full, GOSCHED_FULL),
            (CallCode::Disconnected, GOSCHED_DISCONNECTED),
            (CallCode::NoReply, GOSCHED_NO_REPLY),
        ];
        for (rust, c) in calls {
            assert_eq!((rust as i32, rust.c_text()), (c, text(c)));
        }
        // A new one in Rust wants its macro here.
        assert!((10..GOSCHED_INVALID).all(|number| EnterCode::from_i32(number).is_none()));
        assert!((13..GOSCHED_INVALID).all(|number| CallCode::from_i32(number).is_none()));
    }

    #[test]
    fn each_has_a_text() {
        let known = (0..13).chain(GOSCHED_INVALID..=GOSCHED_NOT_HELD);
        let unknown = text(-1);
        assert!(known.map(text).all(|told| told != unknown));
        assert_eq!(text(GOSCHED_NOT_HELD + 1), unknown);
    }
}
