//! The bounds of a thread's stack: asked of the C library once per thread, then kept in [`tls`].

pub use crate::sys::StackBounds;

use crate::sys;
use crate::thread::spawn::spawn_thread;
use crate::thread::tls;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Returns the calling thread's stack bounds, asked for once and then kept; none if the C library
/// does not know them.
///
/// They are the bounds of the stack that the thread was made with. A host may run on another stack
/// (its own coroutines). So compare them with an address of the running frame before you trust
/// them.
pub fn current_stack_bounds() -> Option<StackBounds> {
    tls::stack_bounds().or_else(|| {
        let bounds = sys::query_stack_bounds()?;
        tls::set_stack_bounds(bounds);
        tls::set_own();
        Some(bounds)
    })
}

/// Finds a short way to a thread's stack bounds, if the C library has one.
///
/// The first call in a process makes two threads for that and waits for them. If no way is found,
/// each thread that asks loses half a microsecond, and nothing else.
pub fn prepare_stack_bounds() {
    static TRIED: AtomicBool = AtomicBool::new(false);
    if TRIED.swap(true, Relaxed) {
        return;
    }
    // Both threads exist at once, so that they have different stacks: then the offset is all that
    // they have in common.
    let both = on_new_thread(|| (sys::possible_offsets(), on_new_thread(sys::possible_offsets)));
    let Some((mut offsets, Some(others))) = both else { return };
    offsets.retain(|offset| others.contains(offset));
    if let [offset] = offsets[..] {
        sys::use_offset(offset);
    }
}

/// Returns what `f` returns on a thread of its own; none if that thread cannot be made.
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
