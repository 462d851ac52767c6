//! A Java virtual machine comes into a program in which gosched is already: its handlers of faults
//! are in front of gosched's.
//!
//! The program calls `Host.work` of `hosts/foreign/Host.java`, puts gosched's handlers in front
//! again, and calls it once more.
//!
//! # Safety
//!
//! The declarations are those of `jni.h`. The virtual machine is made, and ended, by one thread.
#![expect(unsafe_code, reason = "loads and calls the virtual machine")]

use hosts::frame::Host;
use hosts::jni::{self, Env, Machine};
use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, mem, ptr};

/// `JavaVMOption`.
#[repr(C)]
struct Setting {
    text: *const c_char,
    more: *mut c_void,
}

/// `JavaVMInitArgs`.
#[repr(C)]
struct Settings {
    version: c_int,
    count: c_int,
    settings: *const Setting,
    ignore_unknown: u8,
}

type Create = unsafe extern "C" fn(*mut Machine, *mut Env, *const Settings) -> c_int;
type Destroy = unsafe extern "C" fn(Machine) -> c_int;

const VERSION_10: c_int = 0x000a_0000;
const DESTROY: usize = 3;

/// Returns the library of the `java` that would be started.
fn library() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let java = env::split_paths(&path).map(|folder| folder.join("java")).find(|it| it.exists())?;
    let library = java.canonicalize().ok()?.parent()?.parent()?.join("lib/server/libjvm.so");
    library.exists().then_some(library)
}

/// Makes the virtual machine.
fn create(library: &Path, classes: &str) -> (Machine, Env) {
    let path = CString::new(library.as_os_str().as_bytes()).expect("no zero in it");
    // SAFETY: a library that nothing else has loaded.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!library.is_null(), "{path:?} cannot be loaded");
    // SAFETY: a library that is open.
    let create = unsafe { libc::dlsym(library, c"JNI_CreateJavaVM".as_ptr()) };
    assert!(!create.is_null(), "no JNI_CreateJavaVM");
    // SAFETY: the type of this function.
    let create: Create = unsafe { mem::transmute(create) };
    let texts = [
        format!("-Djava.class.path={classes}"),
        "-Xmx64m".into(),
        "-XX:-CreateCoredumpOnCrash".into(),
    ];
    let texts = texts.map(|text| CString::new(text).expect("no zero in it"));
    let settings: Vec<Setting> =
        texts.iter().map(|text| Setting { text: text.as_ptr(), more: ptr::null_mut() }).collect();
    let all = Settings {
        version: VERSION_10,
        count: settings.len() as c_int,
        settings: settings.as_ptr(),
        ignore_unknown: 0,
    };
    let (mut machine, mut env): (Machine, Env) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: it reads the settings, and writes both.
    let made = unsafe { create(&raw mut machine, &raw mut env, &raw const all) };
    assert_eq!(made, 0, "no virtual machine");
    (machine, env)
}

fn run(host: &'static Host, library: &Path, classes: &str) {
    hosts::foreign::share(host);
    let (machine, env) = create(library, classes);
    host.has_installed_handlers();
    let faults = [libc::SIGSEGV, libc::SIGBUS];
    let behind = || gosched::signal::check().not_in_front;
    host.check(behind() == faults, "the virtual machine's handlers are not in front");
    // SAFETY: this thread's environment.
    let class = unsafe { jni::register(env) };
    // SAFETY: as above.
    let worked = unsafe { jni::work(host, env, class) };
    if worked {
        gosched::signal::reinstall().expect("seven times are allowed");
        host.has_installed_handlers();
        host.check(behind().is_empty(), "gosched's handlers are not in front");
        // SAFETY: as above.
        host.check(unsafe { jni::work(host, env, class) }, "not worked");
    }
    // SAFETY: the type of this function.
    let destroy: Destroy = unsafe { jni::function(machine, DESTROY) };
    // SAFETY: this thread has made it.
    host.check(unsafe { destroy(machine) } == 0, "the virtual machine does not end");
}

fn main() -> ExitCode {
    let (Some(classes), Some(library)) = (option_env!("HOSTS_CLASSES"), library()) else {
        return hosts::skipped("default-jdk-headless");
    };
    hosts::frame::main("jvm_later", |host| run(host, &library, classes))
}
