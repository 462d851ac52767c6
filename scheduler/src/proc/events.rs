//! What a runtime says of itself: events of `tracing`, or lines on standard error.
//!
//! An event is user code: a subscriber may take locks, allocate, or panic. So an event is emitted
//! on a thread that nothing waits for, or from a call that the user made. Writing to standard error
//! may block for ever, and is done in the same places.
//!
//! A process without a subscriber would hang in silence, so it is told on standard error, unless
//! the builder says otherwise. That is for what a user has to mend. What the host installed in
//! place of our handlers is told to a subscriber, or by `signal::check`: a guest does not print it.
//!
//! Rejected: the reports at level `DEBUG` on standard error. That all goroutines wait is the normal
//! state of a server that plain threads hand work to.

use std::fmt::Display;
use std::io::{self, Write};
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

pub(crate) use crate::mode::Warnings;

/// What is said of a runtime that is dropped by one of its own goroutines or threads.
const DROPPED_INSIDE: &str =
    "gosched: a runtime was dropped inside itself: it shuts down, and nobody waits for its end";

/// What is said of a deadlock.
const DEADLOCK: &str = "deadlock: all goroutines wait, and nobody outside can wake one";

/// What is said of a deadlock that cannot be ended.
const STUCK: &str = "deadlock: these goroutines were cancelled and do not unwind";

/// A goroutine that keeps those settled on its thread waiting.
#[derive(Debug)]
pub(crate) struct Overstayed<'a> {
    pub(crate) goroutine: u64,
    pub(crate) made_at: &'a str,
    /// Empty without a name.
    pub(crate) name: &'a str,
    pub(crate) lasted_ms: u64,
    /// Goroutines that have not begun.
    pub(crate) not_begun: &'a [u64],
    pub(crate) siblings: &'a [u64],
    /// The end of the text. Tells warnings of one place apart.
    pub(crate) remedy: &'static str,
}

/// A goroutine whose panic nobody joined.
#[derive(Debug)]
pub(crate) struct Unjoined<'a> {
    pub(crate) goroutine: u64,
    pub(crate) name: Option<&'a str>,
    pub(crate) made_at: Option<&'static Location<'static>>,
}

/// The way that a warning takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Event,
    Stderr,
    Nowhere,
}

fn route(to: Warnings) -> Route {
    match to {
        Warnings::Heard | Warnings::Events if traced::hear_warnings() => Route::Event,
        Warnings::Heard if !traced::have_subscriber() => Route::Stderr,
        Warnings::Stderr => Route::Stderr,
        Warnings::Heard | Warnings::Events | Warnings::Off => Route::Nowhere,
    }
}

/// True if a warning reaches anybody.
pub(crate) fn warnings_are_heard(to: Warnings) -> bool {
    route(to) != Route::Nowhere
}

/// True if a warning of handlers reaches anybody.
pub(crate) fn handlers_are_heard(to: Warnings) -> bool {
    route_of_handlers(to) != Route::Nowhere
}

fn route_of_handlers(to: Warnings) -> Route {
    match route(to) {
        Route::Stderr if to == Warnings::Heard && cfg!(feature = "tracing") => Route::Nowhere,
        route => route,
    }
}

/// True if a report at level `DEBUG` reaches anybody.
pub(crate) fn reports_are_heard() -> bool {
    traced::hear_reports()
}

/// Reports that every goroutine waits; `goroutines` lists them.
pub(crate) fn all_wait(goroutines: &str) {
    traced::all_wait(goroutines);
}

/// Warns of a deadlock; `goroutines` lists them.
pub(crate) fn deadlock(to: Warnings, goroutines: &str) {
    match route(to) {
        Route::Event => traced::deadlock(goroutines),
        Route::Stderr => say(format!("gosched: {DEADLOCK}\n{}", goroutines.trim_end())),
        Route::Nowhere => {}
    }
}

/// Warns of goroutines that were cancelled for a deadlock and do not unwind.
pub(crate) fn stuck(to: Warnings, goroutines: &str) {
    match route(to) {
        Route::Event => traced::stuck(goroutines),
        Route::Stderr => say(format!("gosched: {STUCK}\n{}", goroutines.trim_end())),
        Route::Nowhere => {}
    }
}

/// Warns of a goroutine that keeps its siblings waiting; `text` says why and what helps.
pub(crate) fn overstayed(to: Warnings, who: &Overstayed<'_>, text: &str) {
    match route(to) {
        Route::Event => traced::overstayed(who, text),
        Route::Stderr if is_first(who.made_at, who.remedy) => {
            let Overstayed { goroutine, made_at, name, lasted_ms, not_begun, siblings, .. } = who;
            say(format!(
                "{text} goroutine={goroutine} made_at={made_at:?} name={name:?} \
                 lasted_ms={lasted_ms} not_begun={not_begun:?} siblings={siblings:?}"
            ));
        }
        Route::Stderr | Route::Nowhere => {}
    }
}

/// Warns of a goroutine whose panic nobody joined; `text` says with what.
pub(crate) fn unjoined(to: Warnings, who: &Unjoined<'_>, text: &str) {
    let &Unjoined { goroutine, name, made_at } = who;
    let made_at = made_at.map_or_else(String::new, ToString::to_string);
    let name = name.unwrap_or("");
    match route(to) {
        Route::Event => traced::unjoined(goroutine, &made_at, name, text),
        Route::Stderr if is_first(&made_at, "unjoined") => {
            say(format!("{text} goroutine={goroutine} made_at={made_at:?} name={name:?}"));
        }
        Route::Stderr | Route::Nowhere => {}
    }
}

/// Warns of handlers of the host for these signals; `text` says what they do.
pub(crate) fn handlers(to: Warnings, signals: &[i32], text: &str) {
    match route_of_handlers(to) {
        Route::Event => traced::handlers(signals, text),
        Route::Stderr => say(format!("gosched: {text} signals={signals:?}")),
        Route::Nowhere => {}
    }
}

/// Warns that a runtime was dropped by one of its own goroutines or threads.
pub(crate) fn dropped_inside(to: Warnings) {
    match route(to) {
        Route::Event => traced::dropped_inside(),
        Route::Stderr => say(DROPPED_INSIDE.to_owned()),
        Route::Nowhere => {}
    }
}

/// Warns that a runtime did not end within the time that its drop waits for.
pub(crate) fn left_running(to: Warnings, error: &dyn Display) {
    match route(to) {
        Route::Event => traced::left_running(error),
        Route::Stderr => {
            say(format!("gosched: a runtime was dropped and left running error={error}"));
        }
        Route::Nowhere => {}
    }
}

/// Warns of a goroutine that waits where it must not; `text` says where, with its stack.
#[cfg(all(feature = "check-promises", debug_assertions))]
pub(crate) fn broken_promise(to: Warnings, goroutine: u64, text: &str) {
    match route(to) {
        Route::Event => traced::broken_promise(goroutine, text),
        Route::Stderr => say(text.to_owned()),
        Route::Nowhere => {}
    }
}

/// True the first time that this is told of a goroutine that was made there.
fn is_first(made_at: &str, text: &str) -> bool {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let this = format!("{made_at} {text}");
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let first = !told.contains(&this);
    if first {
        told.push(this);
    }
    first
}

/// Writes a line in one piece. A standard error that is closed is no reason to panic.
pub(crate) fn say(mut line: String) {
    line.push('\n');
    let _nobody_reads_it = io::stderr().write_all(line.as_bytes());
}

#[cfg(feature = "tracing")]
mod traced {
    use super::{DEADLOCK, DROPPED_INSIDE, Display, Overstayed, STUCK};
    use tracing::Level;
    use tracing::level_filters::LevelFilter;
    use tracing::subscriber::NoSubscriber;

    pub(super) fn hear_warnings() -> bool {
        LevelFilter::current() >= Level::WARN
    }

    pub(super) fn hear_reports() -> bool {
        LevelFilter::current() >= Level::DEBUG
    }

    /// True if the process has a subscriber. It may have chosen to hear nothing.
    pub(super) fn have_subscriber() -> bool {
        tracing::dispatcher::get_default(|subscriber| !subscriber.is::<NoSubscriber>())
    }

    pub(super) fn all_wait(goroutines: &str) {
        tracing::debug!(
            %goroutines,
            "gosched: all goroutines wait, for each other or for somebody outside"
        );
    }

    pub(super) fn deadlock(goroutines: &str) {
        tracing::warn!(%goroutines, "gosched: {DEADLOCK}");
    }

    pub(super) fn stuck(goroutines: &str) {
        tracing::warn!(%goroutines, "gosched: {STUCK}");
    }

    pub(super) fn overstayed(who: &Overstayed<'_>, text: &str) {
        let &Overstayed { goroutine, made_at, name, lasted_ms, not_begun, siblings, .. } = who;
        tracing::warn!(goroutine, made_at, name, lasted_ms, ?not_begun, ?siblings, "{text}");
    }

    pub(super) fn unjoined(goroutine: u64, made_at: &str, name: &str, text: &str) {
        tracing::warn!(goroutine, made_at, name, "{text}");
    }

    pub(super) fn handlers(signals: &[i32], text: &str) {
        tracing::warn!(?signals, "gosched: {text}");
    }

    #[cfg(all(feature = "check-promises", debug_assertions))]
    pub(super) fn broken_promise(goroutine: u64, text: &str) {
        tracing::warn!(goroutine, "{text}");
    }

    pub(super) fn dropped_inside() {
        tracing::warn!("{DROPPED_INSIDE}");
    }

    pub(super) fn left_running(error: &dyn Display) {
        tracing::warn!(%error, "gosched: a runtime was dropped and left running");
    }
}

/// Nobody can listen.
#[cfg(not(feature = "tracing"))]
mod traced {
    use super::{Display, Overstayed};

    pub(super) fn hear_warnings() -> bool {
        false
    }

    pub(super) fn hear_reports() -> bool {
        false
    }

    pub(super) fn have_subscriber() -> bool {
        false
    }

    pub(super) fn all_wait(_: &str) {}
    pub(super) fn deadlock(_: &str) {}
    pub(super) fn stuck(_: &str) {}
    pub(super) fn overstayed(_: &Overstayed<'_>, _: &str) {}
    pub(super) fn unjoined(_: u64, _: &str, _: &str, _: &str) {}
    pub(super) fn handlers(_: &[i32], _: &str) {}
    #[cfg(all(feature = "check-promises", debug_assertions))]
    pub(super) fn broken_promise(_: u64, _: &str) {}
    pub(super) fn dropped_inside() {}
    pub(super) fn left_running(_: &dyn Display) {}
}
