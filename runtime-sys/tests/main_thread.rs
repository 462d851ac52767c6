//! The main thread's stack, as the C library and as the kernel describe it.

use gosched_runtime_sys::thread::{self, tls};

fn main() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let line = maps.lines().find(|line| line.ends_with("[stack]")).expect("a stack");
    let (low, high) =
        line.split_once(' ').and_then(|(range, _)| range.split_once('-')).expect("a range");
    let [low, high] =
        [low, high].map(|bound| usize::from_str_radix(bound, 16).expect("hexadecimal"));

    let bounds = thread::current_stack_bounds().expect("bounds");
    let local = 0_u8;
    assert!(bounds.contains((&raw const local).addr()));
    // The C library leaves out what lies above the first frame: arguments, environment, auxiliary
    // vector. The kernel maps what was touched so far; the stack may grow down to the limit.
    assert!(bounds.high > (&raw const local).addr() && bounds.high <= high, "{bounds:x?} {high:x}");
    assert!(bounds.low <= low, "{bounds:x?} {low:x}");
    assert_eq!(tls::stack_bounds(), Some(bounds));
    assert_eq!(thread::id(), i32::try_from(std::process::id()).expect("a process id"));
    println!("main_thread: ok");
}
