//! Which callbacks the calling thread is in.
//!
//! A callback that is unregistered inside of itself does not wait for that call, and its closure
//! goes when the call has ended. So each call has a node in its frame, which is found by its thread
//! while the call is inside.
//!
//! Most calls come from C's own thread, which has an M: the M has a word for the node, and is at
//! hand, so such a call costs two stores. The thread is in no goroutine then, so nothing else is
//! below that call. All other calls are in a list, innermost first, whose head is a word of the
//! thread. One list for all would take two looks at thread-locals more, an eighth of a call.
//!
//! A node of the list is there before its call goes in and until after it has gone out. It counts
//! as inside from the closure's first instruction on. Between the call's way out and the end of the
//! node no code of the user's runs, so nobody counts then.
//!
//! Calls of a thread are nested: while a call waits, its goroutine is pinned, or is the thread. If
//! coroutines of another library switch inside and break that, the way out ends the process, or the
//! end of a call finds another node than its own, and does so.
//!
//! # Safety
//!
//! The words are null or point to a node in a frame of this thread that has not ended.
#![expect(unsafe_code, reason = "follows the nodes in the frames of the thread's calls")]

use crate::binding;
use crate::bridge::{Binding, enter_through};
use crate::error::EnterError;
use crate::extra::entrance::Entrance;
use gosched_runtime_sys::signal::fatal::{Part, fatal};
use gosched_runtime_sys::thread::tls;
use std::cell::Cell;
use std::iter::successors;
use std::ptr;

/// What is left to do when the outermost call of a callback on this thread has ended.
pub(super) type Finish = Box<dyn FnOnce()>;

/// One call of a callback.
struct Node {
    /// The callback, as a name.
    callback: *const (),
    inside: Cell<bool>,
    outer: Cell<*const Node>,
    finish: Cell<Option<Finish>>,
}

/// Runs `f` as a goroutine on the calling thread, in a call of `callback`. An error is changed by
/// `refused` while the callback is there. When the call has ended, does what was left to do, which
/// may be the callback's end.
#[inline]
pub(super) fn enter<R, E>(
    callback: *const (),
    entrance: &Entrance,
    binding: Binding,
    f: impl FnOnce() -> R,
    refused: impl FnOnce(EnterError) -> E,
) -> Result<R, E> {
    let node = Node {
        callback,
        inside: Cell::new(false),
        outer: Cell::new(ptr::null()),
        finish: Cell::new(None),
    };
    let outcome = match binding::bound_outside(entrance) {
        Some(m) if binding == Binding::UntilThreadExit => {
            node.inside.set(true);
            binding::enter_call(entrance, m, ptr::from_ref(&node).cast(), f)
        }
        _ => node.enter_listed(entrance, binding, f),
    };
    let outcome = outcome.map_err(refused);
    if let Some(finish) = node.finish.take() {
        finish();
    }
    outcome
}

impl Node {
    /// Enters with this node in the thread's list.
    #[cold]
    fn enter_listed<R>(
        &self,
        entrance: &Entrance,
        binding: Binding,
        f: impl FnOnce() -> R,
    ) -> Result<R, EnterError> {
        self.outer.set(tls::replace_calling(ptr::from_ref(self).cast()).cast());
        let _end = End(self);
        let outcome = enter_through(entrance, binding, || {
            self.inside.set(true);
            f()
        });
        // Before the node is off the list: a handler that calls in finds no call below it.
        self.inside.set(false);
        outcome
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

/// Returns in how many calls of `callback` the calling thread is. If there are any, `finish` makes
/// what is left to do when the outermost of them has ended.
pub(super) fn own_calls(callback: *const (), finish: impl FnOnce() -> Option<Finish>) -> usize {
    // SAFETY: null, or a node of this thread whose frame has not ended, nor will before this.
    let innermost = unsafe { tls::calling().cast::<Node>().as_ref() };
    // SAFETY: as above.
    let listed = successors(innermost, |node| unsafe { node.outer.get().as_ref() });
    // SAFETY: as above.
    let of_m = unsafe { binding::call().cast::<Node>().as_ref() };
    let (mut calls, mut outermost) = (0, None);
    for node in listed.chain(of_m) {
        if node.callback == callback && node.inside.get() {
            calls += 1;
            outermost = Some(node);
        }
    }
    if let Some(outermost) = outermost
        && let Some(finish) = finish()
    {
        outermost.finish.set(Some(finish));
    }
    calls
}
