//! The bounds of a thread's stack: asked of the C library once per thread, then kept in [`tls`].

pub use crate::sys::StackBounds;

use crate::sys;
use crate::thread::tls;

/// Keeps the bounds of the calling thread's stack, which this library made, for its fault handler.
pub(crate) fn keep_own_stack_bounds() {
    if current_stack_bounds().is_some() {
        tls::set_own();
    }
}

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
        Some(bounds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "no threads there")]
    fn bounds_contain_a_local_and_have_the_size_asked_for() {
        let size = 4 << 20;
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
                bounds.high - bounds.low + bounds.guard >= size
                    && bounds.high - bounds.low < 2 * size,
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
