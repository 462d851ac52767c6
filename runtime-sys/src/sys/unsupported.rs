//! Stands for every system that has no folder here yet.

compile_error!(
    "gosched-runtime-sys supports Linux; see the list at the head of its lib.rs for what another system needs"
);
