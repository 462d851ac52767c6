//! The bridge from outside: what a thread is before, inside and after.

mod binding;
mod many_threads;
mod nested;
mod refusals;
mod state;
mod support;
mod unwinding;
