//! The promises of the modes to safe code, kept under an optimiser. `cargo xtask test` runs this in
//! debug, in release and with fat LTO: an optimiser that keeps an address across a switch does so
//! there.

#[cfg(unix)]
mod above;
mod coroutines;
mod planted;
mod run;
mod settled;
mod waker;
