//! The bounds of a thread's stack: asked of the C library once per thread, then kept in [`tls`].

pub use crate::sys::StackBounds;

use crate::sys;
use crate::thread::spawn::spawn_thread;
use crate::thread::tls;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// The calling thread's stack bounds, asked for once and kept; none where the C library does not
/// know. They are those of the stack that the thread was made with: a host may be running on
/// another one (its own coroutines), so compare with an address of the running frame before
/// trusting them.
pub fn current_stack_bounds() -> Option<StackBounds> {
    tls::stack_bounds().or_else(|| {
        let bounds = sys::query_stack_bounds()?;
        tls::set_stack_bounds(bounds);
        Some(bounds)
    })
}

/// Finds a short way to a thread's stack bounds, where the C library has one. The first time in a
/// process it makes two threads for that and waits for them. Where none is found, all that is lost
/// is half a microsecond of each thread that asks.
pub fn prepare_stack_bounds() {
    static TRIED: AtomicBool = AtomicBool::new(false);
    if TRIED.swap(true, Relaxed) {
        return;
    }
    // Both at once, so that the second has another stack, and the offset is all that they have in
    // common.
    let both = on_new_thread(|| (sys::possible_offsets(), on_new_thread(sys::possible_offsets)));
    let Some((mut offsets, Some(others))) = both else { return };
    offsets.retain(|offset| others.contains(offset));
    if let [offset] = offsets[..] {
        sys::use_offset(offset);
    }
}

/// What `f` returns on a thread of its own; none where that cannot be made.
fn on_new_thread<T: Send + Sync + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let value = Arc::new(OnceLock::new());
    let theirs = Arc::clone(&value);
    let thread = spawn_thread("gosched-probe".to_owned(), move || {
        let _it_is_empty = theirs.set(f());
    });
    thread.ok()?.join().ok()?;
    Arc::into_inner(value)?.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_contain_a_local_and_have_the_size_asked_for() {
        let size = 192 << 10;
        let check = move || {
            let local = 0_u8;
            let address = (&raw const local).addr();
            let bounds = current_stack_bounds().expect("bounds");
            assert!(
                bounds.contains(address)
                    && !bounds.contains(bounds.low - 1)
                    && !bounds.contains(bounds.high)
            );
            assert!(
                bounds.high - bounds.low >= size && bounds.high - bounds.low < 2 * size,
                "{bounds:x?}"
            );
            assert_eq!(tls::stack_bounds(), Some(bounds));
            assert_eq!(current_stack_bounds(), Some(bounds));
            bounds
        };
        let make = || std::thread::Builder::new().stack_size(size).spawn(check).expect("thread");
        let (first, second) = (make(), make());
        let (first, second) = (first.join().expect("first"), second.join().expect("second"));
        assert!(first.guard > 0 && second.guard > 0);
    }
}
