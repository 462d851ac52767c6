//! The spans of `tracing`, carried along by goroutines.
//!
//! A subscriber keeps the spans that a thread has entered, as a rule in a stack of the thread's
//! own, and leaves one when its guard is dropped. Of goroutines that share the thread, one would
//! find the spans of another. So a goroutine that suspends leaves its spans, and enters them again
//! when it resumes, as an instrumented future does at each poll. Nothing but the subscriber knows
//! the stack: it is asked for the innermost span, and leaves that, until there is none.

use tracing::dispatcher::{self, Dispatch};
use tracing::span::{Id, Span};

use super::Carry;

/// Keeps the spans of `tracing` with the goroutines that have entered them:
/// [`Builder::carry(CarrySpans)`](crate::Builder::carry).
///
/// A goroutine that suspends leaves the spans that it is in, and enters them again when it
/// resumes, on whatever thread that is. So each sees its own spans only, a subscriber that measures
/// how long a span is busy does not count waits, and a guard of `Span::enter` may be held over a
/// wait. Without this, the spans of goroutines that share a thread are mixed up: they are the
/// thread's. In `Mode::threads` and in callbacks there is nothing to carry.
///
/// A new goroutine is in no span; [`in_current_span`] has it begin in that of its maker.
///
/// The subscriber has to know its current span, as the registry of tracing-subscriber does; the
/// spans of another one stay where they are. It is called at each switch, and must not panic there.
/// A default subscriber that was set for the thread alone (`with_default`) is not carried.
///
/// With the feature `tracing-spans`.
///
/// ```
/// use gosched::{CarrySpans, Mode, Runtime, go, in_current_span};
///
/// let rt = Runtime::builder(Mode::threads()).carry(CarrySpans).build()?;
/// rt.run(|| {
///     let _request = tracing::info_span!("request", id = 7).entered();
///     gosched::yield_now();
///     go(in_current_span(|| tracing::info!("belongs to the request"))).join().unwrap();
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("Instrument", "tracing", "span"))]
#[derive(Clone, Copy, Debug, Default)]
pub struct CarrySpans;

/// The spans that a goroutine was in when it suspended. Opaque.
#[derive(Debug, Default)]
pub struct CarriedSpans(Option<Left>);

/// The spans that were left, the innermost first, and the subscriber that they are of. The guards
/// of the goroutine hold the spans meanwhile.
#[derive(Debug)]
struct Left {
    dispatch: Dispatch,
    spans: Vec<Id>,
}

/// More spans than anybody is in: a subscriber that does not leave a span is not asked for ever.
const MOST: usize = 4096;

impl Carry for CarrySpans {
    type Context = CarriedSpans;

    fn suspend(&self) -> CarriedSpans {
        dispatcher::get_default(|dispatch| {
            let mut spans = Vec::new();
            while let Some(id) = dispatch.current_span().id().filter(|_| spans.len() < MOST) {
                dispatch.exit(id);
                spans.push(id.clone());
            }
            let left = Left { dispatch: dispatch.clone(), spans };
            CarriedSpans((!left.spans.is_empty()).then_some(left))
        })
    }

    fn resume(&self, context: CarriedSpans) {
        if let Some(Left { dispatch, spans }) = context.0 {
            spans.iter().rev().for_each(|id| dispatch.enter(id));
        }
    }
}

/// Returns a closure that runs `f` in the span that the caller is in now: for a goroutine that is
/// to inherit it, as in `go(in_current_span(|| ..))`.
///
/// With the feature `tracing-spans`.
///
/// ```
/// use gosched::{Mode, go, in_current_span, run};
///
/// run(Mode::threads(), || {
///     let _request = tracing::info_span!("request").entered();
///     go(in_current_span(|| tracing::info!("belongs to the request"))).join().unwrap();
/// });
/// ```
#[doc(alias("in_scope", "instrument"))]
pub fn in_current_span<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let span = Span::current();
    move || span.in_scope(f)
}
