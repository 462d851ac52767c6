//! Structs that carry their size, so that a program and a library of different ages understand each
//! other.
//!
//! The first field of each is `size`, which the program sets to its own `sizeof`. Fields are only
//! ever added at the end, and zero in a field means what a library without the field does.
//!
//! # Safety
//!
//! A [`Versioned`] is valid when it is all zero, and for whatever bytes C has put into it. Only as
//! many bytes are read or written as both sides know of.
#![expect(unsafe_code, reason = "copies structs of which only a part may be there")]

use std::mem;
use std::ptr;

use crate::failure::Failure;

/// A struct of the header whose first field is its size.
///
/// # Safety
///
/// `repr(C)`; the first field is a `usize`; no byte pattern that the header allows is invalid, and
/// neither is zero everywhere.
pub(crate) unsafe trait Versioned: Copy {
    /// The size in the first version of the header.
    const FIRST: usize;
}

/// Returns a struct that is zero everywhere.
fn zeroed<T: Versioned>() -> T {
    // SAFETY: the trait's contract.
    unsafe { mem::zeroed() }
}

/// Reads the size of a struct of C's, and checks it.
///
/// # Safety
///
/// `from` is NULL or a struct that has its size in front.
unsafe fn size_of_theirs<T: Versioned>(from: *const T) -> Result<usize, Failure> {
    if from.is_null() {
        return Err(Failure::invalid("a struct is NULL"));
    }
    // SAFETY: this function's contract.
    let size = unsafe { from.cast::<usize>().read() };
    if size < T::FIRST || size > 4096 {
        return Err(Failure::invalid(format!(
            "a struct says that it has {size} bytes; it has {} at least",
            T::FIRST
        )));
    }
    Ok(size)
}

/// Reads a struct of C's.
///
/// # Safety
///
/// `from` is NULL or a struct of as many bytes as its size says.
pub(crate) unsafe fn read<T: Versioned>(from: *const T) -> Result<T, Failure> {
    // SAFETY: this function's contract.
    let size = unsafe { size_of_theirs(from) }?;
    let known = size.min(mem::size_of::<T>());
    // A program that is newer than the library has fields that the library does not know.
    for offset in known..size {
        // SAFETY: inside of the struct.
        let byte = unsafe { from.cast::<u8>().add(offset) };
        // SAFETY: as above.
        if unsafe { byte.read() } != 0 {
            return Err(Failure::invalid("an option is set that this library does not know"));
        }
    }
    let mut value = zeroed::<T>();
    // SAFETY: both have that many bytes, and do not overlap.
    unsafe { ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut value).cast(), known) };
    Ok(value)
}

/// Writes a struct of C's, as much of it as the program knows. Its size stays.
///
/// # Safety
///
/// `to` is NULL or a struct of as many bytes as its size says.
pub(crate) unsafe fn write<T: Versioned>(to: *mut T, value: &T) -> Result<(), Failure> {
    // SAFETY: this function's contract.
    let size = unsafe { size_of_theirs(to) }?;
    let known = size.min(mem::size_of::<T>());
    let head = mem::size_of::<usize>();
    // SAFETY: behind the first field, which every such struct has.
    let from = unsafe { ptr::from_ref(value).cast::<u8>().add(head) };
    // SAFETY: as above.
    let into = unsafe { to.cast::<u8>().add(head) };
    // SAFETY: both have that many bytes, and do not overlap.
    unsafe { ptr::copy_nonoverlapping(from, into, known - head) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    #[repr(C)]
    struct Now {
        size: usize,
        old: usize,
        young: usize,
    }

    // SAFETY: plain numbers.
    unsafe impl Versioned for Now {
        const FIRST: usize = 16;
    }

    /// What a program of another age has: as many words as its size says.
    fn taken(words: [usize; 4]) -> Option<Now> {
        // SAFETY: there are four words.
        unsafe { read(words.as_ptr().cast::<Now>()) }.ok()
    }

    #[test]
    fn an_older_program_leaves_new_fields_zero() {
        assert_eq!(taken([16, 1, 9, 9]), Some(Now { size: 16, old: 1, young: 0 }));
        assert_eq!(taken([24, 1, 2, 9]), Some(Now { size: 24, old: 1, young: 2 }));
    }

    #[test]
    fn a_newer_program_may_not_ask_for_what_is_unknown() {
        assert_eq!(taken([32, 1, 2, 0]), Some(Now { size: 32, old: 1, young: 2 }));
        assert_eq!(taken([32, 1, 2, 3]), None);
        assert_eq!(taken([0, 1, 2, 3]), None);
        assert_eq!(taken([15, 1, 2, 3]), None);
        assert_eq!(taken([usize::MAX, 1, 2, 3]), None);
    }

    #[test]
    fn a_result_is_cut_to_what_the_program_knows() {
        let now = Now { size: 24, old: 1, young: 2 };
        for (size, expected) in
            [(16_usize, [16_usize, 1, 9, 9]), (24, [24, 1, 2, 9]), (32, [32, 1, 2, 9])]
        {
            let mut words = [size, 9, 9, 9];
            // SAFETY: there are four words.
            unsafe { write(words.as_mut_ptr().cast::<Now>(), &now) }.expect("a size that fits");
            assert_eq!(words, expected);
        }
    }
}
