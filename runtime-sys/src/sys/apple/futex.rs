//! Waiting on an address: `os_sync_wait_on_address` and its kin, which macOS has since 14.4. An
//! older system parks its threads on semaphores.
//!
//! The functions are looked for by `dlsym`: a program that names them does not load where they are
//! missing. They are of os/os_sync_wait_on_address.h. A wait asks first; nobody wakes who did not
//! wait before. So a handler, which may wake, finds the answer there.
//!
//! # Safety
//!
//! A wait reads the word, which outlives it. A wake takes the address as a name: the kernel's queue
//! of a word that is not shared between processes is found by the process and the address.
#![expect(unsafe_code, reason = "functions by their addresses")]

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::mem::{size_of, transmute};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use super::parking;

type Wait = unsafe extern "C" fn(*mut c_void, u64, usize, u32) -> c_int;
type WaitFor = unsafe extern "C" fn(*mut c_void, u64, usize, u32, u32, u64) -> c_int;
type Wake = unsafe extern "C" fn(*mut c_void, usize, u32) -> c_int;

/// `OS_SYNC_WAIT_ON_ADDRESS_NONE`, `OS_SYNC_WAKE_BY_ADDRESS_NONE`: within this process.
const WITHIN: u32 = 0;

/// `OS_CLOCK_MACH_ABSOLUTE_TIME` of os/clock.h: the clock of std's `Instant`.
const CLOCK: u32 = 32;

/// The longest that one call sleeps, in nanoseconds.
const LONGEST: u64 = 86_400_000_000_000;

/// The functions: a wait, one with a timeout, a wake of one and of all.
const NAMES: [&CStr; 4] = [
    c"os_sync_wait_on_address",
    c"os_sync_wait_on_address_with_timeout",
    c"os_sync_wake_by_address_any",
    c"os_sync_wake_by_address_all",
];

/// Their addresses.
static FOUND: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

/// Nobody has looked yet. All are there. Not all are there.
const UNKNOWN: u32 = 0;
const YES: u32 = 1;
const NO: u32 = 2;
static ANSWER: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Returns the addresses of the functions; none where the system has them not.
fn functions() -> Option<[usize; 4]> {
    // ORDERING[os_sync.found]: partner is the store in `look`; the addresses become visible.
    let answer = match ANSWER.load(Ordering::Acquire) {
        UNKNOWN => look(),
        answer => answer,
    };
    (answer == YES).then(|| [0, 1, 2, 3].map(|at: usize| FOUND[at].load(Ordering::Relaxed)))
}

#[cold]
fn look() -> u32 {
    let mut answer = YES;
    for (name, found) in NAMES.iter().zip(&FOUND) {
        // SAFETY: the name ends in a zero.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        found.store(address.addr(), Ordering::Relaxed);
        if address.is_null() {
            answer = NO;
        }
    }
    // ORDERING[os_sync.found]: partner is the load in `functions`. Two threads store the same.
    ANSWER.store(answer, Ordering::Release);
    answer
}

/// Sleeps while the word is `expected`. False if the timeout passed. May return true early.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let Some([wait, wait_for, ..]) = functions() else {
        return parking::futex_wait(word, expected, timeout);
    };
    let (address, size) = (word.as_ptr().cast(), size_of::<u32>());
    let ns = timeout.map(|left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX).max(1));
    let result = match ns {
        None => {
            // SAFETY: the function of that name.
            let wait = unsafe { transmute::<usize, Wait>(wait) };
            // SAFETY: the word is alive.
            unsafe { wait(address, expected.into(), size, WITHIN) }
        }
        Some(ns) => {
            // SAFETY: the function of that name.
            let wait_for = unsafe { transmute::<usize, WaitFor>(wait_for) };
            // SAFETY: as above.
            unsafe { wait_for(address, expected.into(), size, WITHIN, CLOCK, ns.min(LONGEST)) }
        }
    };
    let timed_out =
        result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT);
    !timed_out || ns.is_some_and(|ns| ns > LONGEST)
}

/// Wakes one thread that sleeps on this address; never touches the memory there.
pub(crate) fn futex_wake(address: *const u32) {
    match functions() {
        // SAFETY: the function of that name.
        Some([.., one, _]) => call(unsafe { transmute::<usize, Wake>(one) }, address),
        None => parking::futex_wake(address),
    }
}

/// Wakes all threads that sleep on this address; never touches the memory there.
pub(crate) fn futex_wake_all(address: *const u32) {
    match functions() {
        // SAFETY: the function of that name.
        Some([.., all]) => call(unsafe { transmute::<usize, Wake>(all) }, address),
        None => parking::futex_wake_all(address),
    }
}

fn call(wake: Wake, address: *const u32) {
    // Fails (`ENOENT`) if nobody sleeps there.
    // SAFETY: the address is a name.
    unsafe { wake(address.cast_mut().cast(), size_of::<u32>(), WITHIN) };
}
