//! What a runtime says of itself: events of `tracing`. Without the feature of that name, warnings
//! go to standard error, and nothing else is said.
//!
//! An event is user code: a subscriber may take locks, allocate, or panic. So an event is emitted
//! on a thread that nothing waits for, or from a call that the user made.
//!
//! Rejected: the reports at level `DEBUG` on standard error. That all goroutines wait is the normal
//! state of a server that plain threads hand work to.

#[cfg(feature = "tracing")]
pub(crate) use traced::*;
#[cfg(not(feature = "tracing"))]
pub(crate) use untraced::*;

use std::fmt::Display;

/// What is said of a runtime that is dropped by one of its own goroutines or threads.
const DROPPED_INSIDE: &str =
    "a runtime was dropped inside itself: it shuts down, and nobody waits for its end";

/// A goroutine that keeps those settled on its thread waiting.
#[derive(Debug)]
pub(crate) struct Overstayed<'a> {
    pub(crate) goroutine: u64,
    pub(crate) made_at: &'a str,
    pub(crate) ran_ms: u64,
    pub(crate) siblings: &'a [u64],
}

#[cfg(feature = "tracing")]
mod traced {
    use super::{DROPPED_INSIDE, Display, Overstayed};
    use tracing::Level;
    use tracing::level_filters::LevelFilter;

    /// True if a warning reaches anybody.
    pub(crate) fn warnings_are_heard() -> bool {
        LevelFilter::current() >= Level::WARN
    }

    /// True if a report at level `DEBUG` reaches anybody.
    pub(crate) fn reports_are_heard() -> bool {
        LevelFilter::current() >= Level::DEBUG
    }

    /// Reports that every goroutine waits; `goroutines` lists them.
    pub(crate) fn all_wait(goroutines: &str) {
        tracing::debug!(
            %goroutines,
            "gosched: all goroutines wait, for each other or for somebody outside"
        );
    }

    /// Warns of a goroutine that keeps its siblings waiting; `text` says why and what helps.
    pub(crate) fn overstayed(who: &Overstayed<'_>, text: &dyn Display) {
        let &Overstayed { goroutine, made_at, ran_ms, siblings } = who;
        tracing::warn!(goroutine, made_at, ran_ms, ?siblings, "{text}");
    }

    /// Warns of handlers of the host for these signals; `text` says what they do.
    pub(crate) fn handlers(signals: &[i32], text: &str) {
        tracing::warn!(?signals, "gosched: {text}");
    }

    /// Warns that a runtime was dropped by one of its own goroutines or threads.
    pub(crate) fn dropped_inside() {
        tracing::warn!("gosched: {DROPPED_INSIDE}");
    }

    /// Warns that a runtime did not end within the time that its drop waits for.
    pub(crate) fn left_running(error: &dyn Display) {
        tracing::warn!(%error, "gosched: a runtime was dropped and left running");
    }
}

#[cfg(not(feature = "tracing"))]
mod untraced {
    use super::{DROPPED_INSIDE, Display, Overstayed};
    use std::io::{self, Write};

    /// True if a warning reaches anybody.
    pub(crate) fn warnings_are_heard() -> bool {
        true
    }

    /// True if a report at level `DEBUG` reaches anybody.
    pub(crate) fn reports_are_heard() -> bool {
        false
    }

    /// Reports that every goroutine waits: to nobody.
    pub(crate) fn all_wait(_goroutines: &str) {}

    /// Warns of a goroutine that keeps its siblings waiting; `text` says why and what helps.
    pub(crate) fn overstayed(who: &Overstayed<'_>, text: &dyn Display) {
        let Overstayed { goroutine, made_at, ran_ms, siblings } = who;
        warn(format!(
            "{text} goroutine={goroutine} made_at={made_at:?} ran_ms={ran_ms} siblings={siblings:?}"
        ));
    }

    /// Warns of handlers of the host for these signals; `text` says what they do.
    pub(crate) fn handlers(signals: &[i32], text: &str) {
        warn(format!("gosched: {text} signals={signals:?}"));
    }

    /// Warns that a runtime was dropped by one of its own goroutines or threads.
    pub(crate) fn dropped_inside() {
        warn(format!("gosched: {DROPPED_INSIDE}"));
    }

    /// Warns that a runtime did not end within the time that its drop waits for.
    pub(crate) fn left_running(error: &dyn Display) {
        warn(format!("gosched: a runtime was dropped and left running error={error}"));
    }

    /// Writes a line in one piece. A standard error that is closed is no reason to panic.
    fn warn(mut line: String) {
        line.push('\n');
        let _nobody_reads_it = io::stderr().write_all(line.as_bytes());
    }
}
