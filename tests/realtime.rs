//! A thread of real-time priority that calls in, or posts, never waits for a normal thread that
//! does.
//!
//! All threads share one CPU. A `SCHED_FIFO` thread wakes up at arbitrary moments and preempts a
//! normal one in the middle of its callback. Whatever the normal thread was about to finish stays
//! unfinished until the real-time thread sleeps again.
#![expect(unsafe_code, reason = "sched_setscheduler, sched_setaffinity")]

use std::mem::{MaybeUninit, size_of_val};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::callback::{Binding, Bridge, Mailbox};
use gosched::{Mode, Runtime, chan};
use test_support::{in_child, modes};

/// Normal threads that call in all the time.
const NORMAL: usize = 3;

/// How often the real-time thread wakes up. A list with a lock, held for a few instructions, is met
/// locked once in some hundred times.
const WAKE_UPS: usize = 5_000;

/// How often a measurement is tried: the machine may be busy with something else.
const ATTEMPTS: usize = 3;

/// The bound where a bare operation is done in no time.
const FLOOR: Duration = Duration::from_micros(300);

/// No measurement goes on after a call that took so long.
const HOPELESS: Duration = Duration::from_millis(100);

/// Makes the calling thread, and those that it makes, run on one CPU of those it may use.
fn pin() {
    let set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: all zeroes is a set without CPUs.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: the size is the set's; 0 is the calling thread.
    let got = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    assert_eq!(got, 0);
    // SAFETY: a live set, and a number below its size.
    let usable = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    let cpu = (0..libc::CPU_SETSIZE as usize).rfind(usable).expect("a CPU");
    let one = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: as above.
    let mut one = unsafe { one.assume_init() };
    // SAFETY: a live set, and a number below its size.
    unsafe { libc::CPU_SET(cpu, &mut one) };
    // SAFETY: as of the call above.
    assert_eq!(unsafe { libc::sched_setaffinity(0, size_of_val(&one), &one) }, 0);
}

/// Gives the calling thread real-time priority. False if this process may not have it.
fn become_real_time() -> bool {
    // The kernel's `struct sched_param`. The call is the kernel's own: that of musl always fails.
    let priority: libc::c_int = 10;
    let call = libc::SYS_sched_setscheduler;
    // SAFETY: a live parameter; 0 is the calling thread.
    let result = unsafe { libc::syscall(call, 0, libc::SCHED_FIFO, &raw const priority) };
    let error = std::io::Error::last_os_error();
    assert!(result == 0 || error.raw_os_error() == Some(libc::EPERM), "{error}");
    result == 0
}

/// The longest that `call` takes when it is made at arbitrary moments.
fn worst(call: impl Fn()) -> Duration {
    let mut random = 1_u64;
    let mut worst = Duration::ZERO;
    for _ in 0..WAKE_UPS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Preempted threads go on meanwhile, to be preempted elsewhere next time.
        std::thread::sleep(Duration::from_nanos(5_000 + (random >> 50)));
        let began = Instant::now();
        call();
        worst = worst.max(began.elapsed());
        if worst > HOPELESS {
            break;
        }
    }
    worst
}

/// The longest call of a real-time thread, and its longest bare `try_send`, while normal threads
/// call in as well. None where the process may not have a real-time thread.
fn beside_normal_threads(bridge: &Bridge) -> Option<[Duration; 2]> {
    let (values, _never_taken) = chan::bounded(1);
    // Every thread inside at once: from here on there is an M for each.
    let all_inside = Barrier::new(NORMAL + 1);
    let warm_up = || {
        pin();
        bridge.enter(|| all_inside.wait().is_leader()).expect("enter");
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..NORMAL {
            scope.spawn(|| {
                warm_up();
                while !done.load(Relaxed) {
                    bridge.enter(|| ()).expect("enter");
                }
            });
        }
        let real_time = scope.spawn(|| {
            warm_up();
            let measured = become_real_time().then(|| {
                let bare = worst(|| {
                    let _soon_full = values.try_send(7);
                });
                [worst(|| bridge.enter(|| ()).expect("enter")), bare]
            });
            done.store(true, Relaxed);
            measured
        });
        real_time.join().expect("the real-time thread")
    })
}

/// Measures until the bound is kept. False where that cannot be tried.
fn keeps_its_bound(mode: Mode, procs: usize) -> bool {
    let rt = Runtime::builder(mode).procs(procs).build().expect("a runtime");
    let bridge = Bridge::new(&rt).with_binding(Binding::PerCall);
    let mut broken = Vec::new();
    for _ in 0..ATTEMPTS {
        let Some([call, bare]) = beside_normal_threads(&bridge) else { return false };
        if call <= (3 * bare).max(FLOOR) {
            return true;
        }
        broken.push((call, bare));
    }
    panic!("{mode:?}, {procs} Ps: longest call, longest bare try_send: {broken:?}");
}

#[test]
fn a_real_time_thread_waits_for_no_normal_one() {
    for mode in modes() {
        for procs in [1, 2, 4] {
            if !keeps_its_bound(mode, procs) {
                eprintln!("SKIPPED: this process may not use SCHED_FIFO, so nothing was shown");
                return;
            }
        }
    }
}

/// Nothing that is done once in a process is left for the first callback.
#[test]
fn the_first_callback_of_a_process_waits_for_nothing() {
    const NAME: &str = "the_first_callback_of_a_process_waits_for_nothing";
    const BOUND: Duration = Duration::from_millis(3);
    let in_time = (0..ATTEMPTS).any(|_| {
        let Some(output) = in_child(NAME) else {
            let rt = Runtime::builder(Mode::threads()).build().expect("a runtime");
            let bridge = Bridge::new(&rt).with_binding(Binding::PerCall);
            let took = std::thread::scope(|scope| {
                let real_time = scope.spawn(|| {
                    if !become_real_time() {
                        eprintln!("SKIPPED: this process may not use SCHED_FIFO");
                    }
                    let began = Instant::now();
                    bridge.enter(|| ()).expect("enter");
                    began.elapsed()
                });
                real_time.join().expect("the real-time thread")
            });
            std::process::exit(if took < BOUND { 0 } else { 7 });
        };
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    });
    assert!(in_time, "{ATTEMPTS} processes, and none within {BOUND:?}");
}

/// The longest post of a real-time thread, and its longest look at the clock, while normal threads
/// post to the same mailbox and one of them `receives`.
fn posts_beside_normal_threads(
    mailbox: &Mailbox<usize>,
    receives: impl FnMut(&AtomicBool) + Send,
) -> Option<[Duration; 2]> {
    let done = AtomicBool::new(false);
    let mut receives = receives;
    std::thread::scope(|scope| {
        for number in 0..NORMAL {
            let done = &done;
            scope.spawn(move || {
                pin();
                while !done.load(Relaxed) {
                    // A full one is as good: the poster has been in it.
                    let _full = mailbox.post(number);
                }
            });
        }
        scope.spawn(|| {
            pin();
            receives(&done);
        });
        let real_time = scope.spawn(|| {
            pin();
            let measured = become_real_time().then(|| {
                let bare = worst(|| ());
                let post = worst(|| {
                    let _full = mailbox.post(NORMAL);
                });
                [post, bare]
            });
            done.store(true, Relaxed);
            // Whoever sleeps is woken; a full mailbox wakes by itself.
            let _full = mailbox.post(NORMAL);
            measured
        });
        real_time.join().expect("the real-time thread")
    })
}

/// Prints the worst case. It fails where it cannot run, so that nobody takes it for shown.
#[test]
#[ignore = "SCHED_FIFO: cargo test --release --test realtime post -- --ignored --nocapture"]
fn a_real_time_post_waits_for_no_normal_thread() {
    let polled = || {
        let (mailbox, mut poller) = Mailbox::polled(16);
        posts_beside_normal_threads(&mailbox, move |done| {
            while !done.load(Relaxed) {
                while poller.try_recv().is_ok() {}
                std::thread::yield_now();
            }
        })
    };
    let awaited = || {
        let (mailbox, mut receiver) = Mailbox::bounded(16).expect("a thread");
        posts_beside_normal_threads(&mailbox, move |done| {
            while !done.load(Relaxed) {
                receiver.recv().expect("the mailbox is there");
            }
        })
    };
    let kinds: [(&str, &dyn Fn() -> _); 2] = [("polled", &polled), ("awaited", &awaited)];
    for (kind, measure) in kinds {
        let mut broken = Vec::new();
        for _ in 0..ATTEMPTS {
            let measured: Option<[Duration; 2]> = measure();
            let [post, bare] = measured.expect("NOT RUN: this process may not use SCHED_FIFO");
            eprintln!(
                "{kind}: the longest of {WAKE_UPS} posts took {:.1} us; of as many looks at the \
                 clock, {:.1} us",
                post.as_secs_f64() * 1e6,
                bare.as_secs_f64() * 1e6
            );
            if post <= (3 * bare).max(FLOOR) {
                broken.clear();
                break;
            }
            broken.push((post, bare));
        }
        assert!(broken.is_empty(), "{kind}: {broken:?}");
    }
}
