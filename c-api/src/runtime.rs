//! A runtime, as C has it: with the bridge by which C's threads come in.
//!
//! # Modes
//!
//! C has the modes that its compilers can keep. A migratory goroutine goes on on another thread
//! after a wait, and C's `errno` is an address that the compiler may keep across a call: glibc
//! declares `__errno_location` as `const`. So there is no migratory mode here. The mode has no
//! default, because the settled one is a promise that the program gives.
//!
//! # A handle that goes on
//!
//! `gosched_runtime_restart` puts another runtime behind a handle, for what C holds of it. The
//! bridge decides who may: it is bound anew only if it leads nowhere, and by one thread. Calls that
//! have looked the old runtime up may still use it, so it stays, linked behind the new one, until
//! the handle goes. No lock is taken, since a forked child restarts as well.
//!
//! # Safety
//!
//! Options and handles are what the header says. The promise of the settled mode is the program's.
//! The pointer in a [`Runtime`] is from a box, as are the links behind it, and none goes before the
//! runtime does.
#![expect(unsafe_code, reason = "exported names; handles and options of C; the mode's promise")]

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use gosched::callback::{Binding, Bridge};
use gosched::{Handle, Mode, ShutdownError, Warnings};

use gosched_runtime_sys::thread::fork;

use crate::code::{self, Code};
use crate::failure::Failure;
use crate::guard::{borrow, borrow_anew, give, give_back, guarded, nanoseconds, place, share};
use crate::sized::{self, Versioned};
use crate::version::GOSCHED_ABI;

/// Each goroutine has a thread of its own. Asks for no promise; slow.
pub const GOSCHED_MODE_THREADS: u32 = 1;
/// A goroutine stays on the thread that started it, and shares that thread. Whoever says so
/// promises, for all code that runs in the runtime's goroutines: nothing waits inside the
/// initialiser or destructor of a thread-local, nor inside a callback of code that keeps something
/// on the thread while it calls (a C++ catch block, a chain of setjmp buffers, an interpreter's
/// lock). Code in gosched_enter, and on attached threads, has nothing to promise.
pub const GOSCHED_MODE_SETTLED: u32 = 2;

/// A thread that comes in keeps its place in the runtime until it ends. The default.
pub const GOSCHED_BINDING_THREAD: u32 = 0;
/// A thread keeps its place for one call. Its signal mask and signal stack are the same afterwards.
pub const GOSCHED_BINDING_CALL: u32 = 1;

/// Warnings are lines on standard error: above all that a goroutine keeps others waiting. The
/// default.
pub const GOSCHED_WARNINGS_STDERR: u32 = 0;
/// There are no warnings.
pub const GOSCHED_WARNINGS_OFF: u32 = 1;

/// How a runtime is to be built. Take gosched_options_of, and change what is to differ. Zero is the
/// default of every field but the first three.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    /// sizeof(gosched_options).
    pub size: usize,
    /// GOSCHED_ABI.
    pub abi: u32,
    /// GOSCHED_MODE_THREADS or GOSCHED_MODE_SETTLED.
    pub mode: u32,
    /// How many goroutines run at the same time, at most 1024. 0: as many as the process has CPUs.
    pub procs: usize,
    /// Bytes of stack for each goroutine, 32 KiB to 1 TiB: address space, of which memory is what
    /// was touched. 0: GOSCHED_STACK_SIZE.
    pub stack_size: usize,
    /// The most threads that run goroutines, at most 100,000. 0: 10,000.
    pub max_threads: usize,
    /// The most threads that gosched_blocking uses. 0: 512.
    pub max_blocking_threads: usize,
    /// What its threads are called, in UTF-8; it is copied. NULL: "gosched".
    pub name: *const c_char,
    /// GOSCHED_BINDING_THREAD or GOSCHED_BINDING_CALL.
    pub binding: u32,
    /// GOSCHED_WARNINGS_STDERR or GOSCHED_WARNINGS_OFF.
    pub warnings: u32,
}

// SAFETY: `repr(C)`, of numbers and a pointer, with the size in front.
unsafe impl Versioned for Options {
    const FIRST: usize = size_of::<Self>();
}

/// The stack of a goroutine of C's, unless the options say otherwise. It is measured: see the
/// documentation, docs/c.md.
pub const GOSCHED_STACK_SIZE: usize = 1 << 20;

/// A runtime: goroutines, and the threads that run them.
#[derive(Debug)]
pub struct Runtime {
    now: AtomicPtr<Up>,
    bridge: Bridge,
}

/// What is behind a handle between two restarts.
#[derive(Debug)]
struct Up {
    runtime: gosched::Runtime,
    handle: Handle,
    /// What was there before. Read by the drop alone.
    before: AtomicPtr<Up>,
    /// The process that made it, counted in forks.
    generation: u32,
    /// How many shutdowns were asked for and not refused: with one, nothing new begins. A flag
    /// would not do: who is refused could only put back what was there before, and so take away
    /// what another one has set meanwhile.
    shutdowns: AtomicUsize,
}

impl Up {
    fn build(options: &Options) -> Result<(Self, Binding), Failure> {
        if options.abi != GOSCHED_ABI {
            let text = format!(
                "the program was compiled for ABI {}, the library has {GOSCHED_ABI}",
                options.abi
            );
            return Err(Failure::new(code::GOSCHED_WRONG_ABI, text));
        }
        let mode = match options.mode {
            GOSCHED_MODE_THREADS => Mode::threads(),
            // SAFETY: the program promises it, see `GOSCHED_MODE_SETTLED`.
            GOSCHED_MODE_SETTLED => unsafe { Mode::settled() },
            other => return Err(Failure::invalid(format!("there is no mode {other}"))),
        };
        let binding = match options.binding {
            GOSCHED_BINDING_THREAD => Binding::UntilThreadExit,
            GOSCHED_BINDING_CALL => Binding::PerCall,
            other => return Err(Failure::invalid(format!("there is no binding {other}"))),
        };
        let warnings = match options.warnings {
            GOSCHED_WARNINGS_STDERR => Warnings::Stderr,
            GOSCHED_WARNINGS_OFF => Warnings::Off,
            other => return Err(Failure::invalid(format!("there are no warnings {other}"))),
        };
        let given = |number: usize| (number != 0).then_some(number);
        let stack_size = given(options.stack_size).unwrap_or(GOSCHED_STACK_SIZE);
        let mut builder = gosched::Runtime::builder(mode).stack_size(stack_size).warnings(warnings);
        if let Some(procs) = given(options.procs) {
            builder = builder.procs(procs);
        }
        if let Some(most) = given(options.max_threads) {
            builder = builder.max_threads(most);
        }
        if let Some(most) = given(options.max_blocking_threads) {
            builder = builder.max_blocking_threads(most);
        }
        // SAFETY: the header asks for NULL or a string.
        if let Some(name) = unsafe { text(options.name) } {
            builder = builder.name(name);
        }
        let runtime = builder.build().map_err(|error| Failure::of_system(&error))?;
        let up = Self {
            handle: runtime.handle(),
            runtime,
            before: AtomicPtr::new(null_mut()),
            generation: fork::generation(),
            shutdowns: AtomicUsize::new(0),
        };
        Ok((up, binding))
    }
}

impl Runtime {
    fn build(options: &Options) -> Result<Self, Failure> {
        let (up, binding) = Up::build(options)?;
        let bridge = Bridge::unbound().with_binding(binding);
        bridge.bind(up.handle.clone());
        Ok(Self { now: AtomicPtr::new(Box::into_raw(Box::new(up))), bridge })
    }

    /// Puts another runtime in the place of one that is shut down, or of the parent's.
    fn restart(&self, options: &Options) -> Result<(), Failure> {
        let (up, _binding) = Up::build(options)?;
        if !self.bridge.rebind(up.handle.clone()) {
            return Err(Failure::invalid("the runtime is up"));
        }
        let up = Box::into_raw(Box::new(up));
        // ORDERING[capi.up]: partners are the load in `up`, and the swap of the next restart.
        let before = self.now.swap(up, AcqRel);
        // SAFETY: it stays until the runtime goes.
        unsafe { &*up }.before.store(before, Relaxed);
        Ok(())
    }

    fn up(&self) -> &Up {
        // ORDERING[capi.up]: partner is the swap in `restart`.
        let up = self.now.load(Acquire);
        // SAFETY: it stays until the runtime goes.
        unsafe { &*up }
    }

    /// The way in for threads that the runtime did not make.
    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Tells of it.
    pub(crate) fn inner(&self) -> &gosched::Runtime {
        &self.up().runtime
    }

    /// Returns what makes goroutines in it. Fails once a shutdown was asked for.
    pub(crate) fn handle(&self) -> Result<&Handle, Failure> {
        let up = self.up();
        if up.shutdowns.load(Relaxed) > 0 {
            return Err(Failure::plain(code::GOSCHED_SHUT_DOWN));
        }
        Ok(&up.handle)
    }

    fn shut_down(&self, grace: u64) -> Result<(), Failure> {
        let up = self.up();
        // Before the wait, so that nobody is told that a goroutine was made which never runs.
        up.shutdowns.fetch_add(1, Relaxed);
        let Err(error) = up.runtime.shutdown(nanoseconds(grace)) else { return Ok(()) };
        let code = match error {
            ShutdownError::Running { .. } => code::GOSCHED_STILL_RUNNING,
            ShutdownError::Forked => code::GOSCHED_FORKED,
            // It is up as before.
            ShutdownError::Inside => {
                up.shutdowns.fetch_sub(1, Relaxed);
                code::GOSCHED_INSIDE
            }
            _ => code::GOSCHED_STILL_RUNNING,
        };
        Err(Failure::new(code, error.to_string()))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let mut up = *self.now.get_mut();
        // Those from before a fork stay, as all of the parent's does.
        // SAFETY: null, or from a box that nobody else has.
        while let Some(there) = unsafe { up.as_ref() }
            && there.generation == fork::generation()
        {
            let before = there.before.load(Relaxed);
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(up) });
            up = before;
        }
    }
}

/// Returns a string of C's, if there is one. What is no UTF-8 in it is replaced.
///
/// # Safety
///
/// NULL or a string.
pub(crate) unsafe fn text(string: *const c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: this function's contract.
    let string = unsafe { CStr::from_ptr(string) };
    Some(string.to_string_lossy().into_owned())
}

/// Makes a runtime, and leaves it in *runtime. It makes no thread until there is something to run.
/// Handlers of SIGSEGV and SIGBUS are installed before those that are there, once per process, and
/// pass on what is no overflow of a stack.
///
/// GOSCHED_WRONG_ABI if the program was compiled with another header; GOSCHED_INVALID for an option
/// out of its range; GOSCHED_RESOURCES.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_runtime_new(
    options: *const Options,
    runtime: *mut *mut Runtime,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let out = unsafe { place(runtime) }?;
        // SAFETY: the header's contract.
        let options = unsafe { sized::read(options) }?;
        out.write(give(Runtime::build(&options)?)?);
        Ok(())
    })
}

/// Ends the runtime: nothing new begins, and each wait of its goroutines and callbacks returns
/// GOSCHED_CANCELLED. Waits until they have ended, for grace_ns nanoseconds at most. May be called
/// again, and waits again.
///
/// GOSCHED_STILL_RUNNING if something is left, which goes on; GOSCHED_INSIDE in a goroutine, a
/// callback or on an attached thread of this runtime; GOSCHED_FORKED in a forked child.
///
/// Threads: any outside of this runtime. Waits: yes. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_runtime_shutdown(runtime: *mut Runtime, grace_ns: u64) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { borrow(runtime) }?.shut_down(grace_ns)
    })
}

/// Puts another runtime behind the handle and all its references: after gosched_runtime_shutdown,
/// or in a forked child, where the handle is the child's from then on. So what holds the handle
/// goes on working. Goroutines, and threads that are inside, stay what they were, and so does the
/// binding: the option is ignored.
///
/// GOSCHED_INVALID if the runtime is up; otherwise the errors of gosched_runtime_new. After an
/// error nothing has changed. What a runtime leaves after its shutdown, some 50 KB, stays with the
/// handle.
///
/// Threads: any. Waits: no. Handlers: no. States: shut down, or in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_runtime_restart(
    runtime: *mut Runtime,
    options: *const Options,
) -> Code {
    guarded(|| {
        // SAFETY: the header's contract.
        let made = unsafe { borrow_anew(runtime) }?;
        // SAFETY: the header's contract.
        made.restart(&unsafe { sized::read(options) }?)?;
        made.is_here();
        Ok(())
    })
}

/// Adds a reference to the runtime and returns it. Each reference is freed once. NULL stays NULL.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_runtime_share(runtime: *mut Runtime) -> *mut Runtime {
    // SAFETY: the header's contract.
    unsafe { share(runtime) }
}

/// Gives a reference back. With the last one the runtime is shut down, if that was not done, with a
/// grace of ten seconds; what is left then goes on, and its memory stays. NULL is ignored.
///
/// Threads: any. Waits: yes, with the last reference. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosched_runtime_free(runtime: *mut Runtime) {
    guarded(|| {
        // SAFETY: the header's contract.
        unsafe { give_back(runtime) }
    });
}
