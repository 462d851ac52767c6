//! `Binding::UntilThreadExit`: the M stays with the thread.
//!
//! The first call is [`need_m`]. On its way out it leaves mask and signal stack in place and only
//! makes no goroutine current. From then on each call is one store in and one store out. Between
//! calls the thread is C's: a handler finds no goroutine, although an M waits in [`tls::bound`] and
//! its signal stack is registered (Go's `isExtraInC`).
//!
//! Somebody else may take the signal stack away between two calls: the host, another copy of this
//! library, std when the thread's main function has returned. To ask each time takes a system call,
//! 155 ns where a whole call takes a fifth of that. So the thread asks at its second, third, fifth,
//! ninth call and so on, and then at every 256th. `docs/signals.md` says what comes of a stack that
//! is gone until then.
//!
//! One M serves all bridges and runtimes that the thread enters from outside. A thread that enters
//! a second runtime from inside a first one takes a second M for that call.
//!
//! # The end of the thread
//!
//! A pthread key's destructor does the rest of `drop_m`. By then Rust's own thread-locals are gone.
//! So the path touches only the const, drop-free ones of [`tls`]: no `thread::current`, no event,
//! no allocation, no lock, and nothing that may panic. First it asks whether this is a forked
//! child, where the list is another one. A later callback on the same thread (C has destructors,
//! too) is per-call, because the hook would not run again.
//!
//! Mask and signal stack do not go back to what they were before the first call. That was long ago.
//! The thread may have changed its mask since, and the old stack may be unmapped (std unmaps its
//! own before key destructors run).
//!
//! # Safety
//!
//! The key's value and the thread's word point to an M that is bound to this thread. Nobody else
//! has a reference to it. Until the hook runs, only its constant fields, its count of calls and
//! its call are used, but for `look`, which has it alone: signals are blocked.
#![expect(unsafe_code, reason = "an M reached through a thread-local word and a pthread key")]

use crate::catch_panic::catch_panic;
use crate::enter::{self, HeldM, Way, need_m};
use crate::error::EnterError;
use crate::extra::entrance::Entrance;
use crate::extra::m::{Begun, ExtraM};
use crate::extra::process::Process;
use gosched_runtime_sys::signal::mask::SignalMask;
use gosched_runtime_sys::thread::exit::ExitHook;
use gosched_runtime_sys::thread::pthread_cancel::CancelState;
use gosched_runtime_sys::thread::tls;
use gosched_scheduler::embed::{self, Closed, ForeignM, HostContext};
use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

/// Runs `f` as a goroutine on a thread that is not one yet.
#[inline]
pub(crate) fn enter<R>(entrance: &Entrance, f: impl FnOnce() -> R) -> Result<R, EnterError> {
    let way = Way::Placed(entrance);
    match bound_to(entrance.process) {
        // SAFETY: entered by the same way.
        Some(m) => enter_bound(m, way, |entered| unsafe { inside(entered, way, f) })?,
        None => enter_and_bind(way, f),
    }
}

/// Returns the M of the calling thread, if it has one and is in no goroutine.
#[inline]
pub(crate) fn bound_outside(entrance: &Entrance) -> Option<&'static ExtraM> {
    if embed::is_outside() { bound_to(entrance.process) } else { None }
}

/// Runs `f` as a goroutine, with the M that [`bound_outside`] has returned. While `f` and the
/// goroutine's end run, `call` is this thread's [`call`].
#[inline]
pub(crate) fn enter_call<R>(
    entrance: &Entrance,
    m: &'static ExtraM,
    call: *const (),
    f: impl FnOnce() -> R,
) -> Result<R, EnterError> {
    entrance.ask()?;
    let way = Way::Placed(entrance);
    enter_bound(m, way, |entered| {
        let m = entered.m;
        m.set_call(call);
        // SAFETY: entered by the same way.
        let outcome = unsafe { inside(entered, way, f) };
        m.set_call(ptr::null());
        outcome
    })?
}

/// Returns what was given to [`enter_call`] by this thread, or null.
#[inline]
pub(crate) fn call() -> *const () {
    // SAFETY: null, or an extra M bound to this thread.
    unsafe { tls::bound().cast::<ExtraM>().as_ref() }.map_or(ptr::null(), ExtraM::call)
}

/// What a thread holds that is inside by its bound M.
pub(crate) struct Entered {
    m: &'static ExtraM,
    cancel: CancelState,
    host: HostContext,
}

impl Entered {
    /// The scheduler's half of the M.
    #[inline]
    pub(crate) fn foreign(&self) -> ForeignM {
        self.m.foreign
    }
}

/// Makes a thread a goroutine that is not one yet. If no M can be bound to it, the M is for this
/// time only.
#[inline]
pub(crate) fn enter_open(way: Way<'_>) -> Result<Result<Entered, HeldM>, EnterError> {
    match bound_to(way.process()) {
        Some(m) => enter_bound(m, way, Ok),
        None => need_m(way).map(bind),
    }
}

/// Returns this thread's M, if it was bound in this process.
#[inline]
fn bound_to(process: &Process) -> Option<&'static ExtraM> {
    let m = tls::bound().cast::<ExtraM>();
    // SAFETY: null, or an extra M bound to this thread.
    let m = unsafe { m.as_ref() }?;
    ptr::eq(m.extra, &process.extra).then_some(m)
}

/// True if this thread's bound M is in a call although no goroutine is current, as a handler sees
/// that has interrupted the beginning or the end of one.
#[inline]
pub(crate) fn is_on_its_way(process: &Process) -> bool {
    embed::is_outside() && bound_to(process).is_some_and(ExtraM::in_use)
}

/// Makes a thread a goroutine that has an M, and goes on with `then`. An error is told to those who
/// close the entrance.
///
/// A result of [`Entered`] in place of the continuation would pass through memory: written word by
/// word and read again at once in larger parts, for which a processor waits until the writes are
/// done. That took a fifth of a call. Where this is not inlined, what the callback has captured
/// passes through memory in the same way.
#[cfg_attr(not(debug_assertions), inline(always))]
fn enter_bound<T>(
    m: &'static ExtraM,
    way: Way<'_>,
    then: impl FnOnce(Entered) -> T,
) -> Result<T, EnterError> {
    let m = match m.begin() {
        Some(Begun::GoOn) => m,
        Some(Begun::LookFirst) => look()?,
        None => return Err(EnterError::SignalHandler.refused()),
    };
    let cancel = CancelState::disable();
    // SAFETY: not used after the call has gone out.
    let error = match unsafe { way.come_in(m.place) } {
        // SAFETY: bound to this thread and in no other call; `leave` retracts it; the signal stack
        // is in place since the M was bound, or since the last look. The runtime stays until this
        // call has gone out.
        Ok(handle) => match unsafe { m.foreign.publish(handle) } {
            Ok(()) => {
                let host = m.foreign.begin(handle);
                return Ok(then(Entered { m, cancel, host }));
            }
            Err(Closed) => {
                way.go_out(m.place);
                EnterError::ShutDown.refused()
            }
        },
        Err(error) => error,
    };
    m.end();
    cancel.restore();
    way.tell();
    Err(error)
}

/// Sees to it that this thread, whose bound M has begun a call, still has a signal stack. Returns
/// the M anew. On an error the call has ended.
#[cold]
fn look() -> Result<&'static ExtraM, EnterError> {
    let m = tls::bound().cast::<ExtraM>().cast_mut();
    let mask = SignalMask::block_all();
    let outcome = {
        // SAFETY: bound to this thread, and no handler runs that would look at it; callers use no
        // earlier reference afterwards.
        let m = unsafe { &mut *m };
        m.put_stack_on_again()
    };
    // SAFETY: as above; from here on it is reached through shared references only.
    let m = unsafe { &*m };
    m.looked();
    if outcome.is_err() {
        m.end();
    }
    mask.restore();
    outcome.map(|()| m).map_err(EnterError::refused)
}

/// Runs `f` on a thread that has no M, and binds one to it. If none can be bound, the M is for this
/// call only.
#[cold]
fn enter_and_bind<R>(way: Way<'_>, f: impl FnOnce() -> R) -> Result<R, EnterError> {
    match bind(need_m(way)?) {
        // SAFETY: published by `need_m`, by the same way.
        Ok(entered) => unsafe { inside(entered, way, f) },
        // SAFETY: as above.
        Err(held) => unsafe { enter::inside(held, way, f) },
    }
}

/// Runs `f` as the goroutine of a bound M, and makes the thread C's again.
///
/// # Safety
///
/// As [`leave`].
#[cfg_attr(not(debug_assertions), inline(always))]
unsafe fn inside<R>(
    entered: Entered,
    way: Way<'_>,
    f: impl FnOnce() -> R,
) -> Result<R, EnterError> {
    let outcome = catch_panic(f);
    // SAFETY: as the caller says.
    unsafe { leave(entered, way) };
    outcome
}

/// Makes the thread C's again.
///
/// # Safety
///
/// The thread entered by this way, and is inside.
#[inline]
pub(crate) unsafe fn leave(entered: Entered, way: Way<'_>) {
    let Entered { m, cancel, host } = entered;
    let ended = m.foreign.end(host);
    // SAFETY: inside; used before the call goes out.
    let handle = unsafe { way.handle() };
    // SAFETY: published, as the caller says, and ended above.
    unsafe { m.foreign.retract(handle, ended) };
    way.go_out(m.place);
    m.end();
    cancel.restore();
    way.tell();
}

/// Binds the M to the thread. Returns it unbound where no hook would run: at the thread's end,
/// without a key, or without memory for the key's value.
#[inline]
fn bind(held: HeldM) -> Result<Entered, HeldM> {
    let Some(hook) = exit_hook().filter(|_| !tls::exiting()) else {
        return Err(held);
    };
    let m: *mut ExtraM = held.m;
    // SAFETY: `at_thread_exit` asks for an M bound to its thread, which this one is from here on.
    let hooked = unsafe { hook.set(m.cast()) };
    if hooked.is_err() {
        // SAFETY: the pointer was made from this reference; no other exists.
        let m = unsafe { &mut *m };
        return Err(HeldM { m, ..held });
    }
    tls::set_bound(m.cast_const().cast());
    // SAFETY: bound; from here on it is reached through shared references only.
    let m = unsafe { &*m };
    m.bind();
    m.foreign.set_bound(true);
    Ok(Entered { m, cancel: held.cancel, host: held.host })
}

/// Returns the key; the first thread that needs it makes it. None if the process was out of keys
/// then. The key outlives forks.
#[inline]
fn exit_hook() -> Option<ExitHook> {
    static HOOK: OnceLock<Option<ExitHook>> = OnceLock::new();
    *HOOK.get_or_init(|| ExitHook::register(at_thread_exit).ok())
}

/// The rest of `drop_m`, called by the C library at the end of a bound thread.
///
/// # Safety
///
/// `m` is bound to the calling thread, and no call is going to return to it.
unsafe extern "C" fn at_thread_exit(m: *mut c_void) {
    tls::set_exiting();
    tls::set_bound(ptr::null());
    // SAFETY: as the caller says.
    let m = unsafe { &mut *m.cast::<ExtraM>() };
    m.foreign.set_bound(false);
    // In use: the thread left a callback in a way that no frame of ours saw. Other goroutines may
    // wait for its goroutine, so the M is left alone.
    if m.forked() || m.in_use() {
        return;
    }
    let mask = SignalMask::block_all();
    m.take_stack_off_at_exit();
    // No goroutine is current: the last call saw to that.
    m.extra.put(m);
    mask.restore();
}
