//! Stands for every system that nobody has filled in yet.

compile_error!(
    "gosched-runtime-sys supports Linux; see the list at the head of its lib.rs for what another system needs"
);
