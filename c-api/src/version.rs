//! Which release this is, and which ABI it has.
//!
//! # Safety
//!
//! The names that are exported have this library's prefix.
#![expect(unsafe_code, reason = "exported names")]

use std::ffi::{CStr, c_char};

/// The number of the binary interface: of structs, codes and functions. A program says which one it
/// was compiled for when it makes a runtime. It rises when a program has to be compiled anew.
pub const GOSCHED_ABI: u32 = 1;
/// The release of the header, major.minor.patch. gosched_version tells that of the library.
pub const GOSCHED_VERSION_MAJOR: u32 = 0;
/// See GOSCHED_VERSION_MAJOR.
pub const GOSCHED_VERSION_MINOR: u32 = 1;
/// See GOSCHED_VERSION_MAJOR.
pub const GOSCHED_VERSION_PATCH: u32 = 0;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL"),
    };

/// Returns the ABI of the library, to be compared with GOSCHED_ABI.
///
/// Threads: any. Waits: no. Handlers: yes. States: any.
#[unsafe(no_mangle)]
pub extern "C" fn gosched_abi() -> u32 {
    GOSCHED_ABI
}

/// Returns the release of the library, such as "0.1.0".
///
/// Threads: any. Waits: no. Handlers: yes. States: any.
#[unsafe(no_mangle)]
pub extern "C" fn gosched_version() -> *const c_char {
    VERSION.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_version_of_the_package() {
        let header =
            format!("{GOSCHED_VERSION_MAJOR}.{GOSCHED_VERSION_MINOR}.{GOSCHED_VERSION_PATCH}");
        assert_eq!(header, env!("CARGO_PKG_VERSION"));
        assert_eq!(VERSION.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    }
}
