//! Waits that are put off while their goroutine unwinds.
//!
//! A goroutine that waits while it unwinds keeps its thread (`proc::in_place`), and with it those
//! whom it may wait for. What a destructor would wait for is put off until the unwinding has
//! stopped: where [`timeout`](crate::time::timeout) has caught it, or at the goroutine's end,
//! before its joiner is told.
//!
//! # Rejected
//!
//! Letting those who share the thread run meanwhile. The count of panics is the thread's, and
//! nobody but `std` can change it. They would see `std::thread::panicking()`: their guards of `std`
//! locks would poison, destructors that ask would do what is meant for an unwinding, and a guard
//! that was made before would conclude that what it guards has unwound. And a cancel could not tell
//! whether it may unwind them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ptr;
use std::thread;

use crate::proc::cancel::shielded;
use crate::proc::locals;

/// The address by which a goroutine's list is known, among its locals.
static KEY: u8 = 0;

type Wait = Box<dyn FnOnce()>;

/// What the goroutine is to wait for, the oldest first.
#[derive(Default)]
struct PutOff(RefCell<VecDeque<Wait>>);

impl PutOff {
    fn next(&self) -> Option<Wait> {
        self.0.borrow_mut().pop_front()
    }
}

impl Drop for PutOff {
    /// The goroutine's closure has ended.
    fn drop(&mut self) {
        while let Some(wait) = self.next() {
            shielded(wait);
        }
    }
}

/// Calls `f` with the calling goroutine's list. `None` on a thread that runs none.
fn with<R>(f: impl FnOnce(&PutOff) -> R) -> Option<R> {
    locals::with(ptr::from_ref(&KEY).addr(), PutOff::default, f)
}

/// Puts `wait` off, which does not unwind. On a thread that is no goroutine it is called at once.
pub(crate) fn put_off(wait: Wait) {
    let mut wait = Some(wait);
    let _none_on_a_plain_thread = with(|later| later.0.borrow_mut().extend(wait.take()));
    if let Some(wait) = wait {
        wait();
    }
}

/// Waits for what was put off, unless the thread unwinds. Called when an unwinding was caught.
#[cold]
pub(crate) fn settle() {
    while !thread::panicking()
        && let Some(Some(wait)) = with(PutOff::next)
    {
        shielded(wait);
    }
}
