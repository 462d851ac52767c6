//! Signal handlers in front of a host's handlers. A signal that ours do not handle is passed on to
//! the host's.
//!
//! A host's handler is never edited: it keeps its flags, its mask and its place. Our handler is
//! asked first. A signal that it does not know goes to the handler that was there before, in the
//! way the kernel would have delivered it:
//!
//! - with three arguments or one (`SA_SIGINFO`), with its `sa_mask` added, and with the signal
//!   itself unblocked if it asked for `SA_NODEFER`;
//! - once only, if it asked for `SA_RESETHAND`; afterwards the default applies;
//! - `SIG_DFL`: for a fault, the default action is restored and the faulting instruction runs
//!   again, so that the core dump shows that instruction. Any other signal is raised again and
//!   strikes when our handler returns. A signal whose default is to be ignored is ignored;
//! - `SIG_IGN`: nothing happens, except for a fault. The kernel does not let a program ignore a
//!   fault either.
//!
//! Two things cannot be reproduced. A handler that did not ask for `SA_ONSTACK` runs on the signal
//! stack nevertheless, because ours must. `SA_RESTART` is ours, too, unless the handler before had
//! none: its program may count on `EINTR`.
//!
//! A handler that somebody installs later stands in front of ours. It alone decides whether ours
//! hears of a signal. [`ours_is_in_front`] tells, and [`reinstall`] puts ours in front again, with
//! the later handler before it. The later handler may pass signals on to the place where it found
//! ours. So each installation is a place of its own, with an entry function and a predecessor, and
//! no signal goes round in a circle. The places are few and are never given back.
//!
//! Rejected: taking a handler off again. Code that chained to it meanwhile would jump into code
//! that may be unloaded. So an installed handler stays.
//!
//! # Safety
//!
//! The kernel calls `trampoline` with a live `siginfo_t` and context. A `siglongjmp` out of a
//! host's handler may leave `trampoline`, so no frame here owns anything. Entries of the table are
//! written once, before the kernel knows of the trampoline, and are never freed.
#![expect(unsafe_code, reason = "sigaction, and calls through handler addresses")]

use crate::errno;
use crate::signal::mask::SignalMask;
use crate::sys::{self, LAST_SIGNAL};
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::{MaybeUninit, transmute};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// The signals that an access to a guard raises.
pub const FAULTS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// A signal as a handler sees it.
#[derive(Debug)]
pub struct SignalInfo {
    /// The signal's number.
    pub signal: c_int,
    /// Whether the kernel raised it itself (`si_code`), and no program sent it.
    pub by_kernel: bool,
    /// The address that was accessed, for a fault; 0 for a signal that a program sent.
    pub address: usize,
    /// The interrupted registers (`ucontext_t`).
    pub context: *mut c_void,
    /// Whether the handler before ours is a function of the same object file: of the program that
    /// has this code linked in, or of its standard library.
    pub before_is_near: bool,
}

impl SignalInfo {
    /// Returns the stack pointer of the interrupted code; none where the system's record is not
    /// known. Async-signal-safe.
    pub fn stack_pointer(&self) -> Option<usize> {
        // SAFETY: the kernel's record, which lives as long as this value.
        unsafe { sys::interrupted_stack_pointer(self.context) }
    }
}

/// A handler's answer to a signal.
#[derive(Clone, Copy, Debug)]
pub enum Response {
    /// The signal is dealt with: the interrupted code goes on.
    Handled,
    /// The signal goes on to the handler that was there before.
    PassOn,
    /// The same. If no handler was there, or it gives the signal up, by putting the default action
    /// in its place, then this function is called.
    PassOnOr(fn(&SignalInfo)),
}

/// The type of our handlers.
type Handler = fn(&SignalInfo) -> Response;

/// How often ours can be put in front: once, and again when somebody else has.
const PLACES: usize = 8;

/// A function that the kernel calls.
type Trampoline = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The functions, one for each place.
const TRAMPOLINES: [Trampoline; PLACES] = [
    trampoline::<0>,
    trampoline::<1>,
    trampoline::<2>,
    trampoline::<3>,
    trampoline::<4>,
    trampoline::<5>,
    trampoline::<6>,
    trampoline::<7>,
];

/// One signal at one place. Written under [`INSTALLING`], read by `trampoline`.
struct Entry {
    /// A [`Handler`], or null.
    handler: AtomicPtr<()>,
    /// The action that was there before; leaked.
    before: AtomicPtr<libc::sigaction>,
    /// Whether `before` asked to be called once, and was called.
    spent: AtomicBool,
    /// Whether `before` calls a function of the object file that this code lies in.
    near: AtomicBool,
}

static TABLE: [[Entry; LAST_SIGNAL as usize + 1]; PLACES] =
    [const { [const { Entry::new() }; LAST_SIGNAL as usize + 1] }; PLACES];

impl Entry {
    const fn new() -> Self {
        Self {
            handler: AtomicPtr::new(null_mut()),
            before: AtomicPtr::new(null_mut()),
            spent: AtomicBool::new(false),
            near: AtomicBool::new(false),
        }
    }
}

static INSTALLING: Mutex<()> = Mutex::new(());

/// Puts `handler` in front of the installed action for `signal`, for the life of the process.
///
/// The first handler for a signal stays, and a second is refused (`AlreadyExists`). Signals that
/// stop or continue a process are refused, because their default action cannot be passed on
/// (`InvalidInput`).
///
/// # Safety
///
/// `handler` is called in a signal handler, on any thread, between any two instructions. It is
/// async-signal-safe and does not unwind. It answers [`Response::Handled`] to a fault only if the
/// interrupted code can go on.
pub unsafe fn install(signal: c_int, handler: Handler) -> io::Result<()> {
    let refused = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGCONT].contains(&signal);
    let index = usize::try_from(signal)
        .ok()
        .filter(|&index| index > 0 && !refused && index < TABLE[0].len())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no handler for this signal"))?;
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if !TABLE[0][index].handler.load(Ordering::Relaxed).is_null() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "this signal has a handler"));
    }
    put_in_front(signal, 0, handler)
}

/// Puts our handler for `signal` in front again, if it was installed and another one is in front of
/// it now. That one is the handler before ours from then on.
///
/// Fails with `QuotaExceeded` after the seventh time.
pub fn reinstall(signal: c_int) -> io::Result<()> {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(index) = usize::try_from(signal).ok().filter(|&index| index < TABLE[0].len()) else {
        return Ok(());
    };
    let handler = TABLE[0][index].handler.load(Ordering::Relaxed);
    if handler.is_null() || ours_is_in_front(signal)? {
        return Ok(());
    }
    let vacant =
        TABLE.iter().position(|place| place[index].handler.load(Ordering::Relaxed).is_null());
    let place = vacant.ok_or_else(|| {
        io::Error::new(io::ErrorKind::QuotaExceeded, "others took the front too often")
    })?;
    // SAFETY: `publish` stored a `Handler` there, and nothing else does.
    let handler = unsafe { transmute::<*mut (), Handler>(handler) };
    put_in_front(signal, place, handler)
}

/// True if the kernel calls one of our functions for this signal.
pub fn ours_is_in_front(signal: c_int) -> io::Result<bool> {
    let now = exchange(signal, None)?.sa_sigaction;
    Ok(TRAMPOLINES.iter().any(|&trampoline| trampoline as libc::sighandler_t == now))
}

/// Returns the signals that have a handler without `SA_ONSTACK`: it runs on the stack that it
/// interrupts.
pub fn without_signal_stack() -> Vec<c_int> {
    let lacks =
        |action: libc::sigaction| is_function(&action) && action.sa_flags & libc::SA_ONSTACK == 0;
    (1..=LAST_SIGNAL).filter(|&signal| exchange(signal, None).is_ok_and(lacks)).collect()
}

/// Installs the function of a vacant place. Called under [`INSTALLING`].
fn put_in_front(signal: c_int, place: usize, handler: Handler) -> io::Result<()> {
    sys::pin_this_library();
    let entry = &TABLE[place][signal as usize];
    // The signal may arrive as soon as the kernel knows of our trampoline, and then has to find its
    // way on. So the action before is asked for first.
    let before = exchange(signal, None)?;
    publish(entry, before, handler);
    let replaced = match exchange(signal, Some(&ours(&before, TRAMPOLINES[place]))) {
        Ok(replaced) => replaced,
        Err(error) => {
            entry.handler.store(null_mut(), Ordering::Relaxed);
            return Err(error);
        }
    };
    if !same(&before, &replaced) {
        // Another thread installed an action between the two calls.
        publish(entry, replaced, handler);
    }
    Ok(())
}

/// Tells the trampoline where a signal goes.
fn publish(entry: &Entry, before: libc::sigaction, handler: Handler) {
    let near = is_function(&before) && sys::in_this_library(before.sa_sigaction);
    entry.near.store(near, Ordering::Relaxed);
    let before = Box::into_raw(Box::new(before));
    // ORDERING[handler.before]: partner is the load in `pass_on`; the action behind the pointer
    // becomes visible.
    entry.before.store(before, Ordering::Release);
    // ORDERING[handler.entry]: partner is the load in `trampoline`; `before` becomes visible with
    // the handler.
    entry.handler.store(handler as *mut (), Ordering::Release);
}

/// Returns the action that calls our trampoline instead of `before`.
fn ours(before: &libc::sigaction, trampoline: Trampoline) -> libc::sigaction {
    let mut action = *before;
    action.sa_sigaction = trampoline as libc::sighandler_t;
    let mut kept = before.sa_flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT);
    if before.sa_sigaction == libc::SIG_IGN {
        // A program that ignores SIGCHLD has no zombies and waits for no child.
        kept |= libc::SA_NOCLDWAIT;
    }
    let restart =
        if is_function(before) { before.sa_flags & libc::SA_RESTART } else { libc::SA_RESTART };
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | restart | kept;
    // SAFETY: a live set.
    unsafe { libc::sigemptyset(&mut action.sa_mask) };
    action
}

/// Sets the action of a signal, if there is a new one, and returns the action before.
fn exchange(signal: c_int, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    let new = new.map_or(null(), |action| action as *const _);
    // SAFETY: null, or an action whose handler is `trampoline` or the default; the out-parameter is
    // writable.
    let result = unsafe { libc::sigaction(signal, new, before.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled in by the call, on top of zeroes.
    Ok(unsafe { before.assume_init() })
}

/// True if the action calls a function of the program.
fn is_function(action: &libc::sigaction) -> bool {
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

/// True if two actions call the same function in the same way. It does not matter if only the mask
/// changed between two calls in a row.
fn same(one: &libc::sigaction, other: &libc::sigaction) -> bool {
    one.sa_sigaction == other.sa_sigaction && one.sa_flags == other.sa_flags
}

/// The function that the kernel calls, or the handler in front of a place.
extern "C" fn trampoline<const PLACE: usize>(
    signal: c_int,
    raw: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let errno = errno::get();
    if let Some(entry) = usize::try_from(signal).ok().and_then(|index| TABLE[PLACE].get(index)) {
        let mut info = signal_info(signal, raw, context);
        info.before_is_near = entry.near.load(Ordering::Relaxed);
        // ORDERING[handler.entry]: partner is the store in `publish`; `before` is visible with the
        // handler.
        let handler = entry.handler.load(Ordering::Acquire);
        match if handler.is_null() { Response::PassOn } else { ask(handler, &info) } {
            Response::Handled => {}
            Response::PassOn => pass_on(entry, &info, raw),
            Response::PassOnOr(otherwise) => {
                // A default action of before is not carried out: it would end the process.
                if !has_before(entry) {
                    otherwise(&info);
                }
                pass_on(entry, &info, raw);
                if gave_up(signal) {
                    otherwise(&info);
                }
            }
        }
    }
    errno::set(errno);
}

/// Reads from the kernel's record what our handlers want to know.
fn signal_info(signal: c_int, raw: *mut libc::siginfo_t, context: *mut c_void) -> SignalInfo {
    // SAFETY: the kernel's own record, alive until the handler returns.
    let raw = unsafe { &*raw };
    let by_kernel = sys::raised_by_kernel(raw.si_code);
    let address = if by_kernel {
        // SAFETY: a signal that the kernel raised has its address there, or some number if it has
        // none.
        unsafe { raw.si_addr() }.addr()
    } else {
        0
    };
    SignalInfo { signal, by_kernel, address, context, before_is_near: false }
}

/// Calls one of our handlers.
fn ask(handler: *mut (), info: &SignalInfo) -> Response {
    // SAFETY: `publish` stored a `Handler` there, and nothing else does.
    let handler = unsafe { transmute::<*mut (), Handler>(handler) };
    handler(info)
}

/// True if the interrupted instruction itself raised the signal, and raises it again when it runs
/// again.
fn raised_by_instruction(info: &SignalInfo) -> bool {
    info.by_kernel
        && [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE].contains(&info.signal)
}

/// True if the action before calls a function that has not had its one call.
fn has_before(entry: &Entry) -> bool {
    // ORDERING[handler.before]: partner is the store in `publish`; the action behind the pointer is
    // visible.
    let before = entry.before.load(Ordering::Acquire);
    // SAFETY: null, or a leaked box that `publish` stored there.
    let before = unsafe { before.as_ref() };
    before.is_some_and(|before| {
        let spent =
            before.sa_flags & libc::SA_RESETHAND != 0 && entry.spent.load(Ordering::Relaxed);
        is_function(before) && !spent
    })
}

/// True if the signal has its default action now.
fn gave_up(signal: c_int) -> bool {
    exchange(signal, None).is_ok_and(|action| action.sa_sigaction == libc::SIG_DFL)
}

/// Gives the signal to the action that was there before.
fn pass_on(entry: &Entry, info: &SignalInfo, raw: *mut libc::siginfo_t) {
    // ORDERING[handler.before]: partner is the store in `publish`; the action behind the pointer is
    // visible.
    let before = entry.before.load(Ordering::Acquire);
    if before.is_null() {
        return default_action(info);
    }
    // SAFETY: `publish` stored a leaked box there.
    let before = unsafe { &*before };
    let once = before.sa_flags & libc::SA_RESETHAND != 0;
    // Relaxed: a flag by itself, and the swap lets one through.
    if before.sa_sigaction == libc::SIG_DFL || (once && entry.spent.swap(true, Ordering::Relaxed)) {
        return default_action(info);
    }
    if before.sa_sigaction == libc::SIG_IGN {
        if raised_by_instruction(info) {
            default_action(info);
        }
        return;
    }
    // The kernel restores the interrupted mask when our trampoline returns, so nothing has to be
    // undone here.
    SignalMask::block_set(&before.sa_mask);
    if before.sa_flags & libc::SA_NODEFER != 0 {
        SignalMask::unblock(&[info.signal]);
    }
    call(before, info, raw);
}

/// Calls a host's handler with the arguments that it asked for.
fn call(action: &libc::sigaction, info: &SignalInfo, raw: *mut libc::siginfo_t) {
    type One = unsafe extern "C" fn(c_int);
    type Three = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    if action.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the host gave this function to the kernel as one of this type.
        let handler = unsafe { transmute::<libc::sighandler_t, Three>(action.sa_sigaction) };
        // SAFETY: the call that the kernel would make, with the kernel's arguments.
        unsafe { handler(info.signal, raw, info.context) };
    } else {
        // SAFETY: as above.
        let handler = unsafe { transmute::<libc::sighandler_t, One>(action.sa_sigaction) };
        // SAFETY: as above.
        unsafe { handler(info.signal) };
    }
}

/// Does what would happen if no handler were installed.
fn default_action(info: &SignalInfo) {
    if sys::IGNORED_BY_DEFAULT.contains(&info.signal) {
        return;
    }
    // SAFETY: the default action of a signal that exists.
    unsafe { libc::signal(info.signal, libc::SIG_DFL) };
    if !raised_by_instruction(info) {
        // The signal is blocked while our trampoline runs. So it strikes on return, where it would
        // have struck.
        // SAFETY: raises on the calling thread.
        unsafe { libc::raise(info.signal) };
    }
}

#[cfg(test)]
mod tests;
