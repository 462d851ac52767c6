//! How a process dies, and how it does not. A stack overflow names its goroutine. Any other fault
//! goes to the handler that would have had it without gosched.
//!
//! # Safety
//!
//! The tests are about the faults below. Each fault happens in a child process. Handlers write to
//! descriptor 2, change a page's protection, or end the process: all async-signal-safe.
#![expect(unsafe_code, reason = "faults, and handlers for them")]

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::mem::{MaybeUninit, transmute};
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use c_side::thread::{Plan, overflow_stack};
use gosched::callback::{Binding, Bridge};
use gosched::{Mode, Runtime, goroutine};
use gosched_runtime_sys::thread::current_stack_bounds;
use test_support::{death, in_child, in_child_with, migratory, settled};

const STACK: usize = 128 * 1024;

fn runtime(mode: Mode) -> Runtime {
    Runtime::builder(mode).procs(2).stack_size(STACK).build().expect("a runtime")
}

/// Recursion in Rust, with 512 bytes and more for each call, and work left after each call.
#[inline(never)]
fn overflow_in_rust(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == u64::MAX {
        return 0;
    }
    overflow_in_rust(depth + 1) + black_box(frame)[(depth % 64) as usize]
}

/// Announces the goroutine and the stack, and overflows it.
fn overflow(size: usize, run_over: impl FnOnce()) {
    eprintln!(
        "expected: goroutine {} has overflowed its stack of {size} bytes",
        goroutine::current_id().expect("one")
    );
    run_over();
}

/// Does so on the stack of a thread that is not ours: nobody has asked for its size.
fn overflow_foreign(run_over: impl FnOnce()) {
    let id = goroutine::current_id().expect("one");
    eprintln!("expected: goroutine {id} has overflowed its stack");
    run_over();
}

/// Does so on the stack of a thread that the runtime made.
fn overflow_thread(run_over: impl FnOnce()) {
    let bounds = current_stack_bounds().expect("the system tells");
    overflow(bounds.high - bounds.low, run_over);
}

fn in_rust() {
    black_box(overflow_in_rust(0));
}

fn in_c() {
    black_box(overflow_stack());
}

/// Asserts that the child died of SIGABRT, with a line of gosched that says what the child
/// announced.
#[track_caller]
fn overflows(name: &str, body: impl FnOnce()) {
    let Some(output) = in_child(name) else {
        body();
        unreachable!("the stack has an end");
    };
    let (signal, stderr) = death(&output);
    assert_eq!(signal, Some(libc::SIGABRT), "{stderr}");
    let line = stderr.lines().find_map(|line| line.strip_prefix("expected: "));
    let ours =
        format!("gosched: {}", line.unwrap_or_else(|| panic!("it did not come to it: {stderr}")));
    assert!(stderr.lines().any(|line| line.starts_with(&ours)), "no `{ours}`: {stderr}");
}

#[test]
fn overflow_in_a_settled_goroutine() {
    overflows("overflow_in_a_settled_goroutine", || {
        let _died = runtime(settled()).handle().go(|| overflow(STACK, in_rust)).join();
    });
}

#[test]
fn overflow_in_c_on_a_goroutines_stack() {
    overflows("overflow_in_c_on_a_goroutines_stack", || {
        let _died = runtime(settled()).handle().go(|| overflow(STACK, in_c)).join();
    });
}

/// A frame of a megabyte, larger than the stack and its guard: it is touched in order, so the guard
/// is not stepped over.
#[inline(never)]
fn large_frame() {
    let frame = black_box([1_u8; 1 << 20]);
    black_box(&frame);
}

#[test]
fn overflow_by_one_large_frame() {
    overflows("overflow_by_one_large_frame", || {
        let _died = runtime(settled()).handle().go(|| overflow(STACK, large_frame)).join();
    });
}

#[test]
fn overflow_by_one_large_frame_in_a_migratory_goroutine() {
    overflows("overflow_by_one_large_frame_in_a_migratory_goroutine", || {
        let _died = runtime(migratory()).handle().go(|| overflow(STACK, large_frame)).join();
    });
}

/// The thread's stack overflows, and not the goroutine's own.
#[test]
fn overflow_on_the_threads_stack() {
    overflows("overflow_on_the_threads_stack", || {
        let rt = runtime(settled());
        let goroutine = rt.handle().go(|| gosched::on_thread_stack(|| overflow_thread(in_rust)));
        let _died = goroutine.join();
    });
}

#[test]
fn overflow_in_c_on_the_threads_stack() {
    overflows("overflow_in_c_on_the_threads_stack", || {
        runtime(settled()).run(|| gosched::on_thread_stack(|| overflow_foreign(in_c)));
    });
}

#[test]
fn the_report_says_where_the_goroutine_was_made_and_what_helps() {
    let Some(output) = in_child("the_report_says_where_the_goroutine_was_made_and_what_helps")
    else {
        let rt = runtime(settled());
        let builder = goroutine::Builder::new().name("the deep one").runtime(&rt.handle());
        eprintln!("expected: tests/crash.rs:{}", line!() + 1);
        let _died = builder.go(in_rust).join();
        unreachable!("the stack has an end");
    };
    let (signal, stderr) = death(&output);
    assert_eq!(signal, Some(libc::SIGABRT), "{stderr}");
    let place =
        stderr.lines().find_map(|line| line.strip_prefix("expected: ")).expect("it came to it");
    assert!(stderr.contains(&format!("\n  called the deep one\n  made at {place}\n")), "{stderr}");
    assert!(
        stderr.contains("Builder::stack_size") && stderr.contains("on_thread_stack"),
        "{stderr}"
    );
}

#[test]
fn the_report_names_a_goroutine_that_is_a_thread() {
    let Some(output) = in_child("the_report_names_a_goroutine_that_is_a_thread") else {
        let rt = runtime(settled());
        let builder =
            goroutine::Builder::new().name("the deep one").own_thread().runtime(&rt.handle());
        eprintln!("expected: tests/crash.rs:{}", line!() + 1);
        let _died = builder.go(|| overflow_thread(in_rust)).join();
        unreachable!("the stack has an end");
    };
    let (signal, stderr) = death(&output);
    assert_eq!(signal, Some(libc::SIGABRT), "{stderr}");
    let mut expected = stderr.lines().filter_map(|line| line.strip_prefix("expected: "));
    let (place, what) =
        (expected.next().expect("it came to it"), expected.next().expect("it came to it"));
    let report =
        format!("gosched: {what}\n  called the deep one\n  made at {place}\n  it is its thread's");
    assert!(stderr.contains(&report), "no {report}: {stderr}");
}

/// The child's guards are those of a kernel before 6.13.
#[test]
fn overflow_where_guards_take_mappings() {
    let name = "overflow_where_guards_take_mappings";
    let Some(output) = in_child_with(name, &[("GOSCHED_STACK_GUARDS", "closed")]) else {
        let rt = runtime(settled());
        assert!(!rt.stack_stats().light_guards);
        let _died = rt.handle().go(in_c).join();
        unreachable!("the stack has an end");
    };
    let (signal, stderr) = death(&output);
    assert_eq!(signal, Some(libc::SIGABRT), "{stderr}");
    assert!(stderr.contains(&format!("has overflowed its stack of {STACK} bytes")), "{stderr}");
}

#[test]
fn overflow_in_a_migratory_goroutine() {
    overflows("overflow_in_a_migratory_goroutine", || {
        let _died = runtime(migratory()).handle().go(|| overflow(STACK, in_rust)).join();
    });
}

#[test]
fn overflow_in_a_goroutine_that_is_a_thread() {
    overflows("overflow_in_a_goroutine_that_is_a_thread", || {
        let _died = runtime(Mode::threads()).handle().go(|| overflow_thread(in_rust)).join();
    });
}

#[test]
fn overflow_in_the_root_goroutine_on_the_main_thread() {
    overflows("overflow_in_the_root_goroutine_on_the_main_thread", || {
        runtime(settled()).run(|| overflow(STACK, in_rust));
    });
}

#[test]
fn overflow_in_the_root_goroutine_that_is_the_main_thread() {
    overflows("overflow_in_the_root_goroutine_that_is_the_main_thread", || {
        runtime(Mode::threads()).run(|| overflow_foreign(in_rust));
    });
}

/// A callback on a thread that C made.
fn callback_on_c_thread(binding: Binding, body: fn()) {
    let rt = runtime(settled());
    let bridge = Bridge::new(&rt).with_binding(binding);
    let plan = Plan { calls: 2, ..Plan::default() };
    c_side::thread::run(plan, |index| {
        // The first call binds the thread, with the binding that does so. The second call is the
        // test.
        bridge
            .enter(|| {
                if index == 1 {
                    body()
                }
            })
            .map_or(-1, |()| 0)
    })
    .expect("a thread");
}

#[test]
fn overflow_in_rust_in_a_per_call_callback() {
    overflows("overflow_in_rust_in_a_per_call_callback", || {
        callback_on_c_thread(Binding::PerCall, || overflow_foreign(in_rust));
    });
}

#[test]
fn overflow_in_c_in_a_per_call_callback() {
    overflows("overflow_in_c_in_a_per_call_callback", || {
        callback_on_c_thread(Binding::PerCall, || overflow_foreign(in_c));
    });
}

#[test]
fn overflow_in_rust_in_a_callback_on_a_bound_thread() {
    overflows("overflow_in_rust_in_a_callback_on_a_bound_thread", || {
        callback_on_c_thread(Binding::UntilThreadExit, || overflow_foreign(in_rust));
    });
}

#[test]
fn overflow_in_c_in_a_callback_on_a_bound_thread() {
    overflows("overflow_in_c_in_a_callback_on_a_bound_thread", || {
        callback_on_c_thread(Binding::UntilThreadExit, || overflow_foreign(in_c));
    });
}

#[test]
fn overflow_in_a_callback_on_a_std_thread_of_two_megabytes() {
    overflows("overflow_in_a_callback_on_a_std_thread_of_two_megabytes", || {
        let rt = runtime(settled());
        let bridge = Bridge::new(&rt);
        let enters = move || {
            let bounds = current_stack_bounds().expect("the system tells");
            assert!((bounds.high - bounds.low).abs_diff(2 << 20) < 64 << 10, "{bounds:?}");
            let _died = bridge.enter(|| overflow_foreign(in_rust));
        };
        let thread =
            std::thread::Builder::new().stack_size(2 << 20).spawn(enters).expect("a thread");
        let _died = thread.join();
    });
}

/// Above a frame of C, on a goroutine's stack: the stack is still the goroutine's.
#[test]
fn overflow_in_a_callback_on_a_goroutines_stack() {
    overflows("overflow_in_a_callback_on_a_goroutines_stack", || {
        let rt = runtime(settled());
        let bridge = Bridge::new(&rt);
        let goroutine = rt.handle().go(move || {
            let _died = c_side::thread::through_c(|| bridge.enter(|| overflow(STACK, in_rust)));
        });
        let _died = goroutine.join();
    });
}

/// Two runtimes on one thread: the stack is the outer goroutine's.
#[test]
fn overflow_in_a_callback_of_another_runtime() {
    overflows("overflow_in_a_callback_of_another_runtime", || {
        let (one, other) = (runtime(settled()), runtime(Mode::threads()));
        let bridge = Bridge::new(&other);
        let goroutine = one.handle().go(move || {
            overflow(STACK, || {
                let _died = bridge.enter(in_rust);
            });
        });
        let _died = goroutine.join();
    });
}

#[test]
fn overflow_in_a_callback_of_another_runtime_on_a_migratory_goroutine() {
    overflows("overflow_in_a_callback_of_another_runtime_on_a_migratory_goroutine", || {
        let (one, other) = (runtime(migratory()), runtime(settled()));
        let bridge = Bridge::new(&other).with_binding(Binding::PerCall);
        let goroutine = one.handle().go(move || {
            overflow(STACK, || {
                let _died = c_side::thread::through_c(|| bridge.enter(in_c));
            });
        });
        let _died = goroutine.join();
    });
}

/// A thread that is nothing of ours keeps the message that std has for it.
#[test]
fn overflow_outside_is_stds_affair() {
    let Some(output) = in_child("overflow_outside_is_stds_affair") else {
        let rt = runtime(settled());
        rt.run(|| ());
        let thread = std::thread::Builder::new()
            .name("outsider".to_owned())
            .spawn(in_rust)
            .expect("a thread");
        let _died = thread.join();
        unreachable!("the stack has an end");
    };
    let (signal, stderr) = death(&output);
    assert_eq!(signal, Some(libc::SIGABRT), "{stderr}");
    assert!(
        stderr.contains("thread 'outsider'") && stderr.contains("overflowed its stack"),
        "{stderr}"
    );
    assert!(!stderr.contains("gosched:"), "{stderr}");
}

/// Returns a page that no thread may access.
fn forbidden() -> *mut u64 {
    let (access, kind) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping.
    let page = unsafe { libc::mmap(null_mut(), 4096, access, kind, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    page.cast()
}

/// Reads an invalid address: near null, or a forbidden page.
fn fault(address: *const u64) -> u64 {
    // SAFETY: none; this is the fault that the test is about.
    unsafe { address.read_volatile() }
}

fn fault_near_null() {
    black_box(fault(std::ptr::without_provenance(64)));
}

fn fault_on_a_page() {
    black_box(fault(forbidden()));
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// Installs a handler as a host would. Returns the action before.
fn install(handler: Handler) -> libc::sigaction {
    let zeroed = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeroes is an action.
    let mut action = unsafe { zeroed.assume_init() };
    // SAFETY: likewise.
    let mut before = unsafe { zeroed.assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: both are live, and the handlers of this file are async-signal-safe.
    assert_eq!(unsafe { libc::sigaction(libc::SIGSEGV, &action, &mut before) }, 0);
    before
}

fn say(text: &str) {
    // SAFETY: a live buffer.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// Ends the process its own way.
extern "C" fn host(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: what a handler gets.
    let info = unsafe { &*info };
    if signal == libc::SIGSEGV && info.si_signo == signal && info.si_code > 0 {
        say("the host's handler\n");
        c_side::thread::exit_process(42);
    }
}

/// A function that runs its argument in some place.
type Place = fn(fn());

/// The places of faults: in goroutines of every kind, in callbacks, and outside of both.
const PLACES: [Place; 7] = [
    |fault| drop(runtime(settled()).handle().go(fault).join()),
    |fault| drop(runtime(migratory()).handle().go(fault).join()),
    |fault| drop(runtime(Mode::threads()).handle().go(fault).join()),
    |fault| runtime(settled()).run(fault),
    |fault| callback_on_c_thread(Binding::PerCall, fault),
    |fault| callback_on_c_thread(Binding::UntilThreadExit, fault),
    |fault| {
        runtime(settled()).run(|| ());
        std::thread::spawn(fault).join().expect("it dies before");
    },
];

/// The place in which the child shall fault. One test has many children, and each gets the
/// variable.
const PLACE: &str = "GOSCHED_TEST_PLACE";

/// Runs the calling test in a child for every place and both faults. `judge` checks each.
fn faults_everywhere(name: &str, prepare: fn(), judge: fn(Option<i32>, Option<i32>, &str)) {
    let faults: [fn(); 2] = [fault_near_null, fault_on_a_page];
    if let Some(case) = std::env::var_os(PLACE) {
        let case: usize = case.to_str().and_then(|case| case.parse().ok()).expect("a number");
        prepare();
        PLACES[case / 2](faults[case % 2]);
        unreachable!("nobody may read there");
    }
    for case in 0..2 * PLACES.len() {
        let exe = std::env::current_exe().expect("the test binary");
        let mut child = std::process::Command::new(exe);
        child
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(PLACE, case.to_string());
        let output = child.output().expect("a child process");
        let (signal, stderr) = death(&output);
        eprintln!("case {case}: {:?}, signal {signal:?}", output.status.code());
        judge(output.status.code(), signal, &stderr);
        assert!(!stderr.contains("gosched:"), "{stderr}");
    }
}

#[test]
fn a_fault_that_is_not_ours_reaches_the_handler_that_was_there_before() {
    let name = "a_fault_that_is_not_ours_reaches_the_handler_that_was_there_before";
    let prepare = || {
        install(host);
    };
    faults_everywhere(name, prepare, |code, _, stderr| {
        assert_eq!(code, Some(42), "{stderr}");
        assert_eq!(stderr.matches("the host's handler").count(), 1, "{stderr}");
    });
}

#[test]
fn a_fault_that_is_nobodys_kills_by_its_signal() {
    faults_everywhere(
        "a_fault_that_is_nobodys_kills_by_its_signal",
        || (),
        |_, signal, stderr| {
            assert_eq!(signal, Some(libc::SIGSEGV), "{stderr}");
        },
    );
}

static PAGE: AtomicPtr<u64> = AtomicPtr::new(null_mut());
static MENDED: AtomicUsize = AtomicUsize::new(0);

/// Does what a garbage collector does: opens the page and lets the program go on.
extern "C" fn mend(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    let page = PAGE.load(Relaxed);
    // SAFETY: what a handler gets.
    let info = unsafe { &*info };
    // SAFETY: the kernel raised it, so there is an address.
    let at = unsafe { info.si_addr() };
    if at.addr() != page.addr() {
        c_side::thread::exit_process(43);
    }
    MENDED.fetch_add(1, Relaxed);
    // SAFETY: the test's own page.
    unsafe { libc::mprotect(page.cast(), 4096, libc::PROT_READ | libc::PROT_WRITE) };
}

#[test]
fn a_host_may_mend_a_fault_and_the_goroutine_goes_on() {
    let Some(output) = in_child("a_host_may_mend_a_fault_and_the_goroutine_goes_on") else {
        install(mend);
        for (round, mode) in [settled(), migratory(), Mode::threads()].into_iter().enumerate() {
            PAGE.store(forbidden(), Relaxed);
            let read = || fault(PAGE.load(Relaxed));
            assert_eq!(runtime(mode).handle().go(read).join().expect("no panic"), 0);
            assert_eq!(MENDED.load(Relaxed), round + 1);
        }
        return;
    };
    assert!(output.status.success(), "{}", death(&output).1);
}

static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());

/// A handler installed after that of gosched. It says so, and passes the fault on to the handler
/// that it found, in the way in which that handler wants to be called.
extern "C" fn chains(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    say("a later handler\n");
    // ORDERING[crash.before]: pairs with the store in `install_later`.
    let before = BEFORE.load(Acquire).cast_const();
    // SAFETY: leaked by `install_later`.
    let Some(before) = (unsafe { before.as_ref() }) else { c_side::thread::exit_process(44) };
    if before.sa_flags & libc::SA_SIGINFO == 0 {
        c_side::thread::exit_process(45);
    }
    // SAFETY: an action with SA_SIGINFO has a handler of this type.
    let handler = unsafe { transmute::<libc::sighandler_t, Handler>(before.sa_sigaction) };
    handler(signal, info, context);
}

fn install_later() {
    let before = Box::into_raw(Box::new(install(chains)));
    // ORDERING[crash.before]: pairs with the load in `chains`, which may be called from here on;
    // the window before is short of faults.
    BEFORE.store(before, Release);
}

#[test]
fn a_later_handler_that_chains_leaves_us_our_overflows() {
    let name = "a_later_handler_that_chains_leaves_us_our_overflows";
    overflows(name, || {
        let rt = runtime(settled());
        install_later();
        let _died = rt.handle().go(|| overflow(STACK, in_rust)).join();
    });
}

#[test]
fn a_later_handler_that_chains_leaves_an_earlier_one_its_faults() {
    let Some(output) = in_child("a_later_handler_that_chains_leaves_an_earlier_one_its_faults")
    else {
        install(host);
        let rt = runtime(settled());
        install_later();
        let _died = rt.handle().go(fault_near_null).join();
        unreachable!("nobody may read there");
    };
    let (_, stderr) = death(&output);
    assert_eq!(output.status.code(), Some(42), "{stderr}");
    let (later, host) = (stderr.find("a later handler"), stderr.find("the host's handler"));
    assert!(later.is_some() && later < host, "{stderr}");
}

/// A handler that keeps every fault to itself, as one that does not know of ours.
extern "C" fn keeps(_signal: c_int, _info: *mut libc::siginfo_t, _context: *mut c_void) {
    say("a handler that chains to nobody\n");
    c_side::thread::exit_process(46);
}

#[test]
fn a_handler_in_front_of_ours_is_found() {
    let Some(output) = in_child("a_handler_in_front_of_ours_is_found") else {
        let before = runtime(settled());
        assert_eq!(gosched::signal::check().not_in_front, []);
        install(keeps);
        let found = gosched::signal::check();
        assert_eq!(found.not_in_front, [libc::SIGSEGV]);
        assert!(!found.is_clean() && found.on_our_threads().is_empty());
        gosched::signal::reinstall().expect("in front");
        gosched::signal::reinstall().expect("nothing to do");
        assert_eq!(gosched::signal::check().not_in_front, []);
        drop(before);
        return;
    };
    assert!(output.status.success(), "{}", death(&output).1);
}

#[test]
fn in_front_again_overflows_are_reported() {
    overflows("in_front_again_overflows_are_reported", || {
        let rt = runtime(settled());
        install(keeps);
        gosched::signal::reinstall().expect("in front");
        let _died = rt.handle().go(|| overflow(STACK, in_rust)).join();
    });
}

#[test]
fn in_front_again_a_later_handler_still_gets_the_faults_that_are_not_ours() {
    let name = "in_front_again_a_later_handler_still_gets_the_faults_that_are_not_ours";
    let Some(output) = in_child(name) else {
        install(host);
        let rt = runtime(settled());
        install_later();
        gosched::signal::reinstall().expect("in front");
        let _died = rt.handle().go(fault_near_null).join();
        unreachable!("nobody may read there");
    };
    let (_, stderr) = death(&output);
    assert_eq!(output.status.code(), Some(42), "{stderr}");
    assert_eq!(stderr.matches("a later handler").count(), 1, "{stderr}");
}
