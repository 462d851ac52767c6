//! Handlers are process-wide, so each of these tests runs in a child process of its own.

use super::*;
use crate::memory::guarded::Mapping;
use crate::testing::Child;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

/// Counts calls, to find out which handler came first.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Which call ours was.
static OURS: AtomicUsize = AtomicUsize::new(0);
/// Which call the host's was.
static HOST: AtomicUsize = AtomicUsize::new(0);
/// Whether the host's handler found what it had asked for.
static CONTENT: AtomicBool = AtomicBool::new(false);
/// The address of the last fault.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);

fn in_child(name: &str, body: impl FnOnce()) -> Child {
    Child::run(&format!("signal::handler::tests::{name}"), body)
}

fn call_number() -> usize {
    CALLS.fetch_add(1, SeqCst) + 1
}

fn not_mine(info: &SignalInfo) -> Response {
    OURS.store(call_number(), SeqCst);
    ADDRESS.store(info.address, SeqCst);
    Response::PassOn
}

fn mine(info: &SignalInfo) -> Response {
    OURS.store(call_number(), SeqCst);
    ADDRESS.store(info.address, SeqCst);
    Response::Handled
}

extern "C" fn three_arguments(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    HOST.store(call_number(), SeqCst);
    // SAFETY: what a handler gets.
    let number = unsafe { (*info).si_signo };
    let mask = SignalMask::current();
    let masked = mask.contains(libc::SIGUSR1)
        && mask.contains(libc::SIGUSR2)
        && !mask.contains(libc::SIGHUP);
    CONTENT.store(number == signal && !context.is_null() && masked, SeqCst);
    errno::set(libc::EDOM);
}

extern "C" fn one_argument(signal: c_int) {
    HOST.store(call_number(), SeqCst);
    CONTENT.store(signal == libc::SIGUSR1 && !SignalMask::current().contains(signal), SeqCst);
}

/// Installs a function as a host does, with its flags, and with `SIGUSR2` in its mask.
fn host(signal: c_int, function: libc::sighandler_t, flags: c_int) {
    let action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeroes is an action.
    let mut action = unsafe { action.assume_init() };
    action.sa_sigaction = function;
    action.sa_flags = flags;
    // SAFETY: a live set.
    unsafe { libc::sigaddset(&mut action.sa_mask, libc::SIGUSR2) };
    // SAFETY: the functions here are async-signal-safe and have the type that the flags say.
    assert_eq!(unsafe { libc::sigaction(signal, &action, null_mut()) }, 0);
}

fn ours_in_front(signal: c_int, handler: Handler) {
    // SAFETY: the handlers here only store to atomics, and `mine` is used for signals that a
    // program sent.
    unsafe { install(signal, handler) }.expect("install");
}

fn raise(signal: c_int) {
    // SAFETY: raises on the calling thread.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

/// The function of a handler as the kernel takes it.
fn three() -> libc::sighandler_t {
    let function: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = three_arguments;
    function as libc::sighandler_t
}

fn one() -> libc::sighandler_t {
    let function: extern "C" fn(c_int) = one_argument;
    function as libc::sighandler_t
}

/// Reads a byte that nobody may read.
fn fault_at_guard() {
    // A closed page, so that a handler can open it: a mark in the page table would stay.
    let mapping = Mapping::with_guard(1).expect("a mapping");
    let guard = std::ptr::with_exposed_provenance::<u8>(mapping.guard().start + 8);
    // SAFETY: none; this is the fault that the test is about.
    unsafe { guard.read_volatile() };
}

#[test]
fn a_host_gets_three_arguments_its_mask_and_its_turn() {
    in_child("a_host_gets_three_arguments_its_mask_and_its_turn", || {
        host(libc::SIGUSR1, three(), libc::SA_SIGINFO);
        ours_in_front(libc::SIGUSR1, not_mine);
        let mask = SignalMask::current();
        errno::set(libc::ENOTTY);
        raise(libc::SIGUSR1);
        assert_eq!(errno::get(), libc::ENOTTY, "errno is the interrupted code's");
        assert_eq!((OURS.load(SeqCst), HOST.load(SeqCst)), (1, 2));
        assert!(CONTENT.load(SeqCst));
        assert_eq!(SignalMask::current(), mask);
        assert_eq!(ADDRESS.load(SeqCst), 0, "a signal that a program sent has no address");
    })
    .assert_success();
}

#[test]
fn a_host_gets_one_argument_undeferred() {
    in_child("a_host_gets_one_argument_undeferred", || {
        host(libc::SIGUSR1, one(), libc::SA_NODEFER);
        ours_in_front(libc::SIGUSR1, not_mine);
        raise(libc::SIGUSR1);
        raise(libc::SIGUSR1);
        assert_eq!((OURS.load(SeqCst), HOST.load(SeqCst)), (3, 4));
        assert!(CONTENT.load(SeqCst));
    })
    .assert_success();
}

#[test]
fn what_is_ours_stays_with_us() {
    in_child("what_is_ours_stays_with_us", || {
        host(libc::SIGUSR1, one(), 0);
        ours_in_front(libc::SIGUSR1, mine);
        raise(libc::SIGUSR1);
        assert_eq!((OURS.load(SeqCst), HOST.load(SeqCst)), (1, 0));
    })
    .assert_success();
}

#[test]
fn once_is_once() {
    let child = in_child("once_is_once", || {
        host(libc::SIGUSR1, one(), libc::SA_RESETHAND | libc::SA_NODEFER);
        ours_in_front(libc::SIGUSR1, not_mine);
        raise(libc::SIGUSR1);
        assert_eq!(HOST.load(SeqCst), 2);
        eprintln!("survived the first");
        raise(libc::SIGUSR1);
    });
    child.assert_killed_by(libc::SIGUSR1);
    assert!(child.stderr().contains("survived the first"));
}

#[test]
fn ignored_stays_ignored() {
    in_child("ignored_stays_ignored", || {
        host(libc::SIGUSR1, libc::SIG_IGN, 0);
        ours_in_front(libc::SIGUSR1, not_mine);
        raise(libc::SIGUSR1);
        assert_eq!(OURS.load(SeqCst), 1);
    })
    .assert_success();
}

#[test]
fn the_default_kills() {
    in_child("the_default_kills", || {
        ours_in_front(libc::SIGUSR1, not_mine);
        raise(libc::SIGUSR1);
    })
    .assert_killed_by(libc::SIGUSR1);
}

#[test]
fn a_signal_ignored_by_default_is() {
    in_child("a_signal_ignored_by_default_is", || {
        ours_in_front(libc::SIGURG, not_mine);
        raise(libc::SIGURG);
        raise(libc::SIGURG);
        assert_eq!(OURS.load(SeqCst), 2, "and does not take our handler off");
    })
    .assert_success();
}

#[test]
fn a_fault_kills_at_its_place() {
    in_child("a_fault_kills_at_its_place", || {
        host(libc::SIGSEGV, libc::SIG_DFL, 0);
        ours_in_front(libc::SIGSEGV, not_mine);
        fault_at_guard();
    })
    .assert_killed_by(libc::SIGSEGV);
}

#[test]
fn a_fault_cannot_be_ignored() {
    in_child("a_fault_cannot_be_ignored", || {
        host(libc::SIGSEGV, libc::SIG_IGN, 0);
        ours_in_front(libc::SIGSEGV, not_mine);
        fault_at_guard();
    })
    .assert_killed_by(libc::SIGSEGV);
}

#[test]
fn the_standard_librarys_handler_still_works() {
    let child = in_child("the_standard_librarys_handler_still_works", || {
        #[expect(unconditional_recursion, reason = "overflows the stack")]
        fn deeper(level: usize) -> usize {
            let array = std::hint::black_box([level; 128]);
            deeper(level + 1) + array[level % 128]
        }
        ours_in_front(libc::SIGSEGV, not_mine);
        std::hint::black_box(deeper(0));
    });
    child.assert_killed_by(libc::SIGABRT);
    assert!(child.stderr().contains("has overflowed its stack"), "{}", child.stderr());
}

#[test]
fn a_sent_fault_signal_kills_too() {
    in_child("a_sent_fault_signal_kills_too", || {
        host(libc::SIGSEGV, libc::SIG_DFL, 0);
        ours_in_front(libc::SIGSEGV, not_mine);
        raise(libc::SIGSEGV);
    })
    .assert_killed_by(libc::SIGSEGV);
}

#[test]
fn a_fault_that_is_ours_goes_on() {
    fn open_the_page(info: &SignalInfo) -> Response {
        ADDRESS.store(info.address, SeqCst);
        let page = std::ptr::with_exposed_provenance_mut((info.address - 8) & !4095);
        // SAFETY: the guard page of the test's own stack.
        unsafe { libc::mprotect(page, 4096, libc::PROT_READ) };
        if info.by_kernel && info.signal == libc::SIGSEGV {
            Response::Handled
        } else {
            Response::PassOn
        }
    }
    in_child("a_fault_that_is_ours_goes_on", || {
        // SAFETY: one system call, after which the interrupted instruction can be repeated.
        unsafe { install(libc::SIGSEGV, open_the_page) }.expect("install");
        fault_at_guard();
        assert_eq!(ADDRESS.load(SeqCst) % 4096, 8);
    })
    .assert_success();
}

#[test]
fn a_signal_has_one_handler_of_ours() {
    in_child("a_signal_has_one_handler_of_ours", || {
        // SAFETY: the handlers here only store to atomics.
        let try_install =
            |signal| unsafe { install(signal, not_mine) }.map_err(|error| error.kind());
        assert_eq!(try_install(libc::SIGUSR1), Ok(()));
        assert_eq!(try_install(libc::SIGUSR1), Err(io::ErrorKind::AlreadyExists));
        for signal in [-1, 0, LAST_SIGNAL + 1, c_int::MAX, libc::SIGTSTP, libc::SIGCONT] {
            assert_eq!(try_install(signal), Err(io::ErrorKind::InvalidInput), "{signal}");
        }
        assert_eq!(try_install(libc::SIGKILL), Err(io::ErrorKind::InvalidInput));
        assert_eq!(
            try_install(libc::SIGKILL),
            Err(io::ErrorKind::InvalidInput),
            "a failure leaves no handler behind"
        );
    })
    .assert_success();
}

#[test]
fn flags_that_change_what_a_host_sees_are_kept() {
    in_child("flags_that_change_what_a_host_sees_are_kept", || {
        host(libc::SIGUSR1, one(), 0);
        host(libc::SIGUSR2, one(), libc::SA_RESTART);
        host(libc::SIGCHLD, libc::SIG_IGN, libc::SA_NOCLDSTOP);
        // Whoever started the tests may have had it ignored.
        host(libc::SIGHUP, libc::SIG_DFL, 0);
        let flags = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGHUP, libc::SIGCHLD].map(|signal| {
            ours_in_front(signal, mine);
            let flags = exchange(signal, None).expect("query").sa_flags;
            assert_eq!(flags & (libc::SA_ONSTACK | libc::SA_NODEFER), libc::SA_ONSTACK);
            flags & (libc::SA_RESTART | libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT)
        });
        let children = libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT;
        assert_eq!(flags, [0, libc::SA_RESTART, libc::SA_RESTART, libc::SA_RESTART | children]);
    })
    .assert_success();
}

/// Where `in_between` found ours.
static FOUND: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());

/// A handler that somebody installs after ours, and that passes everything on to ours.
extern "C" fn in_between(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    type Three = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    call_number();
    // SAFETY: leaked by the test before the first signal.
    let found = unsafe { &*FOUND.load(SeqCst) };
    // SAFETY: ours has this type.
    let ours = unsafe { transmute::<libc::sighandler_t, Three>(found.sa_sigaction) };
    ours(signal, info, context);
}

#[test]
fn in_front_again_no_signal_goes_round() {
    in_child("in_front_again_no_signal_goes_round", || {
        host(libc::SIGUSR1, one(), libc::SA_NODEFER);
        ours_in_front(libc::SIGUSR1, not_mine);
        assert!(ours_is_in_front(libc::SIGUSR1).expect("query"));
        let found = exchange(libc::SIGUSR1, None).expect("query");
        FOUND.store(Box::into_raw(Box::new(found)), SeqCst);
        let function: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = in_between;
        host(libc::SIGUSR1, function as libc::sighandler_t, libc::SA_SIGINFO);
        assert!(!ours_is_in_front(libc::SIGUSR1).expect("query"));
        assert!(without_signal_stack().contains(&libc::SIGUSR1));
        reinstall(libc::SIGUSR1).expect("a place");
        reinstall(libc::SIGUSR1).expect("nothing to do");
        assert!(ours_is_in_front(libc::SIGUSR1).expect("query"));
        assert!(!without_signal_stack().contains(&libc::SIGUSR1));
        raise(libc::SIGUSR1);
        // Ours, the one in between, ours where it was first, the host's.
        assert_eq!((CALLS.load(SeqCst), OURS.load(SeqCst), HOST.load(SeqCst)), (4, 3, 4));
    })
    .assert_success();
}

#[test]
fn the_places_in_front_come_to_an_end() {
    in_child("the_places_in_front_come_to_an_end", || {
        reinstall(libc::SIGUSR1).expect("nothing was installed");
        assert!(!ours_is_in_front(libc::SIGUSR1).expect("query"));
        ours_in_front(libc::SIGUSR1, mine);
        for _ in 1..PLACES {
            host(libc::SIGUSR1, one(), 0);
            reinstall(libc::SIGUSR1).expect("a place");
        }
        host(libc::SIGUSR1, one(), 0);
        let refused = reinstall(libc::SIGUSR1).expect_err("none is left");
        assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
        raise(libc::SIGUSR1);
        assert_eq!(HOST.load(SeqCst), 1, "and nothing has changed");
    })
    .assert_success();
}
