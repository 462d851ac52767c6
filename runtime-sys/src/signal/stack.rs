//! The alternate signal stack of the calling thread.
//!
//! A thread that C made has no signal stack, or one that is too small. The kernel accepts 2,048
//! bytes, and then kills the process when it delivers a signal with AVX-512 state. A stack that
//! [`serves`](Registered::serves) is used as it is. Otherwise a [`SignalStack`] of ours is
//! registered while the thread is inside the scheduler. It is taken off only if it is still the
//! registered one.
//!
//! A foreign stack in the place of ours is left there. std takes its own stack off before a pthread
//! key's destructor runs. Sanitizers and other runtimes exchange stacks under way. To "restore" a
//! stack from long ago would register memory that may be unmapped.
//!
//! One system call registers a stack and returns the one that was registered. So there is no query
//! beforehand: mostly the call finds ours. If it finds another, that stack is put back, and nobody
//! notices because signals are blocked.
//!
//! # Ownership
//!
//! A [`SignalStack`] is free or registered on one thread. While registered, it can neither be
//! installed elsewhere nor be unmapped: two threads on one signal stack corrupt each other. Dropped
//! in that state, it leaks its memory. So it stays intact for a thread that ended without taking it
//! off, and for a foreign runtime that still remembers it.
//!
//! # Safety
//!
//! The kernel writes to the registered memory. That is our own mapping, kept alive as said above,
//! or memory that the caller of [`SignalStack::remove`] vouches for.
#![expect(unsafe_code, reason = "sigaltstack")]

use crate::memory::guarded::Mapping;
use crate::memory::mapping::page_size;
use crate::sys;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Range;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What our handlers, and a host's handlers behind them, may use beyond what the kernel puts on the
/// stack.
const OWN_NEED: usize = 32 << 10;

/// A thread's own stack is kept if it leaves a handler this much.
const KEPT_NEED: usize = 8 << 10;

/// Returns the size of a signal stack of ours, in bytes, in whole pages.
pub fn required_size() -> usize {
    (sys::minimum_signal_stack() + OWN_NEED).max(64 << 10).next_multiple_of(page_size())
}

/// True if a thread's own signal stack of this size can be kept.
pub fn large_enough(size: usize) -> bool {
    size >= sys::minimum_signal_stack() + KEPT_NEED
}

/// What the kernel has registered for a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Lowest address of the stack; means nothing unless `enabled`.
    pub base: *mut u8,
    /// Its size in bytes; means nothing unless `enabled`.
    pub size: usize,
    /// Whether a stack is registered. (A stack with `SS_AUTODISARM` counts as none while a handler
    /// runs on it.)
    pub enabled: bool,
    /// Whether the thread is running on it at this moment.
    pub executing: bool,
    /// The flags that the owner of the stack asked for besides; they go back with it.
    flags: libc::c_int,
}

impl Registered {
    /// No stack.
    const NONE: Self =
        Self { base: null_mut(), size: 0, enabled: false, executing: false, flags: 0 };

    fn from_raw(raw: &libc::stack_t) -> Self {
        Self {
            base: raw.ss_sp.cast(),
            size: raw.ss_size,
            enabled: raw.ss_flags & libc::SS_DISABLE == 0,
            executing: raw.ss_flags & libc::SS_ONSTACK != 0,
            flags: raw.ss_flags & sys::SIGNAL_STACK_FLAGS,
        }
    }

    fn to_raw(self) -> libc::stack_t {
        let flags = if self.enabled { self.flags } else { libc::SS_DISABLE };
        // macOS refuses a size below its minimum even where it takes a stack off (`sigaltstack` in
        // bsd/kern/kern_sig.c of xnu; std's handler for overflows passes a valid one, too).
        let size = if self.enabled { self.size } else { required_size() };
        libc::stack_t { ss_sp: self.base.cast(), ss_flags: flags, ss_size: size }
    }

    /// True if the thread has a signal stack that can be kept: it is large enough, and no other
    /// thread's. Where threads inherit the signal stacks of those that make them, none is.
    pub fn serves(&self) -> bool {
        self.enabled && !sys::THREADS_INHERIT_SIGNAL_STACKS && large_enough(self.size)
    }

    /// Returns the addresses of the stack; empty unless enabled.
    pub fn range(&self) -> Range<usize> {
        let base = self.base.addr();
        if self.enabled { base..base.saturating_add(self.size) } else { base..base }
    }
}

/// Returns what is registered for the calling thread. Async-signal-safe.
pub fn registered() -> Registered {
    let mut raw = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: only a query; the out-parameter is writable.
    let result = unsafe { libc::sigaltstack(null(), raw.as_mut_ptr()) };
    debug_assert_eq!(result, 0, "a query does not fail");
    // SAFETY: filled in by the call, which fails only for unwritable memory.
    let raw = unsafe { raw.assume_init() };
    Registered::from_raw(&raw)
}

/// The outcome of [`SignalStack::remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a stack that was not ours to remove stays registered"]
pub enum Removal {
    /// Our stack is off, and free again.
    Done,
    /// Another stack is registered, or the thread is running on ours. Nothing changes: our stack
    /// stays taken.
    NotOurs,
}

/// A signal stack of ours: [`required_size`] bytes with a guard below.
#[derive(Debug)]
pub struct SignalStack {
    mapping: ManuallyDrop<Mapping>,
    /// Whether it is registered on some thread.
    ///
    /// Relaxed throughout: it is exchanged with read-modify-writes and publishes nothing. The next
    /// thread does not read what lies on the stack.
    taken: AtomicBool,
}

impl SignalStack {
    /// Maps a signal stack.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            mapping: ManuallyDrop::new(Mapping::with_guard(required_size())?),
            taken: AtomicBool::new(false),
        })
    }

    /// Returns the addresses of the stack, guard excluded.
    pub fn range(&self) -> Range<usize> {
        let base = self.mapping.usable().addr();
        base..base + self.mapping.size()
    }

    /// Returns the addresses of the guard below it.
    pub fn guard(&self) -> Range<usize> {
        self.mapping.guard()
    }

    /// Registers it for the calling thread, and returns what was registered before.
    /// Async-signal-safe.
    ///
    /// Fails if it is registered already, on whatever thread (`EBUSY`), and if the thread is
    /// running on its present stack (`EPERM`).
    pub fn install(&self) -> io::Result<Registered> {
        if self.taken.swap(true, Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        // SAFETY: our own memory; `taken` keeps it mapped and away from other threads until it is
        // off again.
        let before = unsafe { exchange(&self.to_raw()) };
        if before.is_err() {
            self.taken.store(false, Relaxed);
        }
        before
    }

    /// Registers it once more on the thread that installed it, where somebody else has taken it off
    /// or put another stack over it. Returns what was registered. Async-signal-safe.
    ///
    /// Fails if the thread is running on its present stack (`EPERM`).
    ///
    /// # Safety
    ///
    /// The calling thread was the last to install it.
    pub unsafe fn install_again(&self) -> io::Result<Registered> {
        debug_assert!(self.is_taken(), "it was installed");
        // SAFETY: our own memory, which is this thread's until it is off for good.
        unsafe { exchange(&self.to_raw()) }
    }

    fn to_raw(&self) -> libc::stack_t {
        libc::stack_t { ss_sp: self.mapping.usable(), ss_flags: 0, ss_size: self.mapping.size() }
    }

    /// True if it is registered on some thread, as far as is known here.
    ///
    /// After a [`Removal::NotOurs`] that stays so for good. A caller that needs a signal stack
    /// again makes a new one and drops this one, which leaks its memory.
    pub fn is_taken(&self) -> bool {
        self.taken.load(Relaxed)
    }

    /// True if it is the registered one.
    fn is(&self, registered: &Registered) -> bool {
        registered.enabled && registered.range() == self.range()
    }

    /// Takes it off the calling thread, if it is still the registered one. Then `before` is
    /// registered again; with `None` the thread has no signal stack. In every other case the thread
    /// keeps what it had.
    ///
    /// Async-signal-safe. If the thread may have another stack than this one, the signals that it
    /// serves are blocked: it is off for a moment.
    ///
    /// # Safety
    ///
    /// If `before` is enabled, it is memory that this thread may use as its signal stack from now
    /// on: it still exists, and no other thread has it.
    pub unsafe fn remove(&self, before: Option<&Registered>) -> Removal {
        // SAFETY: no stack, or one that the caller vouches for.
        unsafe { self.replace(before.unwrap_or(&Registered::NONE), |found| self.is(found)) }
    }

    /// Takes it off a thread that ends. The thread's earlier stack does not come back.
    ///
    /// If somebody has taken ours off and registered nothing, ours is free again, too. std does
    /// that to all its threads before a pthread key's destructor runs, and each of them would cost
    /// a stack otherwise. Async-signal-safe, as `remove` is.
    ///
    /// # Safety
    ///
    /// The calling thread was the last to install it.
    pub unsafe fn remove_at_thread_end(&self) -> Removal {
        // SAFETY: nothing comes in its place.
        unsafe { self.replace(&Registered::NONE, |found| self.is(found) || !found.enabled) }
    }

    /// Registers `next` if `is_off` says of the stack found that ours is off once it is replaced.
    /// Puts any other stack back.
    ///
    /// # Safety
    ///
    /// As [`exchange`], of `next`.
    unsafe fn replace(
        &self,
        next: &Registered,
        is_off: impl FnOnce(&Registered) -> bool,
    ) -> Removal {
        // SAFETY: the caller's promise.
        let Ok(found) = (unsafe { exchange(&next.to_raw()) }) else {
            return Removal::NotOurs;
        };
        if is_off(&found) {
            self.taken.store(false, Relaxed);
            return Removal::Done;
        }
        // SAFETY: it was registered on this thread a moment ago, by code that vouches for it.
        let put_back = unsafe { exchange(&found.to_raw()) };
        debug_assert!(put_back.is_ok(), "what the kernel took once");
        Removal::NotOurs
    }
}

/// Registers a stack for the calling thread, or none (`SS_DISABLE`); returns what was there.
/// Refused (`EPERM`) while the thread runs on its present stack.
///
/// # Safety
///
/// The memory has no other user for as long as it is registered.
unsafe fn exchange(next: &libc::stack_t) -> io::Result<Registered> {
    let mut before = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: the caller vouches for the memory; the out-parameter is writable.
    if unsafe { libc::sigaltstack(next, before.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled in by the call.
    Ok(Registered::from_raw(&unsafe { before.assume_init() }))
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        if !*self.taken.get_mut() {
            // SAFETY: dropped here and nowhere else; registered nowhere.
            unsafe { ManuallyDrop::drop(&mut self.mapping) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Child, permissions_at};
    use std::sync::atomic::{AtomicPtr, AtomicUsize};

    /// Runs `body` on a thread of its own: std gives each of its threads a signal stack, and takes
    /// it off at the end.
    fn on_a_thread(body: impl FnOnce() + Send + 'static) {
        std::thread::spawn(body).join().expect("thread");
    }

    fn put_back(stack: &SignalStack, before: &Registered) {
        // SAFETY: std or the test registered it on this thread before; it exists until the thread
        // ends.
        assert_eq!(unsafe { stack.remove(Some(before)) }, Removal::Done);
        assert_eq!(registered(), *before);
    }

    #[test]
    fn sizes_follow_the_processor_state() {
        assert!(required_size() >= 64 << 10 && required_size().is_multiple_of(page_size()));
        assert!(required_size() >= sys::minimum_signal_stack() + OWN_NEED);
        assert!(large_enough(required_size()) && !large_enough(2048));
        assert!(!large_enough(sys::minimum_signal_stack()));
    }

    #[test]
    fn a_guard_lies_right_below() {
        let stack = SignalStack::new().expect("stack");
        assert_eq!(stack.guard().end, stack.range().start);
        assert_eq!(permissions_at(stack.guard().start), "---p");
        assert_eq!(permissions_at(stack.guard().end - 1), "---p");
        assert_eq!(permissions_at(stack.range().start), "rw-p");
        assert_eq!(permissions_at(stack.range().end - 1), "rw-p");
    }

    #[test]
    fn running_over_the_end_kills() {
        Child::run("signal::stack::tests::running_over_the_end_kills", || {
            let stack = SignalStack::new().expect("stack");
            let beyond: *mut u8 = stack.mapping.usable().cast::<u8>().wrapping_sub(1);
            // SAFETY: none; the guard ends the process here, which is what the parent waits for.
            unsafe { beyond.write_volatile(1) };
        })
        .assert_killed_by(libc::SIGSEGV);
    }

    /// The address of a local variable of the handler below.
    static SEEN_AT: AtomicUsize = AtomicUsize::new(0);
    static STACK: AtomicPtr<SignalStack> = AtomicPtr::new(null_mut());
    static REFUSED: AtomicBool = AtomicBool::new(false);

    extern "C" fn look_around(_signal: libc::c_int) {
        let local = 0_u8;
        // SAFETY: the test's stack outlives the signal.
        let stack = unsafe { &*STACK.load(Relaxed) };
        // SAFETY: nothing comes back.
        let removal = unsafe { stack.remove(None) };
        REFUSED.store(
            registered().executing && removal == Removal::NotOurs && stack.is(&registered()),
            Relaxed,
        );
        SEEN_AT.store((&raw const local).addr(), Relaxed);
    }

    /// Installs `look_around` for `signal`, on the signal stack.
    fn handle(signal: libc::c_int) {
        let handler: extern "C" fn(libc::c_int) = look_around;
        let action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all zeroes is an action: the default one, with nothing blocked.
        let mut action = unsafe { action.assume_init() };
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK;
        // SAFETY: the handler is async-signal-safe; no other test uses the signal.
        assert_eq!(unsafe { libc::sigaction(signal, &action, null_mut()) }, 0);
    }

    #[test]
    fn a_handler_runs_on_it_and_it_stays_while_one_does() {
        on_a_thread(|| {
            let stack = SignalStack::new().expect("stack");
            STACK.store((&raw const stack).cast_mut(), Relaxed);
            handle(libc::SIGUSR2);
            let before = stack.install().expect("install");
            assert!(stack.is(&registered()) && !registered().executing);
            // SAFETY: raises on the calling thread.
            unsafe { libc::raise(libc::SIGUSR2) };
            assert!(stack.range().contains(&SEEN_AT.load(Relaxed)));
            assert!(REFUSED.load(Relaxed), "a stack in use is not taken off");
            put_back(&stack, &before);
            // SAFETY: as above.
            unsafe { libc::raise(libc::SIGUSR2) };
            assert!(!stack.range().contains(&SEEN_AT.load(Relaxed)));
        });
    }

    #[test]
    fn somebody_elses_stack_is_left_alone() {
        on_a_thread(|| {
            let (ours, others) =
                (SignalStack::new().expect("ours"), SignalStack::new().expect("other's"));
            let first = ours.install().expect("ours");
            let second = others.install().expect("other's");
            assert_eq!(second.range(), ours.range());
            // SAFETY: std's stack, which exists until the thread ends.
            assert_eq!(unsafe { ours.remove(Some(&first)) }, Removal::NotOurs);
            assert!(others.is(&registered()) && ours.is_taken(), "NotOurs touches nothing");
            assert_eq!(ours.install().expect_err("still taken").raw_os_error(), Some(libc::EBUSY));
            put_back(&others, &second);
            put_back(&ours, &first);
            assert!(!ours.is_taken());
        });
    }

    #[test]
    fn without_one_before_the_thread_has_none_after() {
        on_a_thread(|| {
            let stack = SignalStack::new().expect("stack");
            let before = stack.install().expect("install");
            // SAFETY: nothing comes back.
            assert_eq!(unsafe { stack.remove(None) }, Removal::Done);
            assert!(!registered().enabled && registered().range().is_empty());
            // SAFETY: nothing comes back.
            assert_eq!(unsafe { stack.remove(None) }, Removal::NotOurs);
            let none = stack.install().expect("free again");
            assert!(!none.enabled);
            put_back(&stack, &before);
        });
    }

    #[test]
    fn two_threads_do_not_share_one() {
        on_a_thread(|| {
            let stack = SignalStack::new().expect("stack");
            let before = stack.install().expect("install");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(
                        stack.install().expect_err("taken").raw_os_error(),
                        Some(libc::EBUSY)
                    );
                    assert!(!stack.is(&registered()));
                    // SAFETY: nothing comes back.
                    assert_eq!(unsafe { stack.remove(None) }, Removal::NotOurs);
                });
            });
            put_back(&stack, &before);
        });
    }

    #[test]
    fn taken_off_by_somebody_else_it_can_be_put_on_again() {
        on_a_thread(|| {
            let stack = SignalStack::new().expect("stack");
            let before = stack.install().expect("install");
            // SAFETY: takes off what was put on above.
            let found = unsafe { exchange(&Registered::NONE.to_raw()) }.expect("off");
            assert!(stack.is(&found) && stack.is_taken() && !registered().enabled);
            // SAFETY: this thread was the last to install it.
            let none = unsafe { stack.install_again() }.expect("again");
            assert!(!none.enabled && stack.is(&registered()));
            put_back(&stack, &before);
        });
    }

    #[test]
    fn dropped_while_registered_it_stays_mapped() {
        on_a_thread(|| {
            let stack = SignalStack::new().expect("stack");
            let _before = stack.install().expect("install");
            let range = stack.range();
            drop(stack);
            assert_eq!(registered().range(), range);
            assert_eq!(permissions_at(range.start), "rw-p");
        });
    }

    #[test]
    fn a_hosts_flags_come_back_with_its_stack() {
        on_a_thread(|| {
            let (host, ours) =
                (SignalStack::new().expect("host's"), SignalStack::new().expect("ours"));
            let raw = libc::stack_t {
                ss_sp: host.mapping.usable(),
                ss_flags: sys::SIGNAL_STACK_FLAGS,
                ss_size: host.mapping.size(),
            };
            let mut std_stack = Registered::NONE.to_raw();
            // SAFETY: the host's memory outlives its registration, which ends below.
            assert_eq!(unsafe { libc::sigaltstack(&raw, &mut std_stack) }, 0);
            let before = ours.install().expect("install");
            assert_eq!(before.flags, sys::SIGNAL_STACK_FLAGS);
            put_back(&ours, &before);
            // SAFETY: std's own stack comes back to its thread.
            assert_eq!(unsafe { libc::sigaltstack(&std_stack, null_mut()) }, 0);
        });
    }
}
