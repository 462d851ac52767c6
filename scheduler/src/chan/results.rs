//! The results of the public functions, out of places. Each is a function of its own, so that its
//! copies are on the stack for its own time only.
//!
//! # Safety
//!
//! A value is taken out of a place that is full, as an error or a result that is transparent.
#![expect(unsafe_code, reason = "takes a value as the error that wraps it")]

use super::error::{RecvError, SendError, SendTimeoutError, TrySendError};
use super::place::Place;

#[inline]
pub(crate) fn sent<T>(value: &mut Place<T>) -> Result<(), SendError<T>> {
    if value.is_full() { unsent(value) } else { Ok(()) }
}

#[cold]
#[inline(never)]
fn unsent<T>(value: &mut Place<T>) -> Result<(), SendError<T>> {
    // SAFETY: it is full, and the error is transparent.
    Err(unsafe { value.take_as() })
}

#[cold]
#[inline(never)]
pub(super) fn full<T>(value: &mut Place<T>) -> Result<(), TrySendError<T>> {
    // SAFETY: it is full.
    Err(TrySendError::Full(unsafe { value.take_as() }))
}

#[cold]
#[inline(never)]
pub(super) fn disconnected<T>(value: &mut Place<T>) -> Result<(), TrySendError<T>> {
    // SAFETY: it is full.
    Err(TrySendError::Disconnected(unsafe { value.take_as() }))
}

#[cold]
#[inline(never)]
pub(super) fn timed_out<T>(value: &mut Place<T>) -> Result<(), SendTimeoutError<T>> {
    // SAFETY: it is full.
    Err(SendTimeoutError::Timeout(unsafe { value.take_as() }))
}

#[cold]
#[inline(never)]
pub(super) fn disconnected_in_time<T>(value: &mut Place<T>) -> Result<(), SendTimeoutError<T>> {
    // SAFETY: it is full.
    Err(SendTimeoutError::Disconnected(unsafe { value.take_as() }))
}

/// The value, or `error` if there is none.
#[inline]
pub(crate) fn received<T, E>(value: &mut Place<T>, error: E) -> Result<T, E> {
    if value.is_full() {
        // SAFETY: it is full.
        Ok(unsafe { value.take_as() })
    } else {
        Err(error)
    }
}

#[inline]
pub(crate) fn received_or_gone<T>(value: &mut Place<T>) -> Result<T, RecvError> {
    received(value, RecvError)
}
