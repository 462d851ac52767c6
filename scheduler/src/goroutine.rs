//! What a goroutine may be besides the usual, and who the calling one is.
//!
//! # Safety
//!
//! A new packet is filled with its closure.
#![expect(unsafe_code, reason = "fills new packets")]

use std::io;
use std::panic::Location;
use std::sync::Arc;

use gosched_runtime_sys::thread::fork;

use crate::ds::pair_arc::PairArc;
use crate::gmp::body::{Begin, Behaviour, Body, Built, Entry, SharedBody};
use crate::gmp::current;
use crate::gmp::g::Kind;
use crate::gmp::sched::Sched;
use crate::gmp::thread_g;
use crate::go::spawn_in;
use crate::join::{JoinHandle, filled_pair};
use crate::proc::colocate::{Host, Newcomer};
use crate::proc::spawn;
use crate::proc::thread_backed::{self, Thread};
use crate::runtime::{Handle, check_stack_size};

#[doc(hidden)]
pub mod in_test;

/// How a goroutine is to be made. [`go`](crate::go()) is the short form, for one without wishes.
///
/// ```
/// use gosched::goroutine::{self, Builder};
/// use gosched::{Mode, run};
///
/// let name = run(Mode::threads(), || {
///     let counter = Builder::new().name("counter").go(goroutine::current_name);
///     counter.join().unwrap()
/// });
/// assert_eq!(name.as_deref(), Some("counter"));
/// ```
#[derive(Clone, Default)]
#[must_use = "it makes nothing by itself"]
pub struct Builder {
    runtime: Option<Handle>,
    name: Option<Box<str>>,
    stack_size: Option<usize>,
    own_thread: bool,
    behaviour: Option<Behaviour>,
    host: Option<PairArc<dyn Host>>,
}

// It only keeps where its goroutine is to settle.
impl std::panic::UnwindSafe for Builder {}
impl std::panic::RefUnwindSafe for Builder {}

impl std::fmt::Debug for Builder {
    #[inline]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .field("own_thread", &self.own_thread)
            .field("with", &self.host.is_some())
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// A goroutine without wishes, in the runtime that the caller is in.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// In this runtime, from whatever thread.
    #[inline]
    pub fn runtime(mut self, handle: &Handle) -> Self {
        self.runtime = Some(handle.clone());
        self
    }

    /// What it is called in reports; [`current_name`] tells it in the goroutine.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into_boxed_str());
        self
    }

    /// Bytes of its stack, 32 KiB to 1 TiB, rounded up to pages. Unless set: the runtime's
    /// [`stack_size`](crate::Builder::stack_size). Without effect in
    /// [`Mode::threads`](crate::Mode::threads) and with [`own_thread`](Self::own_thread), where the
    /// stack is the thread's.
    #[inline]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// It gets a thread of its own, and holds nobody up: for what is known to compute or to block
    /// for long. It needs no P; when it waits, its thread sleeps. The thread is a new one, and ends
    /// with the goroutine: nothing that the goroutine does to it reaches another one.
    #[doc(alias("spawn_blocking", "dedicated thread", "LockOSThread"))]
    #[inline]
    pub fn own_thread(mut self) -> Self {
        self.own_thread = true;
        self
    }

    /// Says that it suspends or ends soon whenever it runs. It then begins on any thread, most
    /// often on that of its maker, and the two talk without waking a core.
    ///
    /// Unless this or [`computes`](Self::computes) is said, the runtime goes by the call of `go`
    /// that makes it. While none that was made there has run, it begins on a thread on which no
    /// others have settled, or beside those that the same goroutine makes at the same time. Once
    /// one of them has suspended or ended soon, the next ones begin on any thread.
    ///
    /// If it computes or blocks its thread all the same, the goroutines that have settled on that
    /// thread wait for it.
    #[inline]
    pub fn talks(mut self) -> Self {
        self.behaviour = Some(Behaviour::Talks);
        self
    }

    /// Says that it computes, or blocks its thread, for milliseconds. It then begins on a thread on
    /// which no others have settled, or only others that compute.
    ///
    /// The runtime learns the same of a call of `go` when a goroutine that was made there has taken
    /// 2 ms of processor time, or has blocked its thread for as long, without a suspension. It
    /// unlearns it when 64 in a row have not.
    #[doc(alias("cpu bound"))]
    #[inline]
    pub fn computes(mut self) -> Self {
        self.behaviour = Some(Behaviour::Computes);
        self
    }

    /// It settles on the thread on which `other` has settled, or begins with it if that has not
    /// begun: two that talk much do so without waking a core. Where `other` has ended or has no
    /// thread for good (it is migratory, has a thread of its own, is in another runtime), and for a
    /// goroutine that does not settle itself, this says nothing.
    ///
    /// Who shares a thread with one that blocks or computes waits for it.
    #[doc(alias("affinity", "spawn_local"))]
    pub fn with<T: 'static>(mut self, other: &JoinHandle<T>) -> Self {
        self.host = Some(other.host());
        self
    }

    /// Makes the goroutine and has it run `f`. Never blocks. What cannot be had (a thread, a stack
    /// of that size) is its joiner's error: [`NotStarted`](crate::NotStarted).
    ///
    /// # Panics
    ///
    /// If no [`runtime`](Self::runtime) is set and the calling thread is in none.
    #[doc(alias = "spawn")]
    #[track_caller]
    pub fn go<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let sched = self.sched();
        let sched = sched.expect(
            "goroutine::Builder::go was called on a thread that is in no runtime; \
             name one with `runtime`",
        );
        let [body, packet] = filled_pair!(f, ());
        let id = self.make(&sched, SharedBody::new(body)).unwrap_or_else(|error| {
            let id = thread_g::reserve_ids(1);
            packet.run(id, Begin::Failed(error));
            id
        });
        JoinHandle::new(packet, id)
    }

    /// As [`go`](Self::go).
    ///
    /// # Errors
    ///
    /// With `InvalidInput` if the stack's size is out of its range; with what the system says if
    /// there is no thread for one that is to have its own; with `NotConnected` if no
    /// [`runtime`](Self::runtime) is set and the calling thread is in none. The closure is dropped
    /// then. That there is no memory for a stack shows only when the goroutine begins, and is its
    /// joiner's error here, too.
    #[doc(alias = "try_spawn")]
    #[track_caller]
    pub fn try_go<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let outside =
            || io::Error::new(io::ErrorKind::NotConnected, "the calling thread is in no runtime");
        let sched = self.sched().ok_or_else(outside)?;
        let [body, packet] = filled_pair!(f, ());
        let id = self.make(&sched, SharedBody::new(body))?;
        Ok(JoinHandle::new(packet, id))
    }

    #[inline]
    fn sched(&self) -> Option<Arc<Sched>> {
        match &self.runtime {
            Some(handle) => Some(handle.sched().clone()),
            None => current::with(|cx| cx.filter(|cx| cx.g().is_some()).map(|cx| cx.sched().arc())),
        }
    }

    /// Makes a goroutine that runs `body`; its number. On an error nothing is left but the body.
    #[track_caller]
    #[inline]
    fn make(self, sched: &Arc<Sched>, body: SharedBody) -> io::Result<u64> {
        let Self { name, stack_size, own_thread, behaviour, host, .. } = self;
        check_stack_size(stack_size)?;
        let name_entry = name.map(|name| sched.names.enter(name));
        let entry = Entry::Built(Box::new(Built { body, name_entry, stack_size, behaviour }));
        let mode = sched.config.mode;
        if own_thread || mode.is_threads() {
            let thread = if own_thread { Thread::Own } else { Thread::Pooled };
            return thread_backed::try_spawn_thread(sched, entry, Location::caller(), thread);
        }
        let Some(host) = host.filter(|_| !mode.is_migratory()) else {
            return Ok(spawn_in(sched, entry));
        };
        let g = spawn::make_apart(sched, Kind::Settled, entry, Location::caller());
        let id = g.g().id();
        host.place_with(Newcomer::new(sched.clone(), g));
        Ok(id)
    }
}

/// What the calling goroutine is called, if its [`Builder`] gave it a name.
#[must_use]
#[inline]
pub fn current_name() -> Option<String> {
    current::with(|cx| cx?.owned()?.name().map(str::to_owned))
}

/// True if the calling goroutine is one of this process's parent: its thread has forked. Code may
/// go on in it and return, but whom it would wait for is not here. False outside of goroutines.
///
/// ```
/// use gosched::{Mode, goroutine, run};
///
/// assert!(!run(Mode::threads(), goroutine::is_forked));
/// ```
#[must_use]
#[inline]
pub fn is_forked() -> bool {
    let here = fork::generation();
    here != 0 && current::with(|cx| cx.is_some_and(|cx| cx.sched().generation != here))
}
