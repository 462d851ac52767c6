//! The building blocks, alone. No scheduler on this machine can be faster.
//!
//! # Safety
//!
//! One thread resumes the context, which suspends from its own stack. The mapping belongs to this
//! file alone.
#![expect(unsafe_code, reason = "switches contexts, calls the system, maps memory")]

use std::hint::black_box;
use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

use gosched_runtime_sys::memory::context::{Context, Suspender};
use gosched_runtime_sys::memory::stack::Stack;
use gosched_runtime_sys::sync::futex::Futex;

use super::measure::Figures;

/// Returns `None` for all workloads but `floor`.
pub(crate) fn run(workload: &str) -> Option<Figures> {
    (workload == "floor").then(|| {
        let mut figures = vec![
            ("switch_pair_ns", switch_pair()),
            ("syscall_ns", syscall()),
            ("page_ns", first_touch()),
        ];
        let cpus = allowed_cpus();
        figures.push(("futex_one_core_ns", round_trip([cpus[0], cpus[0]], 20_000, Wait::Asleep)));
        if let [one, other, ..] = cpus[..] {
            figures.push(("futex_two_cores_ns", round_trip([one, other], 5_000, Wait::Asleep)));
            figures.push(("spin_two_cores_ns", round_trip([one, other], 500_000, Wait::Awake)));
        }
        figures
    })
}

fn per(n: u32, mut each: impl FnMut()) -> f64 {
    (0..n / 10).for_each(|_| each());
    let began = Instant::now();
    (0..n).for_each(|_| each());
    began.elapsed().as_nanos() as f64 / f64::from(n)
}

/// Switches there and back, inlined end to end.
fn switch_pair() -> f64 {
    let stack = Stack::single(64 * 1024).expect("a stack");
    let mut context = Context::new(stack, |s: Suspender<usize, usize>, first| {
        let mut value = first;
        // Ends when a resume passes the greatest value. None does; the stack is freed with the
        // process.
        while value < usize::MAX {
            // SAFETY: on the stack of the context that the suspender was made for.
            value = unsafe { s.suspend(value) };
        }
    });
    per(2_000_000, || {
        // SAFETY: always the same thread.
        black_box(unsafe { context.resume(black_box(1)) });
    })
}

fn syscall() -> f64 {
    per(1_000_000, || {
        // SAFETY: it takes nothing and changes nothing.
        black_box(unsafe { libc::syscall(libc::SYS_getppid) });
    })
}

/// Measures the fault of the first write to a page.
fn first_touch() -> f64 {
    const PAGE: usize = 4096;
    const PAGES: usize = 16 * 1024;
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a mapping of its own, wherever the system likes.
    let memory = unsafe { libc::mmap(ptr::null_mut(), PAGE * PAGES, protection, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED, "{}", io::Error::last_os_error());
    // SAFETY: the mapping just made. Should it fail, pages are larger than they should be.
    unsafe { libc::madvise(memory, PAGE * PAGES, libc::MADV_NOHUGEPAGE) };
    let began = Instant::now();
    for page in 0..PAGES {
        let at = memory.cast::<u8>().wrapping_add(page * PAGE);
        // SAFETY: it lies in the mapping, which nobody else knows.
        unsafe { at.write_volatile(1) };
    }
    let took = began.elapsed().as_nanos() as f64 / PAGES as f64;
    // SAFETY: nothing refers to it.
    unsafe { libc::munmap(memory, PAGE * PAGES) };
    took
}

/// How a thread waits for its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Asleep,
    Awake,
}

impl Wait {
    /// Until it is not `whose` turn.
    fn wait(self, turn: &Futex, whose: u32) {
        while turn.word.load(Relaxed) == whose {
            match self {
                Self::Asleep => turn.wait(whose),
                Self::Awake => std::hint::spin_loop(),
            }
        }
    }

    fn hand_over(self, turn: &Futex, to: u32) {
        turn.word.store(to, Relaxed);
        if self == Self::Asleep {
            turn.wake();
        }
    }
}

/// Two threads, each on one of the two CPUs, pass a word to each other: it says whose turn it is.
fn round_trip(cpus: [usize; 2], n: u32, way: Wait) -> f64 {
    let turn = Futex::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(cpus[1]);
            for _ in 0..n + n / 10 {
                way.wait(&turn, 0);
                way.hand_over(&turn, 0);
            }
        });
        let first = scope.spawn(|| {
            pin(cpus[0]);
            per(n, || {
                way.hand_over(&turn, 1);
                way.wait(&turn, 1);
            })
        });
        first.join().expect("no panic")
    })
}

/// Returns the CPUs that this thread may use.
fn allowed_cpus() -> Vec<usize> {
    let mut set = no_cpus();
    // SAFETY: `set` is writable, and its size is what is said.
    let error = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    assert_eq!(error, 0, "{}", io::Error::last_os_error());
    // SAFETY: the indices lie in the set.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

fn no_cpus() -> libc::cpu_set_t {
    // SAFETY: a mask of integers, of which zero is a value.
    unsafe { mem::zeroed() }
}

/// Keeps this thread on that CPU.
fn pin(cpu: usize) {
    let mut set = no_cpus();
    // SAFETY: the number came out of such a set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is readable, and its size is what is said.
    let error = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    assert_eq!(error, 0, "{}", io::Error::last_os_error());
}
