//! Stands for every system that has no folder here.

compile_error!(
    "gosched-runtime-sys does not know this system; the head of its lib.rs lists what one needs"
);
