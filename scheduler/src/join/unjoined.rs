//! The panic of a goroutine that nobody joins: it is told, with the goroutine's number, name and
//! place.
//!
//! The process's panic hook has said that a thread panicked, unless the host has replaced the hook.
//! It does not know the goroutine. Rejected: a hook of our own, because it is the host's.

use std::any::Any;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::gmp::body::NotStarted;
use crate::gmp::current::{self, Current};
use crate::gmp::g::{Cancelled, G, GOwned};
use crate::proc::events::{self, Warnings};
use crate::wait::owed::Panics;

type Payload = Box<dyn Any + Send>;

/// What a goroutine unwound with, until a joiner takes it.
pub(super) enum Failure {
    /// Nobody needs to be told if it is dropped.
    Quiet(Payload),
    Told(Box<Unjoined>),
}

/// The panic of a goroutine. Tells of it when it is dropped.
pub(super) struct Unjoined {
    payload: Option<Payload>,
    warnings: Warnings,
    goroutine: u64,
    name: Option<String>,
    made_at: Option<&'static Location<'static>>,
    /// The runtime's count of those that nobody joined.
    count: Option<Arc<AtomicU64>>,
}

impl Failure {
    /// Makes the failure of the calling goroutine, whose number is `id`. `tells`: nobody else tells
    /// of it.
    #[cold]
    pub(super) fn new(tells: bool, id: u64, payload: Payload) -> Self {
        if !tells || payload.is::<Cancelled>() {
            return Self::Quiet(payload);
        }
        current::with(|cx| {
            let name = cx.and_then(Current::owned).and_then(GOwned::name);
            Self::Told(Box::new(Unjoined {
                payload: Some(payload),
                warnings: cx.map_or_else(Warnings::default, |cx| cx.sched().config.warnings),
                goroutine: id,
                name: name.map(str::to_owned),
                made_at: cx.and_then(Current::g).and_then(G::made_at),
                count: cx.map(|cx| cx.sched().counts.unjoined_panics.clone()),
            }))
        })
    }

    /// Returns what the goroutine unwound with, for its joiner.
    pub(super) fn into_payload(self) -> Payload {
        match self {
            Self::Quiet(payload) => payload,
            Self::Told(mut unjoined) => {
                unjoined.payload.take().expect("it is taken once, and then this is dropped")
            }
        }
    }
}

impl Drop for Unjoined {
    fn drop(&mut self) {
        let Some(payload) = self.payload.take() else { return };
        if let Some(count) = &self.count {
            count.fetch_add(1, Relaxed);
        }
        let text = match payload.downcast_ref::<NotStarted>() {
            Some(why) => format!("gosched: a goroutine that nobody joined did not start: {why}"),
            None => {
                format!("gosched: a goroutine panicked, and nobody joined it: {}", said(&*payload))
            }
        };
        let who = events::Unjoined {
            goroutine: self.goroutine,
            name: self.name.as_deref(),
            made_at: self.made_at,
        };
        let mut panics = Panics::none();
        // A subscriber is the user's code, and so is the payload's drop.
        panics.catch(|| events::unjoined(self.warnings, &who, &text));
        panics.drop_value(payload);
        panics.give_up();
    }
}

/// True if the goroutine has panicked: that it was cancelled does not count.
#[inline(always)]
pub(super) fn is_panic(outcome: &std::thread::Result<()>) -> bool {
    outcome.as_ref().is_err_and(|payload| !payload.is::<Cancelled>())
}

/// Returns what a panic said.
pub(super) fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
