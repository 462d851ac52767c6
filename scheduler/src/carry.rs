//! Context that lives in thread-locals and is to stay with a goroutine.

use std::fmt;
use std::sync::Arc;

/// Takes context that lives in thread-locals from the thread when a goroutine suspends, and puts it
/// back when it resumes: the current span of `tracing`, the current context of OpenTelemetry, the
/// current anything.
///
/// Registered with [`Builder::carry`](crate::Builder::carry). Both functions run on the goroutine's
/// stack, on the thread that the context is taken from and put on, right before and after the
/// switch; what was taken lies on that stack meanwhile. They are called where a goroutine switches,
/// and not where its thread sleeps for it.
///
/// In both the thread counts as one that runs no goroutine: `current_id` is `None`, and a wait
/// blocks the thread. They had better not wait, and must not panic: that ends the process.
///
/// ```
/// use gosched::{Carry, Mode, Runtime, go, yield_now};
/// use std::cell::Cell;
///
/// thread_local! {
///     static USER: Cell<u32> = const { Cell::new(0) };
/// }
///
/// struct CarryUser;
///
/// impl Carry for CarryUser {
///     type Context = u32;
///     fn suspend(&self) -> u32 {
///         USER.replace(0)
///     }
///     fn resume(&self, user: u32) {
///         USER.set(user);
///     }
/// }
///
/// let rt = Runtime::builder(Mode::threads()).carry(CarryUser).build()?;
/// rt.run(|| {
///     let goroutines: Vec<_> = (1..4)
///         .map(|user| {
///             go(move || {
///                 USER.set(user);
///                 yield_now();
///                 assert_eq!(USER.get(), user);
///             })
///         })
///         .collect();
///     goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Carry: Send + Sync + 'static {
    /// What is taken.
    type Context;

    /// Takes the context from the calling thread and leaves it as one that has none.
    fn suspend(&self) -> Self::Context;

    /// Puts the context on the calling thread, which may be another one if the goroutine is
    /// migratory.
    fn resume(&self, context: Self::Context);
}

/// A [`Carry`] without its type: the context lies in the frame of `around`.
trait Around: Send + Sync {
    /// Calls `switch` between the two functions, which are run by `aside`.
    fn around(&self, aside: Aside, switch: &mut dyn FnMut());
}

/// Runs the user's code where a goroutine is about to switch, or just has.
pub(crate) type Aside = fn(&mut dyn FnMut());

impl<C: Carry> Around for C {
    fn around(&self, aside: Aside, switch: &mut dyn FnMut()) {
        let mut context = None;
        aside(&mut || context = Some(self.suspend()));
        switch();
        aside(&mut || {
            if let Some(context) = context.take() {
                self.resume(context);
            }
        });
    }
}

/// Everything that a runtime's goroutines carry along.
#[derive(Clone, Default)]
pub(crate) struct Carried(Vec<Arc<dyn Around>>);

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Carried").field(&self.0.len()).finish()
    }
}

impl Carried {
    pub(crate) fn push(&mut self, carry: impl Carry) {
        self.0.push(Arc::new(carry));
    }

    /// Whether there is nothing to carry.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls `switch` with everything taken from the thread; put back in the reverse order.
    pub(crate) fn around(&self, aside: Aside, switch: &mut dyn FnMut()) {
        through(&self.0, aside, switch);
    }
}

fn through(carried: &[Arc<dyn Around>], aside: Aside, switch: &mut dyn FnMut()) {
    match carried.split_first() {
        None => switch(),
        Some((first, others)) => first.around(aside, &mut || through(others, aside, switch)),
    }
}
