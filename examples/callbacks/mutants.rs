//! Only in builds with `--cfg gosched_mutants`: runs the job with one mistake switched on, to show
//! that the storm catches it.
//!
//! `GOSCHED_MUTANT` names the mistake. With `GOSCHED_HANDLER_ENTERS` set, the signal handler itself
//! enters the runtime wherever it finds nothing of gosched, as the handler of an ignorant C program
//! may. Each callback then enters many times before it does its work, so that signals find threads
//! at the crossing rather than parked.

use std::env;
use std::ffi::c_int;
use std::sync::OnceLock;

use gosched::callback::Bridge;
use gosched::signal::{self, Context};
use gosched_runtime_sys::sync::primitive;

/// Entries before a callback's own one. None of them parks.
const EXTRA_ENTRIES: usize = 100;

/// The bridge through which the handler enters; empty if it shall not.
static BRIDGE: OnceLock<Bridge> = OnceLock::new();

/// Switches on the mistake that the environment names.
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

/// Called by every callback.
pub(crate) fn enter_often() {
    if let Some(bridge) = BRIDGE.get() {
        (0..EXTRA_ENTRIES).for_each(|_| drop(bridge.enter(|| ())));
    }
}

/// Called on every signal. Only callback threads get the storm's signal: the watchdog has to
/// survive what it reports.
pub(crate) fn enter_from_handler(signal: c_int) {
    if signal != c_side::storm::signal() {
        return;
    }
    if let (Some(bridge), Context::Outside) = (BRIDGE.get(), signal::context()) {
        // A refusal is a valid result, too.
        drop(bridge.enter(|| ()));
    }
}
