//! The calling thread: its stack, its number, the processors it may use, the clock.
//!
//! # Safety
//!
//! Plain system calls on the calling thread.
#![expect(unsafe_code, reason = "system calls")]

pub use crate::stack_bounds::StackBounds;
use crate::{new_thread, slot, sys};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// The calling thread's stack bounds, asked for once and kept; none where the C library does not
/// know. They are those of the stack that the thread was made with: a host may be running on
/// another one (its own coroutines), so compare with an address of the running frame before
/// trusting them.
pub fn current_stack_bounds() -> Option<StackBounds> {
    slot::stack_bounds().or_else(|| {
        let bounds = sys::query_stack_bounds()?;
        slot::set_stack_bounds(bounds);
        Some(bounds)
    })
}

/// Finds a short way to a thread's stack bounds, where the C library has one. The first time in a
/// process it makes two threads for that and waits for them. Where none is found, all that is lost
/// is half a microsecond of each thread that asks.
pub fn prepare_stack_bounds() {
    static TRIED: AtomicBool = AtomicBool::new(false);
    if TRIED.swap(true, Relaxed) {
        return;
    }
    // Both at once, so that the second has another stack, and the place is all that they have in
    // common.
    let both = on_new_thread(|| (sys::possible_places(), on_new_thread(sys::possible_places)));
    let Some((mut places, Some(others))) = both else { return };
    places.retain(|place| others.contains(place));
    if let [place] = places[..] {
        sys::use_place(place);
    }
}

/// What `f` returns on a thread of its own; none where that cannot be made.
fn on_new_thread<T: Send + Sync + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let value = Arc::new(OnceLock::new());
    let theirs = Arc::clone(&value);
    let thread = new_thread::spawn("gosched-probe".to_owned(), move || {
        let _it_is_empty = theirs.set(f());
    });
    thread.ok()?.join().ok()?;
    Arc::into_inner(value)?.into_inner()
}

/// What the process may compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// How many processors' worth, at least 1: affinity mask and cgroup quota considered.
    pub count: usize,
    /// Whether a quota allows less than the affinity mask: then a spinning thread takes from the
    /// working ones.
    pub quota_limited: bool,
}

/// How many processors the calling thread may use. Reads files; ask once.
pub fn usable_cpus() -> Cpus {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Cpus { count, quota_limited: sys::affinity_count().is_some_and(|allowed| allowed > count) }
}

/// Lets another thread have the processor.
pub fn yield_thread() {
    // SAFETY: has no precondition.
    unsafe { libc::sched_yield() };
}

/// Nanoseconds on the monotonic clock, whose zero is some moment before the process began.
/// Async-signal-safe.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable. The call fails only for clocks that do not exist.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The kernel's number of the calling thread. Async-signal-safe.
pub fn id() -> i32 {
    sys::thread_id()
}

/// A thread's CPU time, for others to read: whether it computes, or is blocked.
///
/// Plain numbers, which may outlive the thread. What they say then is nothing, or something about
/// another thread that was given the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuClock {
    thread: i32,
    clock: libc::clockid_t,
}

impl CpuClock {
    /// The calling thread's; none where the system has no such clock.
    pub fn of_this_thread() -> Option<Self> {
        Some(Self { thread: id(), clock: sys::thread_clock()? })
    }

    /// Nanoseconds of CPU time so far; none if the thread has ended. 0.3 us.
    pub fn read(&self) -> Option<u64> {
        sys::read_clock(self.clock)
    }

    /// Whether the thread runs, or would if it had a core; none where the system does not tell.
    /// Reads a file: 10 us.
    pub fn is_runnable(&self) -> Option<bool> {
        sys::is_runnable(self.thread)
    }

    /// As one word, for whoever keeps it in an atomic.
    pub fn to_bits(self) -> u64 {
        u64::from(self.thread as u32) << 32 | u64::from(self.clock as u32)
    }

    /// What `to_bits` gave; none for zero, which no thread has.
    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0)
            .then_some(Self { thread: (bits >> 32) as i32, clock: bits as u32 as libc::clockid_t })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_tells_computing_from_blocked() {
        let (tell, told) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            let clock = CpuClock::of_this_thread().expect("a clock");
            let began = clock.read().expect("it runs");
            while clock.read().expect("it runs") < began + 5_000_000 {}
            assert_eq!(clock.is_runnable(), Some(true));
            assert_eq!(CpuClock::from_bits(clock.to_bits()), Some(clock));
            tell.send(clock).expect("the other side waits");
            let _it_is_dropped = wait.recv();
        });
        let clock = told.recv().expect("it computes, and then says so");
        while clock.is_runnable() != Some(false) {
            yield_thread();
        }
        let before = clock.read().expect("it is blocked");
        assert!(before >= 5_000_000);
        assert_eq!(clock.read(), Some(before), "a blocked thread's clock stands still");
        drop(done);
        other.join().expect("no panic");
        assert_eq!(CpuClock::from_bits(0), None);
    }

    #[test]
    fn bounds_contain_a_local_and_have_the_size_asked_for() {
        let size = 192 << 10;
        let check = move || {
            let local = 0_u8;
            let address = (&raw const local).addr();
            let bounds = current_stack_bounds().expect("bounds");
            assert!(
                bounds.contains(address)
                    && !bounds.contains(bounds.low - 1)
                    && !bounds.contains(bounds.high)
            );
            assert!(
                bounds.high - bounds.low >= size && bounds.high - bounds.low < 2 * size,
                "{bounds:x?}"
            );
            assert_eq!(slot::stack_bounds(), Some(bounds));
            assert_eq!(current_stack_bounds(), Some(bounds));
            bounds
        };
        let make = || std::thread::Builder::new().stack_size(size).spawn(check).expect("thread");
        let (first, second) = (make(), make());
        let (first, second) = (first.join().expect("first"), second.join().expect("second"));
        assert!(first.guard > 0 && second.guard > 0);
    }

    #[test]
    fn a_quota_only_takes_away() {
        let cpus = usable_cpus();
        let allowed = sys::affinity_count().expect("affinity");
        assert!(cpus.count >= 1 && cpus.count <= allowed);
        assert_eq!(cpus.quota_limited, cpus.count < allowed);
    }

    #[test]
    fn the_clock_does_not_go_back_and_runs_with_instant() {
        let (before, instant) = (monotonic_ns(), std::time::Instant::now());
        std::thread::sleep(std::time::Duration::from_millis(5));
        let passed = instant.elapsed().as_nanos() as u64;
        let ours = monotonic_ns() - before;
        assert!(ours >= passed && ours >= 5_000_000, "{ours} {passed}");
    }

    #[test]
    fn threads_have_different_numbers() {
        let other = std::thread::spawn(id).join().expect("thread");
        assert!(other > 0 && other != id() && id() == id());
    }
}
