//! libuv: the threads of its pool call back, and goroutines wake its loop.
//!
//! Work is done in callbacks on the pool; the loop's thread enters in the second half. A goroutine
//! that is no callback of libuv's sends to the loop by `uv_async_send`, and the loop asks it.
//!
//! # Safety
//!
//! The declarations are those of `uv.h`. Requests and handles begin with the user's pointer, and
//! stay where they are until they are done.
#![expect(unsafe_code, reason = "calls into libuv")]
#![cfg_attr(not(host = "libuv"), expect(dead_code, reason = "libuv is not installed"))]

use hosts::frame::Host;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

type OnWork = unsafe extern "C" fn(*mut Request);
type OnDone = unsafe extern "C" fn(*mut Request, c_int);
type OnHandle = unsafe extern "C" fn(*mut Request);

#[cfg_attr(host = "libuv", link(name = "uv"))]
unsafe extern "C" {
    safe fn uv_loop_size() -> usize;
    safe fn uv_req_size(kind: c_int) -> usize;
    safe fn uv_handle_size(kind: c_int) -> usize;
    fn uv_loop_init(it: *mut c_void) -> c_int;
    fn uv_loop_close(it: *mut c_void) -> c_int;
    fn uv_run(it: *mut c_void, mode: c_int) -> c_int;
    fn uv_queue_work(it: *mut c_void, request: *mut Request, f: OnWork, done: OnDone) -> c_int;
    fn uv_async_init(it: *mut c_void, handle: *mut Request, f: OnHandle) -> c_int;
    fn uv_async_send(handle: *mut Request) -> c_int;
    fn uv_close(handle: *mut Request, closed: Option<OnHandle>);
}

const ASYNC: c_int = 1;
const WORK: c_int = 7;

/// A request or a handle: room for either, the user's pointer first.
#[repr(C, align(16))]
struct Request {
    data: *const c_void,
    room: [u8; 496],
}

impl Request {
    fn new(job: &Job) -> Box<Self> {
        Box::new(Self { data: std::ptr::from_ref(job).cast(), room: [0; 496] })
    }

    /// # Safety
    ///
    /// A request or a handle of `run`.
    unsafe fn job<'a>(request: *mut Self) -> &'a Job {
        // SAFETY: as the caller says.
        let data = unsafe { (*request).data };
        // SAFETY: the job is there for longer than the request.
        unsafe { &*data.cast() }
    }
}

/// What a request asks.
struct Job {
    host: &'static Host,
    value: i64,
    /// Calls of either half.
    done: AtomicI64,
    /// How often the handle was sent. Counted and sent under the lock: whoever finds the last has
    /// seen it sent.
    sent: Mutex<i64>,
}

impl Job {
    fn new(host: &'static Host, value: i64) -> Self {
        Self { host, value, done: AtomicI64::new(0), sent: Mutex::new(0) }
    }
}

const JOBS: i64 = 500;
const SENDS: i64 = 100;

/// The first half, on a thread of the pool.
unsafe extern "C" fn on_pool(request: *mut Request) {
    // SAFETY: a request of `run`.
    let job = unsafe { Request::job(request) };
    job.host.call(job.value);
    job.done.fetch_add(1, Relaxed);
}

/// The second half, on the loop's thread.
unsafe extern "C" fn on_loop(request: *mut Request, _status: c_int) {
    // SAFETY: as above.
    unsafe { on_pool(request) };
}

/// On the loop's thread, once or more for each time that it was sent. Ends at the last.
unsafe extern "C" fn on_sent(handle: *mut Request) {
    // SAFETY: the handle of `run`.
    let job = unsafe { Request::job(handle) };
    job.host.call(job.value);
    if *job.sent.lock().expect("no panic under it") == SENDS {
        // SAFETY: it is open, and nobody sends any more.
        unsafe { uv_close(handle, None) };
    }
}

struct Handle(*mut Request);
// SAFETY: `uv_async_send` may be called from any thread.
unsafe impl Send for Handle {}

impl Handle {
    fn send(&self, job: &Job) {
        let mut sent = job.sent.lock().expect("no panic under it");
        *sent += 1;
        // SAFETY: it is open until the last was sent.
        unsafe { uv_async_send(self.0) };
    }
}

fn run(host: &'static Host) {
    assert!(uv_req_size(WORK) <= size_of::<Request>(), "a request is larger");
    assert!(uv_handle_size(ASYNC) <= size_of::<Request>(), "a handle is larger");
    let mut room = vec![0_u128; uv_loop_size().div_ceil(16)];
    let it: *mut c_void = room.as_mut_ptr().cast();
    // SAFETY: there is room for it.
    assert_eq!(unsafe { uv_loop_init(it) }, 0);

    let jobs: Vec<Job> = (0..JOBS).map(|value| Job::new(host, value)).collect();
    let mut requests: Vec<Box<Request>> = jobs.iter().map(Request::new).collect();
    for request in &mut requests {
        // SAFETY: the request stays until the loop has ended.
        assert_eq!(unsafe { uv_queue_work(it, &raw mut **request, on_pool, on_loop) }, 0);
    }
    let sent: &'static Job = Box::leak(Box::new(Job::new(host, 7)));
    let mut handle = Request::new(sent);
    // SAFETY: the handle stays until the loop has ended.
    assert_eq!(unsafe { uv_async_init(it, &raw mut *handle, on_sent) }, 0);
    let sender = Handle(&raw mut *handle);
    let goroutine = host.handle().go(move || {
        for _ in 0..SENDS {
            gosched::time::sleep(Duration::from_micros(100));
            sender.send(sent);
        }
    });
    // SAFETY: this thread's loop. It ends when nothing is left.
    assert_eq!(unsafe { uv_run(it, 0) }, 0);
    goroutine.join().expect("no panic");
    // SAFETY: it has ended.
    assert_eq!(unsafe { uv_loop_close(it) }, 0);
    host.check(jobs.iter().all(|job| job.done.load(Relaxed) == 2), "not two halves of each");
}

hosts::host!("libuv", "libuv1-dev", run);
