//! Context that lives in thread-locals and is to stay with a goroutine.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "tracing-spans")]
mod spans;

#[cfg(feature = "tracing-spans")]
pub use spans::{CarriedSpans, CarrySpans, in_current_span};

/// Takes context that lives in thread-locals from the thread when a goroutine suspends, and puts it
/// back when it resumes: the current span of `tracing`, the current context of OpenTelemetry, the
/// current anything.
///
/// Registered with [`runtime::Builder::carry`](crate::Builder::carry). Both functions run on the
/// goroutine's stack, on the thread that the context is taken from and put on, right before and
/// after the switch; what was taken lies on that stack meanwhile. They are called where a goroutine
/// switches, and not where its thread sleeps for it. When a goroutine has ended, `suspend` is
/// called once more and its context dropped, so that a goroutine begins with none. The closure of
/// [`run`](crate::run) begins with what its thread has, and leaves there what it leaves. A callback
/// of a thread that is not the runtime's is a goroutine and begins with none, too; its thread gets
/// back what it had before.
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
#[doc(alias("context propagation", "task_local"))]
pub trait Carry: Send + Sync + 'static {
    /// What is taken.
    type Context;

    /// Takes the context from the calling thread and leaves it as one that has none.
    fn suspend(&self) -> Self::Context;

    /// Puts the context on the calling thread, which may be another one if the goroutine is
    /// migratory.
    fn resume(&self, context: Self::Context);
}

/// A [`Carry`] behind a vtable. The context lies in the frame of `wrap`.
trait SwitchHook: Send + Sync {
    /// Calls `suspend`, then `switch`, then `resume`. Calls the user's two functions through
    /// `run_detached`.
    fn wrap(&self, run_detached: Detached, switch: &mut dyn FnMut());

    /// Calls `suspend`, through `run_detached`, and drops what it took.
    fn drop_left(&self, run_detached: Detached);

    /// Calls `suspend`, through `run_detached`.
    fn take(&self, run_detached: Detached) -> Box<dyn Any>;

    /// Calls `resume`, through `run_detached`, with what [`take`](Self::take) has taken.
    fn put_back(&self, run_detached: Detached, context: Box<dyn Any>);
}

/// A function that runs the user's code right before or after a goroutine switches.
pub(crate) type Detached = fn(&mut dyn FnMut());

impl<C: Carry> SwitchHook for C {
    fn wrap(&self, run_detached: Detached, switch: &mut dyn FnMut()) {
        let mut context = None;
        run_detached(&mut || context = Some(self.suspend()));
        switch();
        run_detached(&mut || {
            if let Some(context) = context.take() {
                self.resume(context);
            }
        });
    }

    fn drop_left(&self, run_detached: Detached) {
        run_detached(&mut || drop(self.suspend()));
    }

    fn take(&self, run_detached: Detached) -> Box<dyn Any> {
        let mut context: Option<Box<dyn Any>> = None;
        run_detached(&mut || context = Some(Box::new(self.suspend())));
        context.expect("it was run")
    }

    fn put_back(&self, run_detached: Detached, context: Box<dyn Any>) {
        let mut context = Some(context);
        run_detached(&mut || {
            if let Some(Ok(context)) = context.take().map(Box::<dyn Any>::downcast) {
                self.resume(*context);
            }
        });
    }
}

/// The hooks that a runtime calls at each switch of a goroutine.
#[derive(Clone, Default)]
pub(crate) struct SwitchHooks(Vec<Arc<dyn SwitchHook>>);

// It is a list; the hooks are called where goroutines switch.
impl std::panic::UnwindSafe for SwitchHooks {}
impl std::panic::RefUnwindSafe for SwitchHooks {}

impl fmt::Debug for SwitchHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SwitchHooks").field(&self.0.len()).finish()
    }
}

impl SwitchHooks {
    pub(crate) fn push(&mut self, carry: impl Carry) {
        self.0.push(Arc::new(carry));
    }

    /// True if there is no hook.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all contexts from the thread and drops them.
    #[cold]
    pub(crate) fn drop_left(&self, run_detached: Detached) {
        self.0.iter().for_each(|hook| hook.drop_left(run_detached));
    }

    /// Takes all contexts from the thread, to be [put back](Self::put_back) on the same one.
    #[cold]
    pub(crate) fn take(&self, run_detached: Detached) -> Box<[Box<dyn Any>]> {
        self.0.iter().map(|hook| hook.take(run_detached)).collect()
    }

    /// Puts back what [`take`](Self::take) has taken, in the reverse order.
    #[cold]
    pub(crate) fn put_back(&self, run_detached: Detached, taken: Box<[Box<dyn Any>]>) {
        let pairs = self.0.iter().zip(taken).rev();
        pairs.for_each(|(hook, context)| hook.put_back(run_detached, context));
    }

    /// Calls `switch` while all contexts are taken from the thread. Puts them back in the reverse
    /// order.
    pub(crate) fn wrap(&self, run_detached: Detached, switch: &mut dyn FnMut()) {
        nest(&self.0, run_detached, switch);
    }
}

fn nest(hooks: &[Arc<dyn SwitchHook>], run_detached: Detached, switch: &mut dyn FnMut()) {
    match hooks.split_first() {
        None => switch(),
        Some((first, others)) => {
            first.wrap(run_detached, &mut || nest(others, run_detached, switch))
        }
    }
}
