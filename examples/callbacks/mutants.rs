//! Only in builds with `--cfg gosched_mutants`: runs the job with one mistake switched on, to show that it is caught.
//!
//! `GOSCHED_MUTANT` names the mistake. With `GOSCHED_HANDLER_ENTERS` set, the signal handler enters the runtime itself
//! wherever it finds nothing of ours on a callback thread, as a C program's handler may that knows no better.

use std::env;
use std::sync::OnceLock;

use gosched::callback::Bridge;
use gosched::signal::{self, Context};
use gosched_runtime_sys::primitive;

/// What the handler enters through; empty when it shall not.
static BRIDGE: OnceLock<Bridge> = OnceLock::new();

/// Switches on what the environment names.
pub(crate) fn switch_on() {
    if let Ok(name) = env::var("GOSCHED_MUTANT") {
        primitive::switch_on(name.leak());
    }
}

pub(crate) fn use_bridge(bridge: &Bridge) {
    if env::var_os("GOSCHED_HANDLER_ENTERS").is_some() {
        BRIDGE.get_or_init(|| bridge.clone());
    }
}

/// Called on every signal.
pub(crate) fn enter_from_handler() {
    if let (Some(bridge), Context::Outside) = (BRIDGE.get(), signal::context()) {
        // A refusal is an answer too.
        drop(bridge.enter(|| ()));
    }
}
