//! Names a function that no system has. Where this links, the linker has no list of the system's
//! functions, and that a program links says nothing.

unsafe extern "C" {
    safe fn gosched_invented_function() -> i32;
}

fn main() {
    std::process::exit(gosched_invented_function());
}
