//! GLib: a thread pool and a main loop call closures, which get their user data last.
//!
//! The pool's threads are bound or not as GLib likes: an idle one waits for another pool, or ends.
//! What a closure asks is answered on a pool thread; then it adds a source to the main loop, which
//! calls back on the first thread.
//!
//! # Safety
//!
//! The declarations are those of GLib's headers. The loop ends after the last source.
#![expect(unsafe_code, reason = "calls into GLib")]
#![cfg_attr(not(host = "glib"), expect(dead_code, reason = "GLib is not installed"))]

use gosched::callback::Callback;
use hosts::frame::Host;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

type OnItem = unsafe extern "C" fn(*mut c_void, *mut c_void);
type OnIdle = unsafe extern "C" fn(*mut c_void) -> c_int;

#[cfg_attr(host = "glib", link(name = "glib-2.0"))]
unsafe extern "C" {
    fn g_thread_pool_new(
        call: OnItem,
        user: *mut c_void,
        threads: c_int,
        exclusive: c_int,
        error: *mut *mut c_void,
    ) -> *mut c_void;
    fn g_thread_pool_push(pool: *mut c_void, item: *mut c_void, error: *mut *mut c_void) -> c_int;
    fn g_thread_pool_free(pool: *mut c_void, at_once: c_int, wait: c_int);
    fn g_main_loop_new(context: *mut c_void, running: c_int) -> *mut c_void;
    fn g_main_loop_run(main_loop: *mut c_void);
    fn g_main_loop_quit(main_loop: *mut c_void);
    fn g_main_loop_unref(main_loop: *mut c_void);
    fn g_idle_add(call: OnIdle, user: *mut c_void) -> c_uint;
}

const ITEMS: usize = 1000;

/// A pointer that any thread may use, as GLib's functions allow.
#[derive(Clone, Copy)]
struct Shared(*mut c_void);
// SAFETY: GLib locks its pools and loops.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(self) -> *mut c_void {
        self.0
    }
}

/// What the pool calls; GLib has one signature for all of them.
struct Work {
    host: &'static Host,
    item: Callback<fn(*mut c_void) -> ()>,
}

unsafe extern "C" fn on_item(item: *mut c_void, user: *mut c_void) {
    // SAFETY: the user data of the pool, which is freed before.
    let work = unsafe { &*user.cast::<Work>() };
    let call = work.item.with_data_last();
    // SAFETY: the function and the user data of one callback.
    work.host.around(|| unsafe { call(item, work.item.user_data()) });
}

fn run(host: &'static Host) {
    // SAFETY: the default context.
    let main_loop = Shared(unsafe { g_main_loop_new(null_mut(), 0) });
    let left = Arc::new(AtomicI64::new(ITEMS as i64));
    // The sources of the loop: one call each.
    let idle = host.callback::<fn() -> c_int, _>(0, move || {
        let n = left.fetch_sub(1, Relaxed);
        host.account(n, host.ask(n));
        if n == 1 {
            // SAFETY: it runs.
            unsafe { g_main_loop_quit(main_loop.get()) };
        }
        0
    });
    let (source, data) = (idle.with_data_first(), Shared(idle.user_data()));
    let item = host.callback::<fn(*mut c_void) -> (), _>((), move |item: *mut c_void| {
        let n = item.addr() as i64;
        host.account(n, host.ask(n));
        // SAFETY: the callback is there until the loop has ended.
        unsafe { g_idle_add(source, data.get()) };
    });
    let work = Work { host, item };
    let user = (&raw const work).cast_mut().cast();
    // SAFETY: `work` is there until the pool is freed.
    let pool = unsafe { g_thread_pool_new(on_item, user, 3, 0, null_mut()) };
    for n in 1..=ITEMS {
        // SAFETY: the item is a number, and no null.
        unsafe { g_thread_pool_push(pool, without_provenance_mut(n), null_mut()) };
    }
    // SAFETY: this thread's loop.
    unsafe { g_main_loop_run(main_loop.get()) };
    // SAFETY: all is done; it waits for its threads.
    unsafe { g_thread_pool_free(pool, 0, 1) };
    // SAFETY: it has ended.
    unsafe { g_main_loop_unref(main_loop.get()) };
    host.check(host.callbacks() == 2 * ITEMS as u64, "not two callbacks for each item");
}

hosts::host!("glib", "libglib2.0-dev", run);
