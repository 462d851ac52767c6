//! SDL2 plays to its dummy driver: a real-time thread of its own calls for samples.
//!
//! The thread asks for a real-time priority at its first call. In every call it posts the number of
//! the buffer to a goroutine by a mailbox, as an audio callback should. In every fourth call it
//! goes in and waits, as none should.
//!
//! # Safety
//!
//! The declarations are those of `SDL_audio.h`. The device is closed before the host ends.
#![expect(unsafe_code, reason = "calls into SDL")]
#![cfg_attr(not(host = "sdl_audio"), expect(dead_code, reason = "SDL is not installed"))]

use gosched::callback::{Binding, Mailbox};
use hosts::frame::Host;
use hosts::state;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

type OnBuffer = unsafe extern "C" fn(*mut c_void, *mut u8, c_int);

/// `SDL_AudioSpec`.
#[repr(C)]
struct Spec {
    frequency: c_int,
    format: u16,
    channels: u8,
    silence: u8,
    samples: u16,
    padding: u16,
    size: u32,
    call: OnBuffer,
    user: *mut c_void,
}

#[cfg_attr(host = "sdl_audio", link(name = "SDL2"))]
unsafe extern "C" {
    fn SDL_AudioInit(driver: *const c_char) -> c_int;
    fn SDL_OpenAudioDevice(
        name: *const c_char,
        capture: c_int,
        wanted: *const Spec,
        got: *mut Spec,
        changes: c_int,
    ) -> u32;
    fn SDL_PauseAudioDevice(device: u32, pause: c_int);
    fn SDL_CloseAudioDevice(device: u32);
    fn SDL_AudioQuit();
}

const U8: u16 = 8;
/// A buffer lasts for 1.3 ms.
const RATE: c_int = 48_000;
const SAMPLES: u16 = 64;
const BUFFERS: i64 = 300;

struct Shared {
    host: &'static Host,
    mailbox: Mailbox<i64>,
    buffers: AtomicI64,
    posted: AtomicI64,
}

unsafe extern "C" fn on_buffer(user: *mut c_void, samples: *mut u8, size: c_int) {
    // SAFETY: the value of `run`, which is there until the device is closed.
    let shared = unsafe { &*user.cast::<Shared>() };
    // SAFETY: the buffer of this call.
    unsafe { samples.write_bytes(128, size as usize) };
    let n = shared.buffers.fetch_add(1, Relaxed) + 1;
    if n == 1 {
        become_real_time();
    }
    // A post changes nothing on the thread, whatever the binding.
    if state::around(Binding::PerCall, || shared.mailbox.post(n)).is_ok() {
        shared.posted.fetch_add(n, Relaxed);
    }
    if n % 4 == 0 {
        shared.host.call(n);
    }
}

/// Where it is allowed.
fn become_real_time() {
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: the thread's own.
    let own = unsafe { libc::pthread_self() };
    // SAFETY: this thread.
    unsafe { libc::pthread_setschedparam(own, libc::SCHED_FIFO, &raw const priority) };
}

fn run(host: &'static Host) {
    let (mailbox, mut received) = Mailbox::bounded(64).expect("a mailbox");
    let listener = host.handle().go(move || {
        let mut sum = 0;
        while let Ok(n) = received.recv() {
            sum += n;
        }
        sum
    });
    let zero = || AtomicI64::new(0);
    let shared = Shared { host, mailbox, buffers: zero(), posted: zero() };
    // SAFETY: the name of a driver that every SDL has.
    assert_eq!(unsafe { SDL_AudioInit(c"dummy".as_ptr()) }, 0);
    let spec = Spec {
        frequency: RATE,
        format: U8,
        channels: 1,
        silence: 0,
        samples: SAMPLES,
        padding: 0,
        size: 0,
        call: on_buffer,
        user: (&raw const shared).cast_mut().cast(),
    };
    // SAFETY: `shared` is there until the device is closed.
    let device = unsafe { SDL_OpenAudioDevice(null(), 0, &raw const spec, null_mut(), 0) };
    assert_ne!(device, 0, "no device");
    // SAFETY: it is open.
    unsafe { SDL_PauseAudioDevice(device, 0) };
    while shared.buffers.load(Relaxed) < BUFFERS {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // SAFETY: it is open. Its thread is joined.
    unsafe { SDL_CloseAudioDevice(device) };
    // SAFETY: no device is open.
    unsafe { SDL_AudioQuit() };
    let Shared { mailbox, posted, .. } = shared;
    drop(mailbox); // The receiver hears of it.
    let (sum, posted) = (listener.join().expect("no panic"), posted.into_inner());
    host.check(sum == posted && sum > 0, format_args!("received {sum} of {posted}"));
}

hosts::host!("sdl_audio", "libsdl2-dev", run);
