//! The bridge from outside: what a thread is before, inside and after.

mod attach;
mod binding;
mod closing;
mod many_threads;
mod nested;
mod rebinding;
mod refusals;
mod state;
mod support;
mod unwinding;
mod worker;
