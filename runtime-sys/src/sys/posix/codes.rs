//! Why a signal was sent, on the systems that are not Linux.

use std::ffi::c_int;

/// `SI_NOINFO` of NetBSD's and illumos' sys/siginfo.h: nothing is known. FreeBSD and macOS number
/// what programs send from 0x10001 on (`SI_USER` of their sys/signal.h), the others from 0 down.
const NOTHING_KNOWN: c_int = 32_767;

/// True if the kernel raised a signal with this `si_code` itself, and no program sent it.
pub(crate) fn raised_by_kernel(code: c_int) -> bool {
    (1..NOTHING_KNOWN).contains(&code)
}
