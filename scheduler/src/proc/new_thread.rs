//! Who makes the runtime's threads: the caller, unless its thread may be tainted.
//!
//! # Who calls it
//!
//! Everything that makes a thread of a runtime: `start_m`, `wake_sysmon`, `thread_backed`,
//! `blocking`, and the reports. A future's deadline, for the process's one clock. `lock_thread` and
//! `thread_backed` call [`prepare`], before a goroutine can taint its thread.
//!
//! # Who counts as tainted
//!
//! A new thread inherits its maker's directory, namespaces, priority and more. A goroutine that is
//! locked to its thread may have changed them for itself, and so may one with a thread of its own,
//! and a thread of the host. What they changed stays on an M whose goroutine ended locked, until
//! its thread ends. All of these ask the runtime's [`ThreadMaker`]. An M without a locked goroutine
//! makes its threads itself, and so does everybody if there is no such maker.
//!
//! [`ThreadMaker`]: crate::gmp::thread_maker::ThreadMaker
//!
//! # Safety
//!
//! A running G's own part is read by its thread.
#![expect(unsafe_code, reason = "reads the running G's own part")]

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use gosched_runtime_sys::thread::{fork, last_code, set_time_slice, spawn_thread};

use crate::ds::grow;
use crate::gmp::current::{self, Current};
use crate::gmp::g::{Kind, running_kind};
use crate::gmp::sched::Sched;
use crate::gmp::thread_maker::Main;
use crate::proc::standstill;

/// Makes a thread for `sched`.
pub(crate) fn make(
    sched: &Sched,
    name: String,
    main: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let owner = sched.arc();
    let main = move || {
        last_code::set_made_for(Arc::as_ptr(&owner).addr());
        begin(owner);
        main();
    };
    spawn(sched, name, Box::new(main))
}

/// Makes a thread that runs the user's code in no goroutine: events. It may do anything, and while
/// it is there no deadlock is proven.
pub(crate) fn make_outside(
    sched: &Sched,
    name: String,
    main: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let owner = sched.arc();
    let main = move || {
        main();
        begin(owner);
    };
    spawn(sched, name, Box::new(main))
}

fn spawn(sched: &Sched, name: String, main: Main) -> io::Result<JoinHandle<()>> {
    if current::with(|cx| cx.is_some_and(is_clean)) {
        return spawn_thread(name, main);
    }
    ask_maker(sched, name, main)
}

/// Asks the system for the slices that the runtime's threads are to have. Called by a new thread
/// that runs goroutines, and by sysmon, which is to look in time.
pub(crate) fn ask_for_slice(sched: &Sched) {
    if let Some(slice) = sched.config.thread_slice {
        set_time_slice(slice);
    }
}

/// Makes the calling thread one of the runtime's own, until it ends. Before that, and until the
/// destructors of its thread-locals have run, it kept a deadlock from being found.
fn begin(owner: Arc<Sched>) {
    owner.deadlocks.own_threads.enter();
    standstill::check(&owner);
    last_code::at_end(Box::new(move || {
        owner.deadlocks.own_threads.leave();
        uncount(&owner);
        standstill::check(&owner);
    }));
}

/// Counts the calling thread, which [`make`] made, as an agent until it has ended: the destructors
/// of its thread-locals may wake goroutines. Called before it is no agent otherwise.
pub(crate) fn count_to_the_end(sched: &Sched) {
    if !last_code::set_counted(true) {
        sched.deadlocks.agents.add();
    }
}

/// Takes [`count_to_the_end`] back. The caller then looks for a deadlock, or is an M.
pub(crate) fn uncount(sched: &Sched) {
    if last_code::set_counted(false) {
        sched.deadlocks.agents.remove();
    }
}

/// As [`count_to_the_end`], for a thread that counts as an agent already.
pub(crate) fn stay_counted() {
    let _was_not = last_code::set_counted(true);
}

/// Makes a thread that belongs to no runtime. On a thread of the host, which has no other to ask,
/// that thread makes it.
pub(crate) fn make_for_process(name: String, main: Main) -> io::Result<JoinHandle<()>> {
    current::with(|cx| match cx {
        Some(cx) if !is_clean(cx) => ask_maker(cx.sched(), name, main),
        _ => spawn_thread(name, main),
    })
}

/// Has the runtime's maker make it. The caller does, if there is no maker.
fn ask_maker(sched: &Sched, name: String, main: Main) -> io::Result<JoinHandle<()>> {
    // In a forked child there is none.
    if sched.generation != fork::generation() {
        return spawn_thread(name, main);
    }
    match sched.thread_maker.make(name, main) {
        Ok(made) => made,
        Err((name, main)) => spawn_thread(name, main),
    }
}

/// Makes the thread that makes threads, if there is none. Called by a thread that counts as clean.
pub(crate) fn prepare(sched: &Sched) {
    let owner = sched.arc();
    let name = || format!("{}-maker", sched.config.name);
    if let Some(maker) = sched.thread_maker.start(name, || begin(owner)) {
        keep_handle(sched, maker);
    }
}

/// True if a thread that the calling one makes finds nothing that a goroutine or the host changed.
fn is_clean(cx: &Current) -> bool {
    let m = cx.m;
    !m.is_tainted()
        && !m.is_exiting()
        && !m.locks.is_locked()
        && cx.prev().is_none()
        && !runs_its_thread(cx)
}

/// True if a goroutine runs at this place that is its thread.
fn runs_its_thread(cx: &Current) -> bool {
    // SAFETY: the running G of this thread.
    cx.g().is_some_and(|g| unsafe { running_kind(g) } == Kind::ThreadBacked)
}

/// Keeps the handle of a new thread until the thread is joined.
pub(crate) fn keep_handle(sched: &Sched, join: JoinHandle<()>) {
    grow::push(|| sched.threads_to_join.lock(), |joins| joins, join);
}
