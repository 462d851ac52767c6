//! OpenMP: the workers of a parallel region call back. The regions are in `hosts/c/openmp.c`.
//!
//! # Safety
//!
//! The declaration is that of the C file, which keeps nothing.
#![expect(unsafe_code, reason = "calls into C")]
#![cfg_attr(not(host = "openmp"), expect(dead_code, reason = "OpenMP is not installed"))]

use hosts::frame::Host;
use std::ffi::c_void;

type Call = unsafe extern "C" fn(i64, *mut c_void) -> i64;

#[cfg_attr(host = "openmp", link(name = "gomp"))]
unsafe extern "C" {
    fn host_openmp_sum(n: i64, call: Call, user: *mut c_void) -> i64;
}

const NUMBERS: i64 = 1000;

unsafe extern "C" fn on_number(value: i64, user: *mut c_void) -> i64 {
    // SAFETY: the host of `run`.
    let host = unsafe { &*user.cast::<Host>() };
    host.call(value)
}

fn run(host: &'static Host) {
    let user = std::ptr::from_ref(host).cast_mut().cast();
    for _ in 0..2 {
        // SAFETY: `host` is there for good, and is shared by threads.
        let sum = unsafe { host_openmp_sum(NUMBERS, on_number, user) };
        let wanted = 3 * NUMBERS * NUMBERS;
        host.check(sum == wanted, format_args!("the sum is {sum}, not {wanted}"));
    }
}

hosts::host!("openmp", "libgomp", run);
