//! A new thread, or an error.
//!
//! std ends the process if a new thread finds no memory for its signal stack, at the limit of
//! mappings or of address space. We must not do that to a host's process. So the room is tried out
//! first: the memory that the thread will take is mapped and given back, and only then the thread
//! is made.
//!
//! A window is left. Two threads that try at the same moment can both succeed where there is room
//! for one only. Another part of the process may map memory meanwhile. But not every thread made at
//! the limit ends the process.
//!
//! A new thread has the signal mask of the thread that makes it. Ours would take the signals that a
//! host has blocked in its threads, for `sigwait` or in a critical section. So signals are blocked
//! while the thread is made, and it begins with all of them blocked. Then it opens those of
//! [`OPEN_SIGNALS`] and no other. The table in `docs/signals.md` says why these.
//!
//! Rejected: making threads by `pthread_create`. It would close the window. But such a thread has
//! no name in std's messages, and the output of goroutines in a test would no longer be captured.

use std::io;
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle};

use crate::memory::mapping::{page_size, round_to_pages};
use crate::memory::reservation::Reservation;
use crate::signal::mask::{OPEN_SIGNALS, SignalMask};
use crate::signal::stack::required_size;
use crate::thread::bounds::keep_own_stack_bounds;

/// The stack size that std gives a thread unless `RUST_MIN_STACK` says otherwise, in bytes.
const STD_STACK: usize = 2 << 20;

/// What a thread's beginning takes besides its stacks: the allocator's first pages for it, and the
/// C library's record.
const BEGINNING: usize = 128 << 10;

/// Makes a thread with that name, as std does, with all signals blocked but those of
/// [`OPEN_SIGNALS`]. Returns an error, instead of ending the process, if there is no room for it.
pub fn spawn_thread(
    name: String,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn_boxed(name, Box::new(body))
}

/// What std needs to make a thread is compiled once, and not for each body.
fn spawn_boxed(
    name: String,
    body: Box<dyn FnOnce() + Send + 'static>,
) -> io::Result<JoinHandle<()>> {
    // Its code must stay while the thread runs.
    crate::sys::pin_this_library();
    try_out()?;
    let _blocked = Blocked(SignalMask::block_all());
    Builder::new().name(name).spawn(move || {
        crate::sys::make_own_handler_room();
        keep_own_stack_bounds();
        SignalMask::unblock(&OPEN_SIGNALS);
        body();
    })
}

/// The maker's signals are blocked; this is its mask from before.
struct Blocked(SignalMask);

impl Drop for Blocked {
    fn drop(&mut self) {
        self.0.restore();
    }
}

fn try_out() -> io::Result<()> {
    let page = page_size();
    let (stack, signal_stack) = (stack_size(), required_size() + BEGINNING);
    // Two mappings, each with a guard below, as the thread will have them.
    let room = Reservation::new(stack.saturating_add(signal_stack).saturating_add(2 * page))?;
    room.open(page..page + stack)?;
    room.open(2 * page + stack..room.size())
}

/// Returns the size of a new thread's stack, in whole pages.
fn stack_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let asked = std::env::var("RUST_MIN_STACK").ok().and_then(|size| size.parse().ok());
        asked
            .and_then(round_to_pages)
            .filter(|size| *size < usize::MAX / 2 && *size != 0)
            .unwrap_or(STD_STACK)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::testing::{Child, limit_address_space};

    fn nothing() -> io::Result<JoinHandle<()>> {
        spawn_thread("new".to_owned(), || assert_eq!(std::thread::current().name(), Some("new")))
    }

    /// Whatever the maker blocks, and the maker keeps its mask.
    #[test]
    fn a_thread_has_the_signals_of_the_table_open_and_no_other() {
        let checks = || {
            let mask = SignalMask::current();
            let open: Vec<_> = (1..=64).filter(|&signal| !mask.contains(signal)).collect();
            let libcs = [libc::SIGKILL, libc::SIGSTOP, 32, 33];
            let mut wanted: Vec<_> = OPEN_SIGNALS.into_iter().chain(libcs).collect();
            wanted.sort();
            assert_eq!(open, wanted);
        };
        let made = move || {
            let before = SignalMask::current();
            let thread = spawn_thread("new".to_owned(), checks).expect("a thread");
            assert_eq!(SignalMask::current(), before);
            thread.join().expect("its mask");
        };
        std::thread::spawn(move || {
            made();
            SignalMask::unblock(&[libc::SIGTERM]);
            made();
            let _mask = SignalMask::block_all();
            made();
        })
        .join()
        .expect("their masks");
    }

    /// The limits go from too little for anything to enough for two threads. The C library keeps
    /// the stack of a thread that ended, so the rest is what is missing.
    #[test]
    fn at_every_limit_it_is_an_error_or_a_thread() {
        Child::run("thread::spawn::tests::at_every_limit_it_is_an_error_or_a_thread", || {
            nothing().expect("there is no limit yet").join().expect("its name");
            let (mut made, mut refused) = (0, 0);
            for spare in (0..=6 << 20).step_by(16 << 10) {
                limit_address_space(spare);
                match nothing() {
                    Ok(thread) => {
                        thread.join().expect("its name");
                        made += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
            assert!(made > 50 && refused > 50, "{made} made, {refused} refused");
        })
        .assert_success();
    }
}
