//! What a post may not do where nothing may wait: it allocates nothing, makes no system call but
//! the one that is documented, and loses nothing in a handler that has interrupted a post. A
//! process of its own, for its allocator counts.
//!
//! # Safety
//!
//! The allocator is the system's, and counts. The handler does what `post` documents as right.
#![expect(unsafe_code, reason = "a global allocator, a signal handler, a sandbox, fork")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_int;
use std::mem;
use std::os::unix::thread::JoinHandleExt;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{RecvError, TryRecvError};
use std::thread;

use gosched::callback::{MailReceiver, Mailbox};
use gosched_runtime_sys::errno;
use test_support::{death, in_child, modes};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Whether the thread counts.
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

/// Allocations, of any kind, and frees on threads that count.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

fn count() {
    if COUNTS.get() {
        COUNTED.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Returns how often `body` allocates or frees on the calling thread.
fn counted(body: impl FnOnce()) -> usize {
    let before = COUNTED.load(Relaxed);
    COUNTS.set(true);
    body();
    COUNTS.set(false);
    COUNTED.load(Relaxed) - before
}

/// Held by each test that counts: they share the counter.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn mailbox<T: Send>(capacity: usize) -> (Mailbox<T>, MailReceiver<T>) {
    Mailbox::bounded(capacity).expect("a thread")
}

/// Posts and waits for the answer, so that the receiver sleeps or is about to at each post.
fn ask(mailbox: &Mailbox<u32>, answer: &AtomicU32, item: u32) {
    mailbox.post(item).expect("it fits");
    // ORDERING[mailbox_handler.answer]: partner is the store in `answering`.
    while answer.load(Acquire) != item {
        std::hint::spin_loop();
    }
}

fn answering(mut received: MailReceiver<u32>, answer: &AtomicU32) {
    while let Ok(item) = received.recv() {
        // ORDERING[mailbox_handler.answer]: partner is the load in `ask`.
        answer.store(item, Release);
    }
}

#[test]
fn a_post_allocates_nothing() {
    let _alone = ALONE.lock();
    assert_ne!(counted(|| drop(vec![1])), 0, "the check of the test");
    let (full, mut received) = mailbox(2);
    let (polled, _poller) = Mailbox::polled(2);
    let posts = counted(|| {
        for item in 0..100 {
            let _is_full_soon = (full.post(item), polled.post(item));
        }
    });
    assert_eq!((posts, received.try_recv()), (0, Ok(0)));
    for mode in modes() {
        let rt = gosched::Runtime::builder(mode).build().expect("a runtime");
        static ANSWER: AtomicU32 = AtomicU32::new(0);
        let (asks, received) = mailbox(2);
        let answers = rt.handle().go(move || answering(received, &ANSWER));
        let posts = counted(|| (1..=300).for_each(|item| ask(&asks, &ANSWER, item)));
        assert_eq!(posts, 0, "{mode:?}");
        drop(asks);
        answers.join().expect("no panic");
    }
}

/// Forbids the calling thread every system call but `exit_group`, and `futex` to wake if it may
/// wake. Another one ends the process by SIGSYS.
fn forbid_system_calls(may_wake: bool) {
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    let futex = if may_wake { libc::SYS_futex as u32 } else { u32::MAX };
    let mut filter = [
        // The call's number: `exit_group` goes on; of `futex` the operation is looked at, which is
        // the second argument.
        statement(0x20, 0, 0, 0),
        statement(0x15, 4, 0, libc::SYS_exit_group as u32),
        statement(0x15, 0, 2, futex),
        statement(0x20, 0, 0, 24),
        statement(0x15, 1, 0, wake as u32),
        statement(0x06, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        statement(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let (mode, this_thread) = (libc::SECCOMP_SET_MODE_FILTER, 0);
    // SAFETY: a live program, which the kernel copies.
    let set = unsafe { libc::syscall(libc::SYS_seccomp, mode, this_thread, &raw const program) };
    assert_eq!(set, 0);
}

/// Ends the process at once, with no destructor and no other system call.
fn end() -> ! {
    // SAFETY: has no precondition.
    unsafe { libc::_exit(0) }
}

#[test]
fn a_post_for_a_poller_makes_no_system_call() {
    let Some(output) = in_child("a_post_for_a_poller_makes_no_system_call") else {
        let (mailbox, mut polled) = Mailbox::polled(4);
        forbid_system_calls(false);
        for item in 0..100 {
            assert!(mailbox.post(item).is_ok() && polled.try_recv() == Ok(item));
        }
        (0..4).for_each(|item| assert!(mailbox.post(item).is_ok()));
        assert_eq!(mailbox.post(4), Err(4));
        end();
    };
    assert!(output.status.success(), "{}", death(&output).1);
}

#[test]
fn a_post_for_a_sleeper_wakes_and_nothing_else() {
    let Some(output) = in_child("a_post_for_a_sleeper_wakes_and_nothing_else") else {
        static ANSWER: AtomicU32 = AtomicU32::new(0);
        let (mailbox, received) = mailbox(4);
        thread::spawn(move || answering(received, &ANSWER));
        ask(&mailbox, &ANSWER, 1);
        forbid_system_calls(true);
        errno::set(libc::ENOTTY);
        (2..100).for_each(|item| ask(&mailbox, &ANSWER, item));
        assert_eq!(errno::get(), libc::ENOTTY);
        end();
    };
    assert!(output.status.success(), "{}", death(&output).1);
}

/// The check of the two tests above.
#[test]
fn the_sandbox_ends_what_waits() {
    let Some(output) = in_child("the_sandbox_ends_what_waits") else {
        let (_mailbox, mut received) = mailbox::<u32>(4);
        forbid_system_calls(true);
        let _never = received.recv();
        end();
    };
    assert_eq!(death(&output).0, Some(libc::SIGSYS));
}

/// Who posted, and the how manieth post of it that was.
type Numbered = (bool, u32);

static STORM: OnceLock<Mailbox<Numbered>> = OnceLock::new();
static IN_HANDLER: AtomicU32 = AtomicU32::new(0);
static REFUSED: AtomicU32 = AtomicU32::new(0);

extern "C" fn posts(_: c_int) {
    let Some(mailbox) = STORM.get() else { return };
    // One thread is interrupted, by one signal at a time.
    let number = IN_HANDLER.load(Relaxed);
    match mailbox.post((true, number)) {
        Ok(()) => IN_HANDLER.store(number + 1, Relaxed),
        Err(_) => REFUSED.store(REFUSED.load(Relaxed) + 1, Relaxed),
    }
}

fn install(handler: extern "C" fn(c_int)) {
    // SAFETY: all zeros is a valid value.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: a live structure, and a handler that is async-signal-safe.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, null_mut()) }, 0);
}

/// A handler interrupts posts and posts itself. What both posted is received once, and in order;
/// nothing is allocated there.
#[test]
fn a_storm_of_handlers_conserves_values() {
    let _alone = ALONE.lock();
    const POSTS: u32 = 100_000;
    static ENDED: AtomicBool = AtomicBool::new(false);
    let (mailbox, mut received) = mailbox(64);
    let posting = mailbox.clone();
    STORM.set(mailbox).expect("the one test with it");
    install(posts);
    let rt = gosched::Runtime::builder(gosched::Mode::threads()).build().expect("a runtime");
    let receiver = rt.handle().go(move || {
        let mut next = [0_u32; 2];
        loop {
            let (by_handler, number) = received.recv().expect("the static one stays");
            if !by_handler && number == POSTS {
                // What the handler has posted since lies behind it.
                while let Ok((true, number)) = received.try_recv() {
                    assert_eq!(number, next[1]);
                    next[1] += 1;
                }
                return next;
            }
            let next = &mut next[usize::from(by_handler)];
            assert_eq!(number, *next);
            *next += 1;
        }
    });
    let (done, is_done) = std::sync::mpsc::channel();
    let poster = thread::spawn(move || {
        let allocated = counted(|| {
            // As many posts as there are, and as many signals as interrupt some of them.
            for number in 0..POSTS {
                while posting.post((false, number)).is_err() {
                    thread::yield_now();
                }
            }
        });
        ENDED.store(true, Relaxed);
        is_done.recv().expect("no signal comes any more");
        while posting.post((false, POSTS)).is_err() {
            thread::yield_now();
        }
        allocated
    });
    let mut sent = 0_u32;
    while !ENDED.load(Relaxed) {
        // SAFETY: the thread is joined below.
        assert_eq!(unsafe { libc::pthread_kill(poster.as_pthread_t() as _, libc::SIGUSR1) }, 0);
        sent += 1;
        // Most signals find the one before delivered.
        (0..50).for_each(|_| std::hint::spin_loop());
    }
    done.send(()).expect("awaited");
    assert_eq!(poster.join().expect("no panic"), 0, "allocations in posts");
    let received = receiver.join().expect("in order");
    assert_eq!(received, [POSTS, IN_HANDLER.load(Relaxed)]);
    assert!(received[1] > 0, "{sent} signals, {} refused", REFUSED.load(Relaxed));
}

/// The thread that wakes receivers stays with the parent.
#[test]
fn in_a_forked_child_a_mailbox_is_disconnected_and_a_new_one_works() {
    let Some(output) = in_child("in_a_forked_child_a_mailbox_is_disconnected_and_a_new_one_works")
    else {
        let (mailbox, mut received) = mailbox(2);
        mailbox.post(1).expect("it fits");
        // SAFETY: the child uses what is documented to work there, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            assert!(mailbox.is_closed() && mailbox.post(2) == Err(2));
            assert_eq!((received.recv(), received.recv()), (Ok(1), Err(RecvError)));
            let (fresh, mut at_fresh) = self::mailbox(1);
            let poster = thread::spawn(move || fresh.post(3));
            assert_eq!(at_fresh.recv(), Ok(3));
            poster.join().expect("no panic").expect("it fits");
            end();
        }
        let mut status = 0;
        // SAFETY: a child of ours, waited for once.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
        mailbox.post(2).expect("the parent goes on");
        assert_eq!((received.try_recv(), received.try_recv()), (Ok(1), Ok(2)));
        assert_eq!(received.try_recv(), Err(TryRecvError::Empty));
        return;
    };
    assert!(output.status.success(), "{}", death(&output).1);
}
