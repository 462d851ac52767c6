//! Goroutines that run functions of C's.
//!
//! # Who waits for whom
//!
//! A goroutine that somebody wants to join has a channel that is closed when its job is over: then
//! C's function has returned, or never will be called, and its pointer was released. Any number may
//! wait for that, with time limits and after a cancel of their own. A `JoinHandle` is used up by a
//! join, so it is asked only for the reason why a function was not called.
//!
//! # Safety
//!
//! Handles, options and functions are what the header says.
#![expect(unsafe_code, reason = "exported names; handles, options and functions of C")]

use std::convert::Infallible;
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use gosched::cancel::shield;
use gosched::goroutine::Builder;
use gosched::sync::Mutex;
use gosched::{JoinHandle, chan};

use crate::code::{self, Code};
use crate::failure::Failure;
use crate::function::{Callee, Function, Pointer};
use crate::guard::{borrow, give, give_back, given, guarded, hold, nanoseconds, place, share};
use crate::job::{End, Job};
use crate::runtime::{Runtime, text};
use crate::sized::{self, Versioned};

/// Nothing is known of the goroutine; the runtime goes by what the same function did before.
pub const GOSCHED_BEHAVES_UNKNOWN: u32 = 0;
/// It waits or ends soon whenever it runs: it may share a thread from the beginning.
pub const GOSCHED_BEHAVES_TALKS: u32 = 1;
/// It computes or blocks for milliseconds: it begins where no others have settled.
pub const GOSCHED_BEHAVES_COMPUTES: u32 = 2;

/// How a goroutine is to be made. Zero is the default of every field but the first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct GoOptions {
    /// sizeof(gosched_go_options).
    pub size: usize,
    /// What it is called in reports, in UTF-8; it is copied. NULL: nothing.
    pub name: *const c_char,
    /// Bytes of its stack, 32 KiB to 1 TiB. 0: those of the runtime.
    pub stack_size: usize,
    /// Is called with the goroutine's pointer when its function has returned, or is not going to be
    /// called; on any thread, as a goroutine or not. It does not wait. NULL: nothing is called.
    pub release: Function,
    /// Not 0: it has a thread of its own, and holds nobody up.
    pub own_thread: u32,
    /// GOSCHED_BEHAVES_UNKNOWN, GOSCHED_BEHAVES_TALKS or GOSCHED_BEHAVES_COMPUTES.
    pub behaves: u32,
}

// SAFETY: `repr(C)`, of numbers, a pointer and a function that may be NULL, with the size in front.
unsafe impl Versioned for GoOptions {
    const FIRST: usize = size_of::<Self>();
}

/// What the library takes for the size of a stack.
const STACKS: std::ops::RangeInclusive<usize> = 32 << 10..=1 << 40;

/// A goroutine that can be joined and cancelled.
#[derive(Debug)]
pub struct Goroutine {
    /// Disconnected when the job is over.
    over: chan::Receiver<Infallible>,
    returned: Arc<AtomicBool>,
    /// None once it was asked why the function was not called.
    handle: Mutex<Option<JoinHandle<()>>>,
    /// Why it could not begin; set under the handle's lock by the joiner that asked.
    no_memory: OnceLock<String>,
    id: u64,
}

/// Tells the joiners. Dropping it does.
struct Over {
    returned: Arc<AtomicBool>,
    _over: chan::Sender<Infallible>,
}

impl End for Over {
    fn returned(&self) {
        // ORDERING[capi.returned]: partner is the load in `outcome`: what the function has written
        // is visible to the joiner.
        self.returned.store(true, Ordering::Release);
    }
}

impl Goroutine {
    /// Makes a goroutine that runs `f`. On [`code::GOSCHED_INVALID`] nothing has happened; on any
    /// other failure the pointer was released.
    ///
    /// # Safety
    ///
    /// `f`, and then the options' `release`, may be called with `user` on any thread.
    pub(crate) unsafe fn go(
        runtime: &Runtime,
        options: Option<&GoOptions>,
        f: Callee,
        user: Pointer,
    ) -> Result<Self, Failure> {
        let returned = Arc::new(AtomicBool::new(false));
        let (sender, over) = chan::bounded(0);
        let end = Over { returned: returned.clone(), _over: sender };
        // SAFETY: this function's contract.
        let handle = unsafe { go_with(runtime, options, f, user, end) }?;
        let id = handle.id();
        Ok(Self {
            over,
            returned,
            handle: Mutex::new(Some(handle)),
            no_memory: OnceLock::new(),
            id,
        })
    }

    /// Waits until its job is over. Not over when `timeout` has passed: GOSCHED_TIMED_OUT. Unwinds
    /// if the caller is cancelled.
    pub(crate) fn wait(&self, timeout: Option<u64>) -> Result<(), Failure> {
        match timeout {
            None => _ = self.over.recv(),
            Some(limit) => match self.over.recv_timeout(nanoseconds(limit)) {
                Err(error) if error.is_timeout() => {
                    return Err(Failure::plain(code::GOSCHED_TIMED_OUT));
                }
                _ => {}
            },
        }
        self.outcome()
    }

    /// Waits until its job is over, whatever is cancelled meanwhile.
    pub(crate) fn wait_shielded(&self) -> Result<(), Failure> {
        shield(|| self.wait(None))
    }

    /// Says how its job has ended, once it has.
    fn outcome(&self) -> Result<(), Failure> {
        // ORDERING[capi.returned]: partner is the store in `returned`.
        if self.returned.load(Ordering::Acquire) {
            return Ok(());
        }
        // The goroutine has dropped its job and is about to end, so this wait is a short one.
        shield(|| {
            let mut handle = self.handle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(Err(error)) = handle.take().map(JoinHandle::wait)
                && error.is_not_started()
            {
                // Unset: the handle is asked once.
                let _set = self.no_memory.set(error.to_string());
            }
        });
        match self.no_memory.get() {
            Some(error) => Err(Failure::new(code::GOSCHED_RESOURCES, error.as_str())),
            None => Err(Failure::new(
                code::GOSCHED_CANCELLED,
                "the goroutine was cancelled before it began",
            )),
        }
    }

    /// True once its job is over.
    pub(crate) fn is_over(&self) -> bool {
        self.over.is_closed()
    }

    /// Cancels it, if it has not ended.
    pub(crate) fn cancel(&self) {
        shield(|| {
            let handle = self.handle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            handle.as_ref().map(JoinHandle::cancel)
        });
    }
}

/// Makes a goroutine, as the options say.
///
/// # Safety
///
/// As [`Goroutine::go`].
unsafe fn go_with<E: End>(
    runtime: &Runtime,
    options: Option<&GoOptions>,
    f: Callee,
    user: Pointer,
    end: E,
) -> Result<JoinHandle<()>, Failure> {
    let mut builder = Builder::new();
    if let Some(options) = options {
        builder = match options.behaves {
            GOSCHED_BEHAVES_UNKNOWN => builder,
            GOSCHED_BEHAVES_TALKS => builder.talks(),
            GOSCHED_BEHAVES_COMPUTES => builder.computes(),
            other => return Err(Failure::invalid(format!("there is no behaviour {other}"))),
        };
        if options.stack_size != 0 {
            if !STACKS.contains(&options.stack_size) {
                return Err(Failure::invalid("a stack has 32 KiB to 1 TiB"));
            }
            builder = builder.stack_size(options.stack_size);
        }
        // SAFETY: the header asks for NULL or a string.
        if let Some(name) = unsafe { text(options.name) } {
            builder = builder.name(name);
        }
        if options.own_thread != 0 {
            builder = builder.own_thread();
        }
    }
    let release = options.and_then(|options| options.release);
    // SAFETY: this function's contract.
    let job = unsafe { Job::new(f, user, release, end) };
    job.go(builder.runtime(runtime.handle()?)).map_err(|error| Failure::of_system(&error))
}

/// Makes a goroutine that runs fn(user).
///
/// It has a stack of its own, in the mode GOSCHED_MODE_THREADS a thread. fn waits by the functions
/// of this library; what blocks the thread otherwise goes into gosched_blocking. When a wait
/// returns GOSCHED_CANCELLED, fn returns soon. If the runtime is shut down before the goroutine has
/// begun, fn is not called, and nobody is told: gosched_go_with tells.
///
/// GOSCHED_SHUT_DOWN; GOSCHED_FORKED; GOSCHED_RESOURCES if there is no thread for it.
///
/// Threads: any. Waits: no. Handlers: no. States: up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_go(
    runtime: *mut Runtime,
    r#fn: Function,
    user: *mut c_void,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let runtime = unsafe { borrow(runtime) }?;
        let f = given(r#fn)?;
        // SAFETY: the header's contract.
        unsafe { go_with(runtime, None, f, Pointer(user), ()) }.map(drop)
    })
}

/// As gosched_go, with options, which may be NULL. Leaves a handle of the goroutine in *goroutine,
/// which is to be freed; if that is NULL, nobody can join it.
///
/// The options' release is called once, however the goroutine ends, and also if this fails, unless
/// it returns GOSCHED_INVALID: then nothing has happened.
///
/// Threads: any. Waits: no. Handlers: no. States: up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_go_with(
    runtime: *mut Runtime,
    options: *const GoOptions,
    r#fn: Function,
    user: *mut c_void,
    goroutine: *mut *mut Goroutine,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let runtime = unsafe { borrow(runtime) }?;
        let f = given(r#fn)?;
        let options = match options.is_null() {
            true => None,
            // SAFETY: the header's contract.
            false => Some(unsafe { sized::read(options) }?),
        };
        let (options, user) = (options.as_ref(), Pointer(user));
        if goroutine.is_null() {
            // SAFETY: the header's contract.
            return unsafe { go_with(runtime, options, f, user, ()) }.map(drop);
        }
        // SAFETY: the header's contract.
        let out = unsafe { place(goroutine) }?;
        // SAFETY: the header's contract.
        out.write(give(unsafe { Goroutine::go(runtime, options, f, user) }?)?);
        Ok(())
    })
}

/// Waits until the goroutine's function has returned and its pointer was released. The handle stays
/// as it is: it may be joined again, by others at the same time, and is still to be freed.
///
/// GOSCHED_OK if the function has returned, also after a cancel. If it was never called:
/// GOSCHED_CANCELLED, or GOSCHED_RESOURCES if there was no memory for its stack. GOSCHED_CANCELLED
/// as well if the caller is cancelled while it waits, which gosched_goroutine_is_over tells apart.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_join(goroutine: *mut Goroutine) -> Code {
    // SAFETY: the header's contract.
    guarded(|| unsafe { hold(goroutine) }?.wait(None))
}

/// As gosched_join, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
///
/// Threads: any. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_join_timeout(goroutine: *mut Goroutine, timeout_ns: u64) -> Code {
    // SAFETY: the header's contract.
    guarded(|| unsafe { hold(goroutine) }?.wait(Some(timeout_ns)))
}

/// Returns 1 if the goroutine's function has returned or is never going to be called, and its
/// pointer was released; otherwise 0, as for NULL and in a forked child.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_goroutine_is_over(goroutine: *mut Goroutine) -> i32 {
    // SAFETY: the header's contract.
    let over = unsafe { hold(goroutine) }.is_ok_and(|goroutine| goroutine.is_over());
    i32::from(over)
}

/// Cancels the goroutine: the wait that it is in, and each further one, returns GOSCHED_CANCELLED.
/// If it has not begun, its function is not called. One that never waits goes on.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_cancel(goroutine: *mut Goroutine) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { hold(goroutine) }?.cancel();
        Ok(())
    })
}

/// Returns the goroutine's number, as dumps have it; 0 for NULL, and in a forked child.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_goroutine_number(goroutine: *mut Goroutine) -> u64 {
    // SAFETY: the header's contract.
    unsafe { hold(goroutine) }.map_or(0, |goroutine| goroutine.id)
}

/// Adds a reference to the handle and returns it. Each reference is freed once. NULL stays NULL.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_goroutine_share(goroutine: *mut Goroutine) -> *mut Goroutine {
    // SAFETY: the header's contract.
    unsafe { share(goroutine) }
}

/// Gives a reference to the handle back. The goroutine goes on. NULL is ignored.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_goroutine_free(goroutine: *mut Goroutine) {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { give_back(goroutine) }
    });
}
