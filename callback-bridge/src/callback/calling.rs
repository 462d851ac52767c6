//! Which callbacks the calling thread is in, innermost first.
//!
//! A callback that is unregistered inside of itself does not wait for that call, and its closure
//! goes when the call has ended. So each call has a node in its frame, and the thread's word points
//! to the newest.
//!
//! A node is there before its call goes in and until after it has gone out. It counts as inside
//! from the closure's first instruction on. Between the call's way out and the end of the node no
//! code of the user's runs, so nobody counts then.
//!
//! Calls of a thread are nested: while a call waits, its goroutine is pinned, or is the thread. If
//! coroutines of another library switch inside and break that, the end of a call finds another
//! node than its own, and ends the process.
//!
//! # Safety
//!
//! The thread's word is null or points to a node in a frame of this thread that has not ended.
#![expect(unsafe_code, reason = "follows the nodes in the frames of the thread's calls")]

use gosched_runtime_sys::signal::fatal::{Part, fatal};
use gosched_runtime_sys::thread::tls;
use std::cell::Cell;
use std::ptr;

/// What is left to do when the outermost call of a callback on this thread has ended.
pub(super) type Finish = Box<dyn FnOnce()>;

/// One call of a callback.
pub(super) struct Node {
    /// The callback, as a name.
    callback: *const (),
    inside: Cell<bool>,
    outer: Cell<*const Node>,
    finish: Cell<Option<Finish>>,
}

impl Node {
    /// Calls `f` with a node of a call of `callback`. Afterwards does what was left to do.
    #[inline]
    pub(super) fn around<R>(callback: *const (), f: impl FnOnce(&Node) -> R) -> R {
        let node = Self {
            callback,
            inside: Cell::new(false),
            outer: Cell::new(ptr::null()),
            finish: Cell::new(None),
        };
        node.outer.set(tls::replace_calling(ptr::from_ref(&node).cast()).cast());
        let end = End(&node);
        let result = f(&node);
        drop(end);
        if let Some(finish) = node.finish.take() {
            finish();
        }
        result
    }

    /// Counts as inside from here on.
    #[inline]
    pub(super) fn came_in(&self) {
        self.inside.set(true);
    }

    /// Has `finish` called when this call has ended.
    pub(super) fn finish_with(&self, finish: Finish) {
        self.finish.set(Some(finish));
    }
}

/// Takes a node off, on whatever way out.
struct End<'a>(&'a Node);

impl Drop for End<'_> {
    #[inline]
    fn drop(&mut self) {
        let innermost = tls::replace_calling(self.0.outer.get().cast());
        if !ptr::eq(innermost.cast(), self.0) {
            left_out_of_turn();
        }
    }
}

#[cold]
fn left_out_of_turn() -> ! {
    fatal(&[Part::Text(
        "gosched: a callback was left out of turn or on another thread, as it happens when \
         coroutines switch inside\n",
    )])
}

/// Returns in how many calls of `callback` the calling thread is, after calling `f` with the
/// outermost one.
pub(super) fn own_calls(callback: *const (), f: impl FnOnce(&Node)) -> usize {
    let (mut calls, mut outermost) = (0, None);
    let mut next = tls::calling().cast::<Node>();
    // SAFETY: null, or a node of this thread whose frame has not ended.
    while let Some(node) = unsafe { next.as_ref() } {
        if node.callback == callback && node.inside.get() {
            calls += 1;
            outermost = Some(node);
        }
        next = node.outer.get();
    }
    if let Some(outermost) = outermost {
        f(outermost);
    }
    calls
}
