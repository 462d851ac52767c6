//! libfuse3: reads of a file are callbacks on threads of a file server.
//!
//! The server is `hosts/c/fuse.c`; its threads are cancelled at the end. Clients are plain threads
//! of the same process. Where `/dev/fuse` cannot be used, the host is skipped.
//!
//! # Safety
//!
//! The declarations are those of the C file. The file system is unmounted before the host ends.
#![expect(unsafe_code, reason = "calls into C")]
#![cfg_attr(not(host = "fuse"), expect(dead_code, reason = "libfuse3 is not installed"))]

use hosts::frame::Host;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io, process};

type Call = unsafe extern "C" fn(i64, *mut c_void) -> i64;

#[cfg_attr(host = "fuse", link(name = "fuse3"))]
unsafe extern "C" {
    fn host_fuse_mount(path: *const c_char, count: i64, call: Call, user: *mut c_void) -> c_int;
    fn host_fuse_serve() -> c_int;
    fn host_fuse_unmount();
    fn host_fuse_free();
}

const NUMBERS: i64 = 400;
const CLIENTS: usize = 4;

unsafe extern "C" fn on_read(value: i64, user: *mut c_void) -> i64 {
    // SAFETY: the host of `run`.
    let host = unsafe { &*user.cast::<Host>() };
    host.call(value)
}

/// Reads every number of the file, one by one, and returns their sum.
fn client(file: &Path) -> io::Result<i64> {
    let file = File::open(file)?;
    (0..NUMBERS)
        .map(|place| {
            let mut number = [0; 8];
            file.read_exact_at(&mut number, place as u64 * 8)?;
            Ok(i64::from_ne_bytes(number))
        })
        .sum()
}

fn run(host: &'static Host) {
    let folder = env::temp_dir().join(format!("gosched-hosts-{}", process::id()));
    fs::create_dir(&folder).expect("a new folder");
    let path = CString::new(folder.as_os_str().as_bytes()).expect("no zero in it");
    let user = std::ptr::from_ref(host).cast_mut().cast();
    // SAFETY: `host` is there for good.
    let mounted = unsafe { host_fuse_mount(path.as_ptr(), NUMBERS, on_read, user) };
    assert_eq!(mounted, 0, "not mounted");
    // SAFETY: it is mounted.
    let server = std::thread::spawn(|| unsafe { host_fuse_serve() });
    let file = folder.join("numbers");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let file = file.clone();
            std::thread::spawn(move || client(&file))
        })
        .collect();
    let sums: Vec<_> = clients.into_iter().map(|client| client.join().expect("no panic")).collect();
    // SAFETY: it is mounted, and no client is left.
    unsafe { host_fuse_unmount() };
    let served = server.join().expect("no panic");
    // SAFETY: the loop has ended.
    unsafe { host_fuse_free() };
    fs::remove_dir(&folder).expect("an empty folder");
    host.check(served >= 0, format_args!("the loop ended with {served}"));
    for sum in sums {
        host.check(matches!(sum, Ok(sum) if sum == NUMBERS * NUMBERS), format_args!("{sum:?}"));
    }
    let wanted = CLIENTS as u64 * NUMBERS as u64;
    host.check(host.callbacks() == wanted, format_args!("{} callbacks", host.callbacks()));
}

fn main() -> ExitCode {
    let device = File::options().read(true).write(true).open("/dev/fuse");
    if cfg!(host = "fuse") && device.is_err() {
        return hosts::skipped("a usable /dev/fuse");
    }
    served()
}

#[cfg(host = "fuse")]
fn served() -> ExitCode {
    hosts::frame::main("fuse", run)
}

#[cfg(not(host = "fuse"))]
fn served() -> ExitCode {
    hosts::skipped("libfuse3-dev")
}
