//! Address space that is opened piece by piece: one mapping for many stacks.
//!
//! It begins closed (`PROT_NONE`). So a piece that no stack uses counts as no memory anywhere: not
//! against strict accounting (`vm.overcommit_memory` 2), not against `RLIMIT_DATA`, not under
//! `mlockall(MCL_FUTURE)`. Neighbouring pieces that are opened alike stay one mapping.
//!
//! # Safety
//!
//! The range belongs to the [`Reservation`] from `reserve` to `unreserve`. Nothing here reads or
//! writes through it.
#![expect(unsafe_code, reason = "maps memory")]

use crate::memory::mapping::page_size;
use crate::sys::{self, Piece};
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The most ranges that one system call deals with.
pub(crate) const MAX_RANGES: usize = 16;

/// An owned range of addresses. Offsets count from its base, in bytes, and are whole pages.
#[derive(Debug)]
pub(crate) struct Reservation {
    base: NonNull<c_void>,
    size: usize,
}

// SAFETY: a range of addresses belongs to no thread.
unsafe impl Send for Reservation {}
// SAFETY: the functions with `&self` are system calls; those that take contents away say who may
// call them.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `size` bytes, in whole pages, closed. They never become huge pages.
    pub(crate) fn new(size: usize) -> io::Result<Self> {
        let reservation = Self { base: sys::reserve(size)?, size };
        sys::munlock(reservation.base.as_ptr(), size);
        sys::advise_stack(reservation.base.as_ptr(), size);
        Ok(reservation)
    }

    /// Returns the lowest address.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base.cast()
    }

    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    fn at(&self, range: &Range<usize>) -> *mut c_void {
        assert!(range.start < range.end && range.end <= self.size, "{range:?} of {}", self.size);
        self.base.as_ptr().wrapping_byte_add(range.start)
    }

    /// Describes a range, for [`discard_all`].
    pub(crate) fn piece(&self, range: Range<usize>) -> Piece {
        sys::piece(self.at(&range), range.len())
    }

    /// Makes a closed range readable and writable. `ENOMEM` if the system does not give that many
    /// mappings or that much memory. On some systems a part that is open loses its contents.
    pub(crate) fn open(&self, range: Range<usize>) -> io::Result<()> {
        // SAFETY: inside the own range; what is closed has no users.
        unsafe { sys::open(self.at(&range), range.len()) }
    }

    /// Makes room for the handler of an overflow, in the closed guard below a stack that begins at
    /// `limit`, where an overflow is handled on the stack itself.
    pub(crate) fn make_handler_room(&self, limit: usize) -> io::Result<()> {
        let room = limit - sys::HANDLER_ROOM..limit;
        if room.is_empty() {
            return Ok(());
        }
        self.at(&room);
        // SAFETY: inside the own range; what is closed has no users.
        unsafe { sys::make_handler_room(self.base.as_ptr().wrapping_byte_add(limit)) }
    }

    /// Makes every access to an open range a fault.
    ///
    /// # Safety
    ///
    /// Nobody uses it.
    pub(crate) unsafe fn guard(&self, range: Range<usize>) -> io::Result<()> {
        // SAFETY: inside the own range, and this function's contract.
        unsafe { sys::install_guard(self.at(&range), range.len()) }
    }

    /// As [`guard`](Self::guard), for up to [`MAX_RANGES`] open ranges at once. False if not all of
    /// them are guarded; the caller may then guard them one by one.
    ///
    /// # Safety
    ///
    /// Nobody uses any of them.
    pub(crate) unsafe fn guard_all(
        &self,
        ranges: impl ExactSizeIterator<Item = Range<usize>>,
    ) -> bool {
        static REFUSED: AtomicBool = AtomicBool::new(false);
        if REFUSED.load(Relaxed) {
            return false;
        }
        // SAFETY: inside the own range, and this function's contract.
        let done = self.with_ranges(ranges, |ranges| unsafe { sys::install_guards(ranges) });
        if !done {
            REFUSED.store(true, Relaxed);
        }
        done
    }

    /// Brings the pages of up to [`MAX_RANGES`] open ranges into memory, if one call can do that
    /// for all of them.
    pub(crate) fn populate_all(&self, ranges: impl ExactSizeIterator<Item = Range<usize>>) {
        self.with_ranges(ranges, sys::populate);
    }

    fn with_ranges<R>(
        &self,
        ranges: impl ExactSizeIterator<Item = Range<usize>>,
        f: impl FnOnce(&[Piece]) -> R,
    ) -> R {
        let mut many = [sys::piece(null_mut(), 0); MAX_RANGES];
        let count = ranges.len();
        for (one, range) in many[..count].iter_mut().zip(ranges) {
            *one = self.piece(range);
        }
        f(&many[..count])
    }

    /// Gives the pages of an open range and its guards back, so that the kernel may free the page
    /// tables, too (Linux 6.14). False if the guards stay.
    ///
    /// # Safety
    ///
    /// Nobody needs what is in it, nor its guards.
    pub(crate) unsafe fn reset(&self, range: Range<usize>) -> bool {
        // SAFETY: inside the own range, and this function's contract.
        let removed = unsafe { sys::remove_guards(self.at(&range), range.len()) };
        // SAFETY: as above.
        unsafe { self.discard(range) };
        removed
    }

    /// Gives the pages of an open range back. The next read there finds zeroes.
    ///
    /// # Safety
    ///
    /// Nobody needs what is in it.
    pub(crate) unsafe fn discard(&self, range: Range<usize>) {
        // SAFETY: inside the own range, and this function's contract.
        unsafe { sys::discard(self.at(&range), range.len()) }
    }
}

/// Gives the pages of open ranges back, as [`Reservation::discard`]. They may be of several
/// reservations. One system call, if the system has that.
///
/// # Safety
///
/// Each lies in a reservation that is there, and nobody needs what is in it.
pub(crate) unsafe fn discard_all(ranges: &[Piece]) {
    static REFUSED: AtomicBool = AtomicBool::new(false);
    if ranges.len() > 1 && !REFUSED.load(Relaxed) {
        // SAFETY: this function's contract.
        if unsafe { sys::discard_all(ranges) } {
            return;
        }
        REFUSED.store(true, Relaxed);
    }
    for range in ranges {
        // SAFETY: this function's contract.
        unsafe { sys::discard(range.iov_base, range.iov_len) };
    }
}

/// Returns the lowest address in the range, in whole pages, whose page is in memory; the range's
/// end if none is, or the system does not say.
pub(crate) fn lowest_resident(range: Range<usize>) -> usize {
    const PAGES: usize = 256;
    let page = page_size();
    let mut pages = [0_u8; PAGES];
    for start in range.clone().step_by(PAGES * page) {
        let size = (range.end - start).min(PAGES * page);
        let states = &mut pages[..size / page];
        if !sys::resident(start, states) {
            continue;
        }
        if let Some(at) = states.iter().position(|state| state & 1 == 1) {
            return start + at * page;
        }
    }
    range.end
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, unmapped once; the owner sees to it that nothing runs on it any
        // more.
        unsafe { sys::unreserve(self.base, self.size) };
    }
}

/// True if this kernel has guards that need no mapping of their own. Asked once.
pub(crate) fn has_light_guards() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let page = page_size();
        let tried = Reservation::new(page).and_then(|probe| {
            probe.open(0..page)?;
            // SAFETY: only this function has the probe.
            unsafe { probe.guard(0..page) }
        });
        tried.is_ok()
    })
}

#[cfg(all(test, any(unix, windows)))]
mod tests {
    use super::*;
    use crate::testing::{Child, permissions_at};

    fn reserve(pages: usize) -> (Reservation, usize) {
        (Reservation::new(pages * page_size()).expect("a reservation"), page_size())
    }

    #[test]
    fn it_is_closed_until_it_is_opened() {
        let (reservation, page) = reserve(4);
        let at = |index: usize| permissions_at(reservation.base().addr().get() + index * page);
        assert_eq!([0, 1, 2, 3].map(at), ["---p"; 4]);
        reservation.open(page..3 * page).expect("opened");
        assert_eq!([0, 1, 2, 3].map(at), ["---p", "rw-p", "rw-p", "---p"]);
    }

    /// As a huge page, one touched page would be two megabytes.
    #[test]
    #[cfg(unix)]
    fn it_never_becomes_huge_pages() {
        let (reservation, page) = reserve(4);
        reservation.open(page..3 * page).expect("opened");
        for at in 0..4 {
            let flags = crate::testing::flags_at(reservation.base().addr().get() + at * page);
            assert!(flags.split(' ').any(|flag| flag == "nh"), "page {at}: {flags}");
        }
    }

    #[test]
    #[cfg_attr(gosched_no_mincore, ignore = "the part is taken away")]
    fn what_was_discarded_reads_as_zeroes_and_is_not_in_memory() {
        let (reservation, page) = reserve(4);
        reservation.open(0..4 * page).expect("opened");
        let base = reservation.base().addr().get();
        let lowest = |pages: Range<usize>| {
            lowest_resident(base + pages.start * page..base + pages.end * page) - base
        };
        assert_eq!(lowest(0..4), 4 * page);
        let word = reservation.base().as_ptr().wrapping_add(2 * page);
        // SAFETY: opened above, and this test's alone.
        unsafe { word.write(7) };
        assert_eq!(lowest(0..4), 2 * page);
        assert_eq!(lowest(3..4), 4 * page);
        // SAFETY: nobody needs the 7.
        unsafe { reservation.discard(page..4 * page) };
        assert_eq!(lowest(0..4), 4 * page);
        // SAFETY: as above.
        assert_eq!(unsafe { word.read() }, 0);
    }

    #[test]
    fn touching_a_guard_kills() {
        Child::run("memory::reservation::tests::touching_a_guard_kills", || {
            let (reservation, page) = reserve(2);
            if has_light_guards() {
                reservation.open(0..2 * page).expect("opened");
                // SAFETY: nobody uses it.
                unsafe { reservation.guard(0..page) }.expect("a guard");
                // SAFETY: nobody needs it.
                unsafe { reservation.discard(0..2 * page) };
            } else {
                reservation.open(page..2 * page).expect("opened");
            }
            let base = reservation.base().as_ptr();
            // SAFETY: opened above.
            unsafe { base.wrapping_add(page).write_volatile(1) };
            // SAFETY: none; the guard ends the process here, which is what the parent waits for.
            unsafe { base.wrapping_add(page - 1).write_volatile(1) };
        })
        .assert_killed_by(libc::SIGSEGV);
    }

    #[test]
    fn dropped_it_is_gone_from_end_to_end() {
        // In a child process: in this one, another test's mapping could take the address at once.
        Child::run("memory::reservation::tests::dropped_it_is_gone_from_end_to_end", || {
            let (reservation, page) = reserve(3);
            reservation.open(page..2 * page).expect("opened");
            let ends = [0, 3 * page - 1].map(|offset| reservation.base().addr().get() + offset);
            drop(reservation);
            assert_eq!(ends.map(permissions_at), ["", ""]);
        })
        .assert_success();
    }
}
