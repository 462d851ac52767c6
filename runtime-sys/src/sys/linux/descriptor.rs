//! Where the C library keeps a thread's stack bounds: searched for, not known.
//!
//! `pthread_getattr_np` is the one way to ask for them. In glibc it also asks the kernel for the
//! thread's processors and allocates three times. Together that takes 0.6 us, half of a thread's
//! first callback. The bounds themselves are words in the thread's descriptor, written before the
//! thread began. No interface says which words.
//!
//! So they are searched for. On threads made for that purpose, the search compares the descriptor's
//! words with the answer of `pthread_getattr_np`. On another thread the words found there are
//! believed only where they can be true. The proof is that the descriptor lies in the very stack
//! that its words describe; glibc places it so for every thread but the main one. Where any of this
//! fails, and with every other C library, the library is asked as before.
//!
//! Rejected:
//!
//! - Asking only in the handler of a fault: it must not allocate.
//! - Reading `/proc/self/maps` there. It does not distinguish the thread's guard from one that a
//!   host has put into the stack and handles itself, as Java's virtual machine does. It shows no
//!   guards made by `madvise`.
//! - Keeping bounds by the thread's handle. After its thread has ended, another thread with another
//!   stack may have the same handle.
//!
//! # Safety
//!
//! All descriptors have one type, so a [`BoundsOffset`] found in one is valid in each, the main
//! thread's included. Only the search makes a `BoundsOffset`. The search itself reads a copy,
//! because other threads may be writing elsewhere in a descriptor.
#![expect(unsafe_code, reason = "reads the calling thread's descriptor")]

use super::thread::ask_stack_bounds;
use crate::sys::StackBounds;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const WORD: usize = size_of::<usize>();

/// How many bytes of a descriptor are searched; glibc's has 2,304 on x86-64.
const SEARCHED: usize = 2048;

/// How far into a descriptor the bounds are, in bytes: the offset of four words that stood there in
/// one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoundsOffset(usize);

const UNKNOWN: usize = usize::MAX;

/// The [`BoundsOffset`] in use.
static OFFSET: AtomicUsize = AtomicUsize::new(UNKNOWN);

/// Returns the address of the calling thread's descriptor, which is its handle.
fn descriptor() -> usize {
    // SAFETY: has no precondition.
    let me = unsafe { libc::pthread_self() };
    me as usize
}

/// Returns the offsets in the calling thread's descriptor at which its bounds may lie. There, four
/// words follow each other: the block's address, its size, the bytes of it that are closed, and the
/// guard that was asked for. All four have the values of this thread.
pub(crate) fn possible_offsets() -> Vec<BoundsOffset> {
    let me = descriptor();
    let Some(bounds) = ask_stack_bounds().filter(|bounds| bounds.contains(me) && bounds.guard != 0)
    else {
        return Vec::new();
    };
    let block = bounds.low.saturating_sub(bounds.guard);
    let wanted = [block, bounds.high - block, bounds.guard, bounds.guard];
    let mut copy = vec![0; SEARCHED.min(bounds.high - me)];
    let copied =
        File::open("/proc/self/mem").and_then(|memory| memory.read_exact_at(&mut copy, me as u64));
    if copied.is_err() {
        return Vec::new();
    }
    let words: Vec<usize> =
        copy.as_chunks().0.iter().map(|&bytes| usize::from_ne_bytes(bytes)).collect();
    let offsets = words.windows(wanted.len()).enumerate().filter(|(_, words)| *words == wanted);
    offsets.map(|(index, _)| BoundsOffset(index * WORD)).collect()
}

/// Makes threads look there first from now on.
pub(crate) fn use_offset(BoundsOffset(offset): BoundsOffset) {
    OFFSET.store(offset, Relaxed);
}

/// Returns where the calling thread's stack lies.
pub(crate) fn query_stack_bounds() -> Option<StackBounds> {
    bounds_in_descriptor().or_else(ask_stack_bounds)
}

/// Returns the calling thread's stack bounds from its descriptor, if they can be true.
fn bounds_in_descriptor() -> Option<StackBounds> {
    let offset = Some(OFFSET.load(Relaxed)).filter(|offset| *offset != UNKNOWN)?;
    let me = descriptor();
    let words: *const [usize; 4] = ptr::with_exposed_provenance(me + offset);
    // SAFETY: four words of the calling thread's descriptor, see `BoundsOffset`; written before the
    // thread began, and never after that.
    let [block, size, closed, guard] = unsafe { words.read() };
    let bounds =
        StackBounds { low: block.checked_add(closed)?, high: block.checked_add(size)?, guard };
    (bounds.contains(me) && block != 0).then_some(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::c_void;
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;
    use std::sync::Once;

    /// The descriptor's answer, and the C library's answer.
    type Both = [Option<StackBounds>; 2];

    extern "C" fn look(both: *mut c_void) -> *mut c_void {
        // SAFETY: belongs to the test, which waits for this thread.
        unsafe { both.cast::<Both>().write([bounds_in_descriptor(), ask_stack_bounds()]) };
        null_mut()
    }

    /// Returns both answers on a thread that C makes with these attributes.
    fn on_thread(set: impl FnOnce(*mut libc::pthread_attr_t)) -> Both {
        let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
        // SAFETY: writable.
        assert_eq!(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) }, 0);
        set(attributes.as_mut_ptr());
        let (mut both, mut thread): (Both, _) = ([None; 2], 0);
        // SAFETY: initialised above; `both` outlives the thread, which is joined below.
        let made = unsafe {
            libc::pthread_create(&mut thread, attributes.as_ptr(), look, (&raw mut both).cast())
        };
        assert_eq!(made, 0);
        // SAFETY: made above, joined once.
        assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
        // SAFETY: initialised above, and not used again.
        unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
        both
    }

    fn prepare() {
        static DONE: Once = Once::new();
        DONE.call_once(crate::thread::prepare_stack_bounds);
    }

    /// With glibc; any other C library is asked.
    #[test]
    fn the_words_are_found_and_say_what_the_library_does() {
        prepare();
        assert_ne!(OFFSET.load(Relaxed), UNKNOWN);
        for size in [64 << 10, 192 << 10, 8 << 20] {
            for guard in [0, 1, 4096, 128 << 10] {
                let [told, asked] = on_thread(|attributes| {
                    let size = size + guard;
                    // SAFETY: initialised; the size is a sound one.
                    assert_eq!(unsafe { libc::pthread_attr_setstacksize(attributes, size) }, 0);
                    // SAFETY: initialised.
                    assert_eq!(unsafe { libc::pthread_attr_setguardsize(attributes, guard) }, 0);
                });
                assert!(asked.is_some() && told == asked, "{size} {guard}: {told:x?} {asked:x?}");
            }
        }
    }

    #[test]
    fn a_stack_that_the_host_has_brought_is_found_as_well() {
        prepare();
        let mut stack = vec![0_u64; 32 << 10];
        let size = size_of_val(&*stack);
        let [told, asked] = on_thread(|attributes| {
            let low = stack.as_mut_ptr().cast();
            // SAFETY: initialised; the memory outlives the thread.
            assert_eq!(unsafe { libc::pthread_attr_setstack(attributes, low, size) }, 0);
        });
        let low = stack.as_ptr().addr();
        assert_eq!(told.map(|bounds| (bounds.low, bounds.high)), Some((low, low + size)));
        assert_eq!(told, asked);
    }
}
