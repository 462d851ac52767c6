//! Runs a part of a goroutine with a time limit.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use gosched_runtime_sys::clock::to_ns;

use crate::gmp::g::{CancelScope, Cancelled};
use crate::proc::cancel::Region;
use crate::proc::put_off;

/// The limit has ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over;

/// See [`time::timeout_at`](crate::time::timeout_at).
pub(crate) fn within<R>(deadline: Instant, f: impl FnOnce() -> R) -> Result<R, Over> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let scope = CancelScope::Timeout(NEXT.fetch_add(1, Relaxed));
    let region = Region::new(scope, to_ns(deadline));
    catch_unwind(AssertUnwindSafe(|| region.run(f))).or_else(|payload| {
        put_off::settle();
        match payload.downcast::<Cancelled>() {
            Ok(cancelled) if cancelled.scope == scope => Err(Over),
            Ok(of_another) => resume_unwind(of_another),
            Err(panic) => resume_unwind(panic),
        }
    })
}
