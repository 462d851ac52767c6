//! Channels of pointers.
//!
//! A handle of C's has both ends, as a channel of Go's has: so a channel is closed when somebody
//! says so, and not by the going of an end.
//!
//! # Safety
//!
//! Handles and functions are what the header says.
#![expect(unsafe_code, reason = "exported names; handles and functions of C")]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

use gosched::cancel::shield;
use gosched::chan;

use crate::code::{Code, GOSCHED_CLOSED, GOSCHED_OK, GOSCHED_TIMED_OUT, GOSCHED_WOULD_BLOCK};
use crate::failure::Failure;
use crate::function::{self, Function, Pointer};
use crate::guard::{Made, give, give_back, guarded, hold, nanoseconds, place, share};

/// The capacity of a channel without a bound: `GOSCHED_UNBOUNDED` in C.
const UNBOUNDED: usize = usize::MAX;
/// The time limit of a select without one: `GOSCHED_FOREVER` in C.
const FOREVER: u64 = u64::MAX;

/// A channel of pointers, between goroutines and threads of any kind.
#[derive(Debug)]
pub struct Chan {
    sender: chan::Sender<Pointer>,
    receiver: chan::Receiver<Pointer>,
    release: Function,
}

impl Chan {
    fn new(capacity: usize, release: Function) -> Self {
        let (sender, receiver) = match capacity {
            UNBOUNDED => chan::unbounded(),
            capacity => chan::bounded(capacity),
        };
        Self { sender, receiver, release }
    }
}

impl Drop for Chan {
    fn drop(&mut self) {
        let Some(release) = self.release else { return };
        // A receive that only tries is a wait, which a cancel may end.
        while let Ok(left) = shield(|| self.receiver.try_recv()) {
            // SAFETY: the contract of `gosched_chan_new`.
            unsafe { function::call(release, left) };
        }
    }
}

/// The most that a channel with a bound has room for.
const MOST: usize = 1 << 32;

/// Makes a channel, and leaves it in *channel. A send waits while capacity pointers are in it; with
/// 0, until a receiver takes the pointer; with GOSCHED_UNBOUNDED, never. release, unless it is
/// NULL, is called with each pointer that is left when the channel goes; it does not wait.
///
/// The pointers may be anything, NULL too. Whoever receives one may use it on its own thread.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_new(
    capacity: usize,
    release: Function,
    channel: *mut *mut Chan,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let out = unsafe { place(channel) }?;
        if capacity > MOST && capacity != UNBOUNDED {
            return Err(Failure::invalid("a channel has room for 2^32 pointers at most"));
        }
        out.write(give(Chan::new(capacity, release))?);
        Ok(())
    })
}

/// Sends a pointer, and waits until there is room for it. After any other code than GOSCHED_OK the
/// pointer is the caller's as before.
///
/// GOSCHED_CLOSED, also if the channel is closed while this waits; GOSCHED_CANCELLED.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_send(channel: *mut Chan, pointer: *mut c_void) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let channel = unsafe { hold(channel) }?;
        channel.sender.send(Pointer(pointer)).map_err(|_closed| Failure::plain(GOSCHED_CLOSED))
    })
}

/// As gosched_chan_send, without a wait: GOSCHED_WOULD_BLOCK. A goroutine whose slice is over gives
/// its turn where it fails.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_try_send(channel: *mut Chan, pointer: *mut c_void) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let channel = unsafe { hold(channel) }?;
        channel.sender.try_send(Pointer(pointer)).map_err(|error| {
            Failure::plain(if error.is_full() { GOSCHED_WOULD_BLOCK } else { GOSCHED_CLOSED })
        })
    })
}

/// As gosched_chan_send, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_send_timeout(
    channel: *mut Chan,
    pointer: *mut c_void,
    timeout_ns: u64,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let channel = unsafe { hold(channel) }?;
        let sent = channel.sender.send_timeout(Pointer(pointer), nanoseconds(timeout_ns));
        sent.map_err(|error| {
            Failure::plain(if error.is_timeout() { GOSCHED_TIMED_OUT } else { GOSCHED_CLOSED })
        })
    })
}

/// Receives a pointer into *pointer, and waits for it. After any other code than GOSCHED_OK nothing
/// was received, and *pointer is NULL.
///
/// GOSCHED_CLOSED once the channel is closed and empty; GOSCHED_CANCELLED.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_recv(channel: *mut Chan, pointer: *mut *mut c_void) -> Code {
    // SAFETY: the header's contract.
    unsafe {
        receive(channel, pointer, |channel| {
            channel.recv().map_err(|chan::RecvError| Failure::plain(GOSCHED_CLOSED))
        })
    }
}

/// As gosched_chan_recv, without a wait: GOSCHED_WOULD_BLOCK. A goroutine whose slice is over gives
/// its turn where it fails.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_try_recv(
    channel: *mut Chan,
    pointer: *mut *mut c_void,
) -> Code {
    // SAFETY: the header's contract.
    unsafe {
        receive(channel, pointer, |channel| {
            channel.try_recv().map_err(|error| {
                Failure::plain(if error.is_empty() { GOSCHED_WOULD_BLOCK } else { GOSCHED_CLOSED })
            })
        })
    }
}

/// As gosched_chan_recv, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_recv_timeout(
    channel: *mut Chan,
    pointer: *mut *mut c_void,
    timeout_ns: u64,
) -> Code {
    // SAFETY: the header's contract.
    unsafe {
        receive(channel, pointer, |channel| {
            channel.recv_timeout(nanoseconds(timeout_ns)).map_err(|error| {
                Failure::plain(if error.is_timeout() { GOSCHED_TIMED_OUT } else { GOSCHED_CLOSED })
            })
        })
    }
}

/// Receives as `by` says. The place is looked at before anything is taken.
///
/// # Safety
///
/// The pointers are what the header says.
unsafe fn receive(
    channel: *mut Chan,
    pointer: *mut *mut c_void,
    by: impl FnOnce(&chan::Receiver<Pointer>) -> Result<Pointer, Failure>,
) -> Code {
    guarded(|| {
        // SAFETY: this function's contract.
        let channel = unsafe { hold(channel) }?;
        // SAFETY: this function's contract.
        let out = unsafe { place(pointer) }?;
        out.write(null_mut());
        out.write(by(&channel.receiver)?.0);
        Ok(())
    })
}

/// Closes the channel: sends fail from now on, also those that wait. What is in it can still be
/// received. Closing it again does nothing.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_close(channel: *mut Chan) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { hold(channel) }?.sender.close();
        Ok(())
    })
}

/// Returns how many pointers are in the channel; 0 for NULL, and in a forked child.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_length(channel: *mut Chan) -> usize {
    // SAFETY: the header's contract.
    unsafe { hold(channel) }.map_or(0, |channel| channel.receiver.len())
}

/// A case of gosched_select.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Case {
    /// The channel; NULL: a case that is never ready.
    pub channel: *mut Chan,
    /// Not 0: the pointer is sent. 0: one is received.
    pub sends: u32,
    /// Set where this case was chosen: GOSCHED_OK, or GOSCHED_CLOSED.
    pub code: Code,
    /// What is sent, or was received; NULL if nothing was.
    pub pointer: *mut c_void,
}

/// Waits until one of the cases can go on, and does that one; of several, any. Its index is left in
/// *chosen, and its code in the case. A case whose channel is closed can go on.
///
/// timeout_ns is how long it waits at most: GOSCHED_TIMED_OUT, or with 0, GOSCHED_WOULD_BLOCK.
/// GOSCHED_FOREVER: no limit. After these codes, and after GOSCHED_CANCELLED, nothing was done.
///
/// Threads: any. Waits: yes, unless timeout_ns is 0. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_select(
    cases: *mut Case,
    count: usize,
    timeout_ns: u64,
    chosen: *mut usize,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let out = unsafe { place(chosen) }?;
        if cases.is_null() || count > isize::MAX as usize / size_of::<Case>() {
            return Err(Failure::invalid("the cases are NULL or too many"));
        }
        // SAFETY: the header's contract.
        let cases = unsafe { std::slice::from_raw_parts_mut(cases, count) };
        out.write(select(cases, timeout_ns)?);
        Ok(())
    })
}

fn select(cases: &mut [Case], timeout: u64) -> Result<usize, Failure> {
    let held = cases.iter().map(|case| match case.channel.is_null() {
        // Never ready.
        true => Ok(None),
        // SAFETY: the header's contract.
        false => unsafe { hold(case.channel) }.map(Some),
    });
    let channels: Vec<Option<Arc<Made<Chan>>>> = held.collect::<Result<_, Failure>>()?;
    let mut select = chan::Select::new();
    let mut keys = Vec::with_capacity(cases.len());
    for (index, (case, channel)) in cases.iter().zip(&channels).enumerate() {
        let Some(channel) = channel else { continue };
        let key = match case.sends {
            0 => select.recv(&channel.receiver),
            _ => select.send(&channel.sender, Pointer(case.pointer)),
        };
        keys.push((key, index, channel));
    }
    let done = match timeout {
        0 => select.try_select().map_err(|_none| Failure::plain(GOSCHED_WOULD_BLOCK))?,
        FOREVER => select.select(),
        limit => select
            .select_timeout(nanoseconds(limit))
            .map_err(|_late| Failure::plain(GOSCHED_TIMED_OUT))?,
    };
    let key = done.index();
    let found = keys.iter().find(|(known, ..)| *known == key);
    let (_, index, channel) = found.expect("a select chooses one of its cases");
    let case = &mut cases[*index];
    let outcome = match case.sends {
        0 => done.recv(&channel.receiver).map(|received| case.pointer = received.0).ok(),
        _ => done.send(&channel.sender).ok(),
    };
    case.code = if outcome.is_some() { GOSCHED_OK } else { GOSCHED_CLOSED };
    if outcome.is_none() && case.sends == 0 {
        case.pointer = null_mut();
    }
    Ok(*index)
}

/// Adds a reference to the channel and returns it. Each reference is freed once. NULL stays NULL.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_share(channel: *mut Chan) -> *mut Chan {
    // SAFETY: the header's contract.
    unsafe { share(channel) }
}

/// Gives a reference back. With the last one the channel goes, and what is left in it is released.
/// NULL is ignored.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_chan_free(channel: *mut Chan) {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { give_back(channel) }
    });
}
