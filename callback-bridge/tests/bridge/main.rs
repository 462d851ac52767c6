//! The bridge from outside: what a thread is before, inside and after.

mod crowd;
mod nested;
mod refusals;
mod state;
mod sticky;
mod support;
mod unwinding;
