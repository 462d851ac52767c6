//! Stands for every system that has no folder here yet.

compile_error!(
    "gosched-runtime-sys supports Linux; the head of its lib.rs lists what another system needs"
);
