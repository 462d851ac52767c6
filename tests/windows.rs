//! Threads that gosched knows nothing of, on Windows: those that `CreateThread` makes, and those of
//! the system's own pool. They enter, wait inside, end, and leave nothing behind.
//!
//! # Safety
//!
//! What a thread is given outlives it: the test waits for the thread, or for all of the pool's
//! callbacks.
#![cfg(windows)]
#![expect(unsafe_code, reason = "threads of the system's")]

use std::collections::HashSet;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use gosched::callback::{Binding, Bridge};
use gosched::chan::{self, Sender};
use gosched::{Handle, JoinHandle, Mode, Runtime, goroutine};
use test_support::{death, each_mode, in_child, migratory, settled};
use windows_sys::Win32::Foundation::{
    CloseHandle, GetLastError, HANDLE, SetLastError, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::Threading::{
    CreateThread, GetCurrentThreadId, INFINITE, PTP_CALLBACK_INSTANCE, TrySubmitThreadpoolCallback,
    WaitForSingleObject,
};

const BINDINGS: [Binding; 2] = [Binding::PerCall, Binding::UntilThreadExit];

/// A number, and where its double goes.
type Request = (u64, Sender<u64>);

/// Doubles numbers until nobody asks any more. Returns how many.
fn serve(handle: &Handle) -> (Sender<Request>, JoinHandle<u64>) {
    let (ask, asked) = chan::bounded::<Request>(0);
    let server = handle.go(move || {
        let answer = |(number, reply): Request| reply.send(2 * number).expect("it is awaited");
        asked.iter().map(answer).count() as u64
    });
    (ask, server)
}

/// Enters, asks a goroutine, and waits for its answer. The thread keeps its last error.
fn call(bridge: &Bridge, ask: &Sender<Request>, number: u64) {
    let before = 10_000 + number as u32;
    // SAFETY: has no precondition.
    unsafe { SetLastError(before) };
    let answer = bridge.enter(|| {
        let (reply, replied) = chan::bounded(0);
        ask.send((number, reply)).expect("it is served");
        replied.recv().expect("it is answered")
    });
    // SAFETY: has no precondition.
    let after = unsafe { GetLastError() };
    assert_eq!((answer.expect("it enters"), after), (2 * number, before));
}

/// Runs `body` on so many threads that the system makes, and waits for their ends.
fn on_threads<F: Fn() + Sync>(number: usize, body: &F) {
    unsafe extern "system" fn main<F: Fn() + Sync>(body: *mut c_void) -> u32 {
        // SAFETY: it outlives the thread.
        let body = unsafe { &*body.cast_const().cast::<F>() };
        body();
        7
    }
    let make = |_| {
        let body = std::ptr::from_ref(body).cast();
        // SAFETY: `body` outlives the wait below.
        let thread = unsafe { CreateThread(null(), 0, Some(main::<F>), body, 0, null_mut()) };
        assert!(!thread.is_null(), "{}", std::io::Error::last_os_error());
        thread
    };
    let threads: Vec<HANDLE> = (0..number).map(make).collect();
    for thread in threads {
        // SAFETY: a handle of this function's.
        assert_eq!(unsafe { WaitForSingleObject(thread, INFINITE) }, WAIT_OBJECT_0);
        // SAFETY: as above, closed once.
        unsafe { CloseHandle(thread) };
    }
}

#[test]
fn threads_of_the_system_enter_and_wait_inside() {
    const THREADS: usize = 8;
    const CALLS: u64 = 50;
    each_mode(|rt, _| {
        for binding in BINDINGS {
            let bridge = Bridge::new(rt).with_binding(binding);
            let (ask, server) = serve(&rt.handle());
            on_threads(THREADS, &|| (0..CALLS).for_each(|number| call(&bridge, &ask, number)));
            drop(ask);
            assert_eq!(server.join().expect("no panic"), THREADS as u64 * CALLS);
        }
    });
}

/// A thread keeps its M between its calls, if it does, and gives it back when it ends. In a child:
/// the count is the process's.
#[test]
fn an_ended_thread_gives_its_m_back() {
    if let Some(output) = in_child("an_ended_thread_gives_its_m_back") {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    const THREADS: usize = 50;
    each_mode(|rt, _| {
        for binding in BINDINGS {
            let bridge = Bridge::new(rt).with_binding(binding);
            let bound = || rt.stats().bound_threads;
            for _ in 0..THREADS {
                on_threads(1, &|| {
                    bridge.enter(|| ()).expect("it enters");
                    bridge.enter(|| ()).expect("it enters again");
                    assert_eq!(bound(), usize::from(binding == Binding::UntilThreadExit));
                });
                assert_eq!(bound(), 0, "{binding:?}");
            }
        }
    });
}

/// What the pool's callbacks share.
struct Work {
    bridge: Bridge,
    ask: Sender<Request>,
    threads: Mutex<HashSet<u32>>,
    next: AtomicUsize,
    /// Each callback sends when it is about to return.
    done: std::sync::mpsc::SyncSender<()>,
}

unsafe extern "system" fn on_pool(_instance: PTP_CALLBACK_INSTANCE, work: *mut c_void) {
    // SAFETY: it outlives the callbacks.
    let work = unsafe { &*work.cast_const().cast::<Work>() };
    let number = work.next.fetch_add(1, Relaxed) as u64;
    call(&work.bridge, &work.ask, number);
    // SAFETY: has no precondition.
    let thread = unsafe { GetCurrentThreadId() };
    work.threads.lock().expect("no panic").insert(thread);
    let done = work.done.clone();
    done.send(()).expect("it is awaited");
}

#[test]
fn threads_of_the_systems_pool_enter_and_wait_inside() {
    const CALLBACKS: usize = 200;
    each_mode(|rt, _| {
        for binding in BINDINGS {
            let bridge = Bridge::new(rt).with_binding(binding);
            let (ask, server) = serve(&rt.handle());
            let (done, all_done) = std::sync::mpsc::sync_channel(CALLBACKS);
            let (threads, next) = (Mutex::default(), AtomicUsize::new(0));
            let work = Work { bridge, ask, threads, next, done };
            for _ in 0..CALLBACKS {
                let pointer = (&raw const work).cast_mut().cast();
                // SAFETY: `work` outlives the callbacks, which are counted below.
                let submitted =
                    unsafe { TrySubmitThreadpoolCallback(Some(on_pool), pointer, null()) };
                assert_ne!(submitted, 0, "{}", std::io::Error::last_os_error());
            }
            (0..CALLBACKS).for_each(|_| all_done.recv().expect("they come"));
            // SAFETY: has no precondition.
            let own = unsafe { GetCurrentThreadId() };
            assert!(!work.threads.lock().expect("no panic").contains(&own));
            let Work { ask, .. } = work;
            drop(ask);
            assert_eq!(server.join().expect("no panic"), CALLBACKS as u64);
        }
    });
}

/// Uses up the stack, whatever its size.
#[inline(never)]
fn run_over(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { run_over(depth + 1) + frame[depth as usize % 64] }
}

/// Dies of an overflow, and says whose. Not in `Mode::threads`: Wine keeps one page of a thread's
/// stack for handlers, whatever the thread asks for.
fn dies_of_an_overflow(name: &str, mode: Mode) {
    let Some(output) = in_child(name) else {
        let runtime = Runtime::builder(mode).build().expect("a runtime");
        let goroutine = goroutine::Builder::new().name("deep");
        runtime.run(|| goroutine.go(|| run_over(0)).join()).expect("it does not end");
        return;
    };
    let (signal, said) = death(&output);
    assert_eq!(signal, Some(libc::SIGABRT), "{:?} {said}", output.status);
    assert!(
        said.contains("has overflowed its stack of ") && said.contains("called deep"),
        "{said}"
    );
}

#[test]
fn an_overflow_of_a_settled_goroutine_is_told() {
    dies_of_an_overflow("an_overflow_of_a_settled_goroutine_is_told", settled());
}

#[test]
fn an_overflow_of_a_migratory_goroutine_is_told() {
    dies_of_an_overflow("an_overflow_of_a_migratory_goroutine_is_told", migratory());
}

/// A fault that is no overflow ends the process as ever.
#[test]
fn another_fault_in_a_goroutine_is_left_to_the_system() {
    let name = "another_fault_in_a_goroutine_is_left_to_the_system";
    let Some(output) = in_child(name) else {
        let runtime = Runtime::builder(settled()).build().expect("a runtime");
        // SAFETY: none; the fault ends the process here, which is what the parent waits for.
        runtime.run(|| unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) });
        return;
    };
    let (signal, said) = death(&output);
    assert_eq!(signal, Some(libc::SIGSEGV), "{:?} {said}", output.status);
    assert!(!said.contains("gosched: "), "{said}");
}
